"""Queries of providers and candidates, from their text: resources, traits, aggregates, trees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.lib.placement import Group
from pileus.services.placement.dialect import QUERY_BAD_VALUE
from pileus.services.placement.store.name import CLASSES, TRAITS
from pileus.services.placement.versions import V

_UUID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
_RESOURCES_FORM = "in the form ?resources=VCPU:2,MEMORY_MB:1024"
_AMOUNT = re.compile(r"[0-9]{1,18}")


def _bad(message: str, code: str | None = None) -> BadRequest:
    return BadRequest(f"Invalid query string parameters: {message}", kind=code)


def is_uuid(value: str) -> bool:
    """Whether it is a UUID, with dashes or without."""
    return _UUID.fullmatch(value) is not None


def read_uuid(name: str, value: str) -> str:
    """A UUID in its usual form."""
    if not is_uuid(value):
        raise _bad(f"Expected '{name}' parameter to be a format of uuid. Got: {value}")
    digits = value.replace("-", "").lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_resources(tx: Tx, value: str, name: str = "resources") -> dict[str, int]:
    """`VCPU:2,MEMORY_MB:1024`."""
    if not value.strip():
        raise BadRequest(f"Badly formed {name} parameter. Expected it {_RESOURCES_FORM}. Got: empty string.")
    found: dict[str, int] = {}
    for part in value.split(","):
        resource_class, colon, amount = (word.strip() for word in part.partition(":"))
        if not (resource_class and colon and _AMOUNT.fullmatch(amount)):
            raise BadRequest(f"Badly formed {name} parameter. Expected it {_RESOURCES_FORM}. Got: {part}.")
        if int(amount) < 1:
            raise BadRequest(
                f"Badly formed {name} parameter. The requested amount of {resource_class} must be 1 or more."
            )
        found[resource_class] = int(amount)
    if unknown := CLASSES.unknown(tx, found):
        raise BadRequest(f"Invalid resource class in {name} parameter: {', '.join(unknown)}")
    return found


class Traits:
    """Required and forbidden traits out of one or several values of `required`."""

    def __init__(self, call: Call, tx: Tx, name: str, values: Sequence[str]) -> None:
        self.required: list[frozenset[str]] = []
        """One of each set."""
        self.forbidden: set[str] = set()
        negated, alternatives = call.has(V.FORBIDDEN_TRAITS), call.has(V.ANY_TRAITS)
        for value in values if alternatives else values[:1]:
            if alternatives and value.startswith("in:"):
                self.required.append(
                    frozenset(_names(name, value.removeprefix("in:"), "in:HW_CPU_X86_VMX,CUSTOM_MAGIC"))
                )
                continue
            form = "HW_CPU_X86_VMX,!CUSTOM_MAGIC" if negated else "HW_CPU_X86_VMX,CUSTOM_MAGIC"
            for trait in _names(name, value, form, negated=negated):
                if trait.startswith("!"):
                    self.forbidden.add(trait[1:])
                else:
                    self.required.append(frozenset((trait,)))
        named = {trait for any_of in self.required for trait in any_of} | self.forbidden
        if unknown := TRAITS.unknown(tx, named):
            raise BadRequest(f"No such trait(s): {', '.join(unknown)}.")
        impossible = sorted(
            {trait for any_of in self.required if any_of <= self.forbidden for trait in any_of}
        )
        if impossible:
            raise BadRequest(
                f"Conflicting required and forbidden traits found in {name}: {', '.join(impossible)}",
                kind=QUERY_BAD_VALUE,
            )


def _names(name: str, value: str, form: str, *, negated: bool = False) -> list[str]:
    names = [part.strip() for part in value.split(",")]
    for each in names:
        bare = each[1:] if negated and each.startswith("!") else each
        if not bare or "!" in bare or ":" in bare:
            raise _bad(f"Expected '{name}' parameter value of the form: {form}. Got: {value!r}")
    return names


class Aggregates:
    """Aggregates wanted and forbidden out of one or several values of `member_of`."""

    def __init__(self, call: Call, name: str, values: Sequence[str]) -> None:
        self.wanted: list[frozenset[str]] = []
        """One of each set."""
        self.forbidden: set[str] = set()
        if len(values) > 1 and not call.has(V.REPEATED_MEMBER_OF):
            raise BadRequest(
                f"Multiple {name} parameters are not supported before version {V.REPEATED_MEMBER_OF}."
            )
        for value in values:
            negated = value.startswith("!")
            if negated and not call.has(V.FORBIDDEN_AGGREGATES):
                raise BadRequest(
                    f"Forbidden {name} parameters are not supported before version {V.FORBIDDEN_AGGREGATES}."
                )
            bare = value.removeprefix("!")
            parts = bare.removeprefix("in:").split(",") if bare.startswith("in:") else [bare]
            ids = frozenset(self._id(name, part, value) for part in parts)
            if negated:
                self.forbidden |= ids
            else:
                self.wanted.append(ids)

    @staticmethod
    def _id(name: str, part: str, value: str) -> str:
        if not is_uuid(part):
            raise _bad(
                f"Expected '{name}' parameter to contain valid UUIDs, as UUID or in:UUID,UUID. Got: {value}"
            )
        return read_uuid(name, part)


def read_group(call: Call, tx: Tx, suffix: str, values: Mapping[str, Sequence[str]]) -> Group:
    """One request group; `values` are those of its parameters by name without the suffix."""
    traits = Traits(call, tx, f"required{suffix}", values.get("required", ()))
    aggregates = Aggregates(call, f"member_of{suffix}", values.get("member_of", ()))
    in_tree: Iterable[str] = values.get("in_tree", ())[:1]
    return Group(
        resources=read_resources(tx, values["resources"][0], f"resources{suffix}")
        if "resources" in values
        else {},
        required=tuple(traits.required),
        forbidden=frozenset(traits.forbidden),
        member_of=tuple(aggregates.wanted),
        not_member_of=frozenset(aggregates.forbidden),
        in_tree=next((read_uuid(f"in_tree{suffix}", value) for value in in_tree), None),
    )
