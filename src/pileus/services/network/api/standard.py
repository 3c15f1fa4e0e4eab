"""What every resource of Neutron has: standard attributes, whose it is, If-Match, and rules for single
attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Text255, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, PreconditionFailed

Text64: TypeAlias = Annotated[str, Meta(max_length=64)]
NEVER_ASKED: Final = frozenset({"service_types"})
"""Attributes that have rules in Neutron's policy reference which Neutron never asks."""
_IF_MATCH: Final = re.compile(r"\s*revision_number\s*=\s*(-?\d{1,18})\s*")


class Standard(Resource):
    """Fields and habits that all resources share. `kind_name` is the middle of their rules' names."""

    kind_name: ClassVar[str]
    services_see_all: ClassVar[bool] = False
    """Whether a token with the role `service` sees every project's."""

    id: str = field(read_only, filter, sort)
    project_id: Text64 = field(create, filter, sort)
    tenant_id: Text64 = field(create, filter, sort, column="project_id")
    description: Text255 = field(create, update, filter, sort, default="")
    created_at: datetime = field(filter, sort)
    updated_at: datetime = field(filter, sort)
    revision_number: int = field(filter, sort)

    default_sort = (("id", "asc"),)

    @classmethod
    def sees_all(cls, call: Call) -> bool:
        return call.context.is_admin or (cls.services_see_all and "service" in call.context.creds.role_names)

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        if cls.sees_all(call):
            return None
        return cls.visible_to_project(call.project_id)

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        raise NotImplementedError

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {**row._mapping, "tenant_id": row.project_id}

    @classmethod
    def load(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        row = super().load(call, tx, key)
        if call.operation.resource is cls and call.operation.writes:
            check_revision(call, row)
        return row

    @classmethod
    def load_again(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        """The row as it is after a change."""
        return super().load(call, tx, key)


def check_revision(call: Call, row: Row[Any]) -> None:
    """412 where the client says `If-Match: revision_number=N` and the resource is another one by now."""
    said = call.header("if-match")
    if said is None:
        return
    match = _IF_MATCH.fullmatch(said)
    if match is None:
        raise BadRequest(f"If-Match says {said!r}; it must be revision_number=N.")
    if int(match[1]) != row.revision_number:
        raise PreconditionFailed(
            f"Constrained to {match[1]}, but current revision is {row.revision_number}. Read it again before "
            "changing it.",
            kind="RevisionNumberConstraintFailed",
        )


def enforce_attributes(call: Call, action: str, body: Any, target: Mapping[str, Any]) -> None:
    """403 where the body names an attribute that has a rule of its own, and that rule says no.

    On create an attribute at its default counts as not named, as upstream.
    """
    resource = call.operation.resource
    assert resource is not None
    rules = call.runtime.enforcer.rules
    creating = action.startswith("create_")
    for each in resource.fields.values():
        value = getattr(body, each.name, UNSET)
        if value is UNSET or (creating and value == each.default):
            continue
        rule = f"{action}:{each.wire}"
        if rule in rules and each.wire not in NEVER_ASKED:
            call.enforce(rule, target)
        for name in _inner_names(value):
            inner = f"{rule}:{name}"
            if inner in rules:
                call.enforce(inner, target)


def _inner_names(value: Any) -> set[str]:
    """The names that are said inside of an attribute's value: a struct or a list of them."""
    values = value if isinstance(value, list) else [value]
    return {
        name
        for each in values
        if isinstance(each, msgspec.Struct)
        for name in each.__struct_fields__
        if getattr(each, name) is not UNSET
    }


def given(body: Any, *names: str) -> dict[str, Any]:
    """Those of the names that the body says, with their values."""
    return {name: value for name in names if (value := getattr(body, name, UNSET)) is not UNSET}


def plain(value: Any) -> Any:
    """Structs as mappings without what they leave unsaid, for a JSON column."""
    return msgspec.to_builtins(value)
