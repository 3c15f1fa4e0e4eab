"""Protocols of an identity provider, each with the mapping that its assertions go through."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import brief, create, field, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.identity.api.common import changed, given
from pileus.services.identity.api.federation.common import BY_ID, PREFIX, new_id, some
from pileus.services.identity.api.federation.identity_provider import IdentityProvider
from pileus.services.identity.federation import shadow, store
from pileus.services.identity.federation.model import mappings, protocols

MappingId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


def _links(call: Call, row: Row[Any]) -> dict[str, str]:
    provider = f"{call.base_url}{PREFIX}/identity_providers/{row.idp_id}"
    return {"self": f"{provider}/protocols/{row.id}", "identity_provider": provider}


class Protocol(
    Resource,
    member="protocol",
    collection="protocols",
    path=f"{PREFIX}/identity_providers/{{identity_provider_id}}/protocols",
    table=protocols,
    parent=IdentityProvider,
    parent_column="idp_id",
):
    """Lists show all of it, as upstream's do; single ones less."""

    id: str = field(read_only, sort, brief)
    idp_id: str = field(read_only)
    mapping_id: MappingId = field(create, update, brief, required=True)
    remote_id_attribute: Annotated[str, msgspec.Meta(max_length=64)] | None = field(
        create, update, default=None
    )
    links: dict[str, Any] = field(brief, render=_links)

    default_sort = BY_ID

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Could not find federated protocol: {key}.")


def _check_mapping(tx: Tx, mapping_id: str) -> None:
    if rows.get(tx, mappings, mapping_id) is None:
        raise BadRequest(f"Invalid mapping id: {mapping_id}: there is no such mapping.")


@Protocol.create(policy="identity:create_protocol", by_id=True, view="brief")
def create_protocol(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Accepts assertions of this protocol."""
    assert call.parent is not None
    _check_mapping(tx, body.mapping_id)
    try:
        return store.insert_protocol(tx, {**given(body), "id": new_id(call), "idp_id": call.parent.id})
    except Duplicate as error:
        raise Conflict(
            f"Conflict occurred attempting to store federation_protocol - there is one with the id {new_id(call)}."
        ) from error


@Protocol.update(policy="identity:update_protocol", method="PATCH", view="brief")
def update_protocol(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes which mapping is used."""
    values = some(body)
    if body.mapping_id is UNSET:
        raise BadRequest("Invalid input: 'mapping_id' is a required property")
    if values.get("remote_id_attribute", "") is None:
        raise BadRequest("remote_id_attribute can't be null; an empty text takes it away.")
    _check_mapping(tx, body.mapping_id)
    return store.change_protocol(tx, row.idp_id, row.id, values)


@Protocol.delete(policy="identity:delete_protocol")
def delete_protocol(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Accepts no more assertions of this protocol; users that nobody else vouches for go."""
    changed(call, tx)
    known = shadow.users_of_provider(tx, row.idp_id)
    store.delete_protocol(tx, row.idp_id, row.id)
    shadow.delete_orphans(tx, known)


Protocol.show(policy="identity:get_protocol", view="brief")
Protocol.list(policy="identity:list_protocols")
