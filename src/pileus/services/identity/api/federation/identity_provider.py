"""Identity providers: who else may say who somebody is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import NonNegativeInt, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import changed, given
from pileus.services.identity.api.domain import insert_domain
from pileus.services.identity.api.federation.common import BY_ID, PREFIX, new_id, some
from pileus.services.identity.federation import shadow, store
from pileus.services.identity.federation.model import identity_providers
from pileus.services.identity.store import project

RemoteId = Annotated[str, msgspec.Meta(max_length=255)]


def _links(call: Call, row: Row[Any]) -> dict[str, str]:
    own = f"{call.base_url}{PREFIX}/identity_providers/{row.id}"
    return {"self": own, "protocols": f"{own}/protocols"}


def _remote_ids(call: Call, row: Row[Any]) -> list[str]:
    found: list[str] = call.gathered["remote_ids"][row.id]
    return found


class IdentityProvider(
    Resource,
    member="identity_provider",
    collection="identity_providers",
    path=f"{PREFIX}/identity_providers",
    table=identity_providers,
):
    id: str = field(read_only, filter, sort)
    domain_id: str | None = field(create)
    enabled: bool = field(create, update, filter, default=False)
    description: str | None = field(create, update, default=None)
    authorization_ttl: NonNegativeInt | None = field(create, update, default=None)
    remote_ids: list[RemoteId] | None = field(create, update, column=None, render=_remote_ids, default=None)
    links: dict[str, Any] = field(render=_links)

    default_sort = BY_ID

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["remote_ids"] = store.remote_ids_of(tx, [row.id for row in rows])

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"target.identity_provider.id": row.id}

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Could not find Identity Provider: {key}.")


@IdentityProvider.create(policy="identity:create_identity_provider", by_id=True)
def create_identity_provider(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Trusts an identity provider; its users live in the domain named, or in a new one."""
    values = {**given(body, "remote_ids"), "id": new_id(call)}
    values["domain_id"] = _domain(tx, values)
    try:
        row = rows.add(tx, identity_providers, values)
    except Duplicate as error:
        raise Conflict(
            "Conflict occurred attempting to store identity_provider - "
            f"Duplicate entry: there is one with the id {values['id']}."
        ) from error
    _set_remote_ids(tx, row.id, body.remote_ids)
    return row


def _domain(tx: Tx, values: Mapping[str, Any]) -> str:
    wanted: str | None = values.get("domain_id")
    if wanted is not None:
        found = project.get(tx, wanted)
        if found is None or not found.is_domain:
            raise NotFound(f"Could not find domain: {wanted}.")
        return wanted
    domain_id = new_hex()
    about = f"Users of the identity provider {values['id']}."
    blank = {"enabled": True, "tags": [], "options": {}, "extra": {}}
    insert_domain(tx, domain_id, {**blank, "name": domain_id, "description": about})
    return domain_id


def _set_remote_ids(tx: Tx, idp_id: str, wanted: list[str] | None) -> None:
    if len(set(wanted or ())) != len(wanted or ()):
        raise BadRequest("The remote_ids must be unlike each other.")
    try:
        store.set_remote_ids(tx, idp_id, wanted or [])
    except Duplicate as error:
        raise Conflict(
            "Conflict occurred attempting to store identity_provider - "
            f"Duplicate remote ID: one of {wanted} is another's."
        ) from error


@IdentityProvider.update(policy="identity:update_identity_provider", method="PATCH")
def update_identity_provider(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes an identity provider; tokens of its users are void while it is disabled."""
    values = some(body)
    if values.pop("remote_ids", UNSET) is not UNSET:
        _set_remote_ids(tx, row.id, body.remote_ids)
    changed(call, tx)
    rows.change(tx, identity_providers, row.id, **values)
    return rows.existing(tx, identity_providers, row.id)


@IdentityProvider.delete(policy="identity:delete_identity_provider")
def delete_identity_provider(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Trusts it no longer: its protocols go, and the users that nobody else vouches for."""
    changed(call, tx)
    known = shadow.users_of_provider(tx, row.id)
    rows.remove(tx, identity_providers, row.id)
    shadow.delete_orphans(tx, known)


IdentityProvider.show(policy="identity:get_identity_provider")
IdentityProvider.list(policy="identity:list_identity_providers")
