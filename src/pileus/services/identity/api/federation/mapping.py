"""Mappings: what assertions of identity providers mean here."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import create, field, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.identity.api.common import self_link
from pileus.services.identity.api.federation.common import BY_ID, PREFIX, new_id
from pileus.services.identity.federation import mapping
from pileus.services.identity.federation.model import mappings


class Mapping(Resource, member="mapping", collection="mappings", path=f"{PREFIX}/mappings", table=mappings):
    id: str = field(create, update, sort)
    """openstacksdk sends it along; the path's is the one that counts."""
    rules: list[dict[str, Any]] = field(create, update, required=True)
    schema_version: str | None = field(create, update, default="1.0")
    """The stock client sends null where its user names none."""
    links: dict[str, Any] = field(render=self_link("OS-FEDERATION/mappings"))

    default_sort = BY_ID

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Could not find mapping: {key}.")


def _checked(body: Any) -> dict[str, Any]:
    if body.rules is UNSET:
        raise BadRequest("Invalid input: 'rules' is a required property")
    version = "1.0" if body.schema_version in (UNSET, None) else body.schema_version
    values = {"rules": body.rules, "schema_version": version}
    try:
        mapping.parse(values)
    except mapping.MappingInvalid as error:
        raise BadRequest(str(error)) from error
    return values


@Mapping.create(policy="identity:create_mapping", by_id=True)
def create_mapping(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Keeps the rules under the id of the path."""
    values = {**_checked(body), "id": new_id(call)}
    try:
        return rows.add(tx, mappings, values)
    except Duplicate as error:
        raise Conflict(
            f"Conflict occurred attempting to store mapping - there is one with the id {values['id']}."
        ) from error


@Mapping.update(policy="identity:update_mapping", method="PATCH")
def update_mapping(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Puts other rules in place of these."""
    rows.change(tx, mappings, row.id, **_checked(body))
    return rows.existing(tx, mappings, row.id)


@Mapping.delete(policy="identity:delete_mapping")
def delete_mapping(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes the rules; protocols that name them let nobody in."""
    rows.remove(tx, mappings, row.id)


Mapping.show(policy="identity:get_mapping")
Mapping.list(policy="identity:list_mappings")
