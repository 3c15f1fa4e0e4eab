"""The attributes of a resource: what each is called, where it lives, who may set it, since when."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from pileus.kernel.api.versions import Version

Uuid: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\Z")
]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Text255: TypeAlias = Annotated[str, Meta(max_length=255)]
PositiveInt: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
NonNegativeInt: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Use(Flag):
    """What a field is for. Every field that is not `hidden` is shown."""

    create = auto()
    update = auto()
    filter = auto()
    sort = auto()
    hidden = auto()
    """Taken but never shown: a password, user data."""
    brief = auto()
    """Also in the short form of the resource (Nova's list without detail)."""


create, update, filter, sort, hidden, brief = Use
read_only = Use(0)


@dataclass(slots=True)
class Field:
    use: Use
    default: Any = UNSET
    """What a create without it gets; UNSET leaves it to the handler."""
    required: bool = False
    wire: str = ""
    column: str | None = ""
    """The table's column; "" means the attribute's own name, None that there is none."""
    render: Callable[[Any, Any], Any] | None = None
    """`(call, row) -> value` where the value is not simply the column's; UNSET leaves the name out."""
    shows: Any = None
    """The type of what is shown, where that is another than bodies are held to; a list of a resource for all that it
    shows of several."""
    since: Version | None = None
    until: Version | None = None
    """The last version that has it."""
    policy: str | None = None
    """A rule that the caller must pass to see it; without, the field is left out."""
    name: str = ""
    type: Any = Any

    def alive(self, version: Version | None) -> bool:
        """Whether clients of this version know the field."""
        if version is None:
            return True
        return (self.since is None or version >= self.since) and (self.until is None or version <= self.until)


def field(
    *uses: Use,
    default: Any = UNSET,
    required: bool = False,
    wire: str = "",
    column: str | None = "",
    render: Callable[[Any, Any], Any] | None = None,
    shows: Any = None,
    since: Version | None = None,
    until: Version | None = None,
    policy: str | None = None,
) -> Any:
    """Declares an attribute of a Resource; its annotation is the type that bodies are held to."""
    use = Use(0)
    for one in uses:
        use |= one
    if render is not None and column == "":
        column = None
    return Field(use, default, required, wire, column, render, shows, since, until, policy)


def declared_fields(cls: type) -> dict[str, Field]:
    """The fields that a class itself declares."""
    found = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
    if not found:
        return {}
    # Names are looked up in the module alone: a field called `list` must not hide the type.
    hints = inspect.get_annotations(cls, globals=vars(sys.modules[cls.__module__]), locals={}, eval_str=True)
    return {
        name: replace(
            each,
            name=name,
            wire=each.wire or name,
            type=hints[name],
            column=name if each.column == "" else each.column,
        )
        for name, each in found.items()
    }


EXTRAS = "pileus:extras"
"""Stands for all that is not declared; whatever a client sends under this very name is overwritten."""


def body_type(
    declared: type, name: str, fields: list[Field], use: Use, *, extras: bool = False
) -> type[msgspec.Struct]:
    """The struct that a create or update body, declared by a class, decodes to: what is absent is UNSET, unknown names
    are errors, or with `extras` gathered in the attribute `extra` by whoever decodes."""
    members: list[Any] = []
    for each in fields:
        needed = use is Use.create and each.required
        if needed:
            members.append((each.name, each.type))
        else:
            default = each.default if use is Use.create else UNSET
            if isinstance(default, dict | list | set):
                members.append((each.name, each.type, msgspec.field(default_factory=type(default))))
            else:
                members.append((each.name, each.type | msgspec.UnsetType, default))
    rename = {each.name: each.wire for each in fields}
    if extras:
        members.append(("extra", dict[str, Any], msgspec.field(default_factory=dict)))
        rename["extra"] = EXTRAS
    return msgspec.defstruct(
        name,
        members,
        module=declared.__module__,  # tells several of one name apart
        kw_only=True,
        forbid_unknown_fields=not extras,
        rename=rename,
    )


def named_project(body: Any) -> str | None:
    """The project that a body names: `project_id`, or `tenant_id` as it was called before."""
    for name in ("project_id", "tenant_id"):
        named = getattr(body, name, UNSET)
        if named not in (UNSET, None):
            return str(named)
    return None
