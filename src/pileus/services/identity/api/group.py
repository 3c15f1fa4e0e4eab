"""Groups of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Name, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import Conflict, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import (
    BY_NAME,
    changed,
    described,
    given,
    home_domain,
    listed_domain,
    merged_extra,
    named_domain,
    same_domain,
    self_link,
    stripped,
)
from pileus.services.identity.ldap.directories import check_writable
from pileus.services.identity.model import groups
from pileus.services.identity.store import project, user

_LISTED = groups.c.domain_id == bindparam("listed_domain_id")


class Group(Resource, member="group", collection="groups", table=groups, extras="extra"):
    id: str = field(read_only, filter, sort)
    name: Name = field(create, update, filter, sort, required=True)
    domain_id: str | None = field(create, update, filter)
    description: str | None = field(create, update, default="")
    links: dict[str, Any] = field(render=self_link("groups"))

    default_sort = BY_NAME

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        if call.context.domain_id is None:
            return None
        return _LISTED, {"listed_domain_id": call.context.domain_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return group_target(row)


def group_target(row: Row[Any]) -> dict[str, Any]:
    """What policy sees of a group."""
    return {"target.group.id": row.id, "target.group.domain_id": row.domain_id}


def _new_target(call: Call, body: Any) -> Mapping[str, Any]:
    return named_domain("group", body)


@Group.create(policy="identity:create_group", target=_new_target)
def create_group(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a group."""
    values = described(stripped(given(body)))
    values["domain_id"] = values.get("domain_id") or home_domain(call)
    domain = project.get(tx, values["domain_id"])
    if domain is None or not domain.is_domain:
        raise NotFound(f"Could not find domain: {values['domain_id']}.")
    check_writable(tx, domain.id)
    values["id"] = new_hex()
    try:
        return user.insert_group(tx, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


def _twice(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store group - Duplicate entry found with name {name} in the same domain."
    )


@Group.update(policy="identity:update_group", method="PATCH")
def update_group(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a group."""
    same_domain(row, body)
    check_writable(tx, row.domain_id, row.id)
    values = {**described(stripped(given(body, "extra", "domain_id"))), "extra": merged_extra(row, body)}
    try:
        return user.change_group(tx, row.id, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


@Group.delete(policy="identity:delete_group", existence_first=True)
def delete_group(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a group; its users lose what they had through it."""
    check_writable(tx, row.domain_id, row.id)
    changed(call, tx)
    user.delete_group(tx, row.id)


Group.show(policy="identity:get_group")
Group.list(policy="identity:list_groups", target=listed_domain)
