"""Identity providers, protocols, mappings and service providers in tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.federation.model import (
    protocols,
    remote_ids,
    service_providers,
)

_PROTOCOL = select(protocols).where(
    protocols.c.idp_id == bindparam("idp_id"), protocols.c.id == bindparam("id")
)
_REMOTE_IDS = (
    select(remote_ids)
    .where(remote_ids.c.idp_id.in_(bindparam("ids", expanding=True)))
    .order_by(remote_ids.c.remote_id)
)
_ENABLED_SPS = (
    select(service_providers).where(service_providers.c.enabled.is_(True)).order_by(service_providers.c.id)
)


def protocol(tx: Tx, idp_id: str, protocol_id: str) -> Row[Any] | None:
    return tx.row(_PROTOCOL, idp_id=idp_id, id=protocol_id)


def remote_ids_of(tx: Tx, idp_ids: Iterable[str]) -> dict[str, list[str]]:
    """What each identity provider calls itself."""
    found: dict[str, list[str]] = {idp_id: [] for idp_id in idp_ids}
    for row in tx.rows(_REMOTE_IDS, ids=list(found)):
        found[row.idp_id].append(row.remote_id)
    return found


def set_remote_ids(tx: Tx, idp_id: str, wanted: Sequence[str]) -> None:
    """Raises Duplicate where another identity provider has one of them."""
    tx.execute(remote_ids.delete().where(remote_ids.c.idp_id == idp_id))
    if wanted:
        tx.execute(remote_ids.insert(), [{"remote_id": each, "idp_id": idp_id} for each in wanted])


def insert_protocol(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(protocols.insert(), values)
    row = protocol(tx, values["idp_id"], values["id"])
    assert row is not None
    return row


def change_protocol(tx: Tx, idp_id: str, protocol_id: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(
            protocols.update()
            .where(protocols.c.idp_id == idp_id, protocols.c.id == protocol_id)
            .values(**values)
        )
    row = protocol(tx, idp_id, protocol_id)
    assert row is not None
    return row


def delete_protocol(tx: Tx, idp_id: str, protocol_id: str) -> None:
    tx.execute(protocols.delete().where(protocols.c.idp_id == idp_id, protocols.c.id == protocol_id))


def enabled_service_providers(tx: Tx) -> list[dict[str, str]]:
    """As tokens list them."""
    return [{"id": row.id, "auth_url": row.auth_url, "sp_url": row.sp_url} for row in tx.rows(_ENABLED_SPS)]
