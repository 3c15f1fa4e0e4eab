"""Domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import create, field, filter, hidden, read_only, sort, update
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import Conflict, Forbidden
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import (
    BY_NAME,
    Options,
    ProjectName,
    Tags,
    changed,
    check_mutable,
    given,
    listed_domain,
    merged_extra,
    merged_options,
    self_link,
    stripped,
)
from pileus.services.identity.model import projects
from pileus.services.identity.store import project, user

_IS_DOMAIN = projects.c.is_domain.is_(True)
_LISTED = _IS_DOMAIN & (projects.c.id == bindparam("listed_domain_id"))


class Domain(Resource, member="domain", collection="domains", table=projects, extras="extra"):
    id: str = field(read_only, filter, sort)
    name: ProjectName = field(create, update, filter, sort, required=True)
    description: str = field(create, update, default="")
    enabled: bool = field(create, update, filter, default=True)
    tags: Tags = field(create, update, default=[])
    options: Options = field(create, update, default={})
    explicit_domain_id: str | None = field(create, hidden, column=None)
    links: dict[str, Any] = field(render=self_link("domains"))

    default_sort = BY_NAME

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return _IS_DOMAIN, {}

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        if call.context.domain_id is None:
            return cls.visible(call)
        return _LISTED, {"listed_domain_id": call.context.domain_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"target.domain.id": row.id}


@Domain.create(policy="identity:create_domain")
def create_domain(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a domain."""
    wanted = getattr(body, "explicit_domain_id", None)
    domain_id = wanted if isinstance(wanted, str) else new_hex()
    return insert_domain(tx, domain_id, stripped(given(body, "explicit_domain_id")))


def insert_domain(tx: Tx, domain_id: str, values: Mapping[str, Any]) -> Row[Any]:
    """Domains are projects that lie in themselves."""
    if project.domain_by_name(tx, values["name"]) is not None:
        raise _twice(values["name"])
    try:
        return project.insert(
            tx, {**values, "id": domain_id, "domain_id": domain_id, "parent_id": None, "is_domain": True}
        )
    except Duplicate as error:
        raise Conflict(
            f"Conflict occurred attempting to store domain - there is a domain {domain_id}."
        ) from error


def _twice(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store domain - it is not permitted to have two domains named {name}."
    )


@Domain.update(policy="identity:update_domain", method="PATCH", existence_first=True)
def update_domain(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a domain; disabling one voids the tokens of its users."""
    return change_domain(call, tx, row, {**stripped(given(body, "extra")), "extra": merged_extra(row, body)})


def change_domain(call: Call, tx: Tx, row: Row[Any], values: Mapping[str, Any]) -> Row[Any]:
    """Sets attributes of a domain, and voids the tokens of its users where it is disabled."""
    check_mutable(row, values)
    if "options" in values:
        values = {**values, "options": merged_options(row, values["options"])}
    other = project.domain_by_name(tx, values["name"]) if "name" in values else None
    if other is not None and other.id != row.id:
        raise _twice(values["name"])
    if values.get("enabled") is False and row.enabled:
        user.revoke(tx, domain_id=row.id)
    changed(call, tx)
    return project.change(tx, row.id, values)


@Domain.delete(policy="identity:delete_domain")
def delete_domain(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a disabled domain with all that is in it."""
    check_mutable(row)
    erase_domain(call, tx, row)


def erase_domain(call: Call, tx: Tx, row: Row[Any]) -> None:
    """403 while it is enabled."""
    if row.enabled:
        raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
    changed(call, tx)
    project.delete_domain(tx, row.id)


Domain.show(policy="identity:get_domain")
Domain.list(policy="identity:list_domains", target=listed_domain)
