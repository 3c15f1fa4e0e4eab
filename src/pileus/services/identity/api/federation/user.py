"""What users have by federation: who vouches for them, and the groups they are in for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, and_, select

from pileus.kernel.api.call import Call
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.services.identity.federation import shadow, store
from pileus.services.identity.federation.model import federated_users
from pileus.services.identity.model import users
from pileus.services.identity.store import user

FEDERATED_FILTERS = ("idp_id", "protocol_id", "unique_id")
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
UniqueId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class FederatedProtocol(msgspec.Struct, forbid_unknown_fields=True):
    protocol_id: Id
    unique_id: UniqueId


class FederatedObject(msgspec.Struct, forbid_unknown_fields=True):
    """An identity provider that vouches for a user, and what it calls the user by each of its protocols."""

    idp_id: Id
    protocols: list[FederatedProtocol]


def shown_federated(call: Call, row: Row[Any]) -> Any:
    """Nothing at all for a user for whom nobody vouches."""
    return call.gathered.get("federated", {}).get(row.id, UNSET)


def gather_federated(call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
    call.gathered["federated"] = shadow.objects(tx, [row.id for row in rows])


def federated_filter(call: Call, values: list[str]) -> ColumnElement[bool] | None:
    """All of the filters together, as they must hold for one and the same entry; it comes once for each of them."""
    asked = {name: call.arg(name) for name in FEDERATED_FILTERS if name in call.query}
    same = and_(*(federated_users.c[name] == value for name, value in asked.items()))
    return users.c.id.in_(select(federated_users.c.user_id).where(same))


def set_federated(tx: Tx, user_id: str, wanted: Any) -> None:
    """Who vouches for a user from now on; as upstream, an empty list changes nothing."""
    if wanted in (UNSET, None, []):
        return
    shadow.unlink(tx, user_id)
    for each in wanted:
        for one in each.protocols:
            if store.protocol(tx, each.idp_id, one.protocol_id) is None:
                raise BadRequest(
                    f"Could not find federated protocol {one.protocol_id} for Identity Provider: {each.idp_id}."
                )
            try:
                shadow.link(tx, user_id, each.idp_id, one.protocol_id, one.unique_id)
            except Duplicate as error:
                raise Conflict(
                    "Conflict occurred attempting to store federated_user - "
                    f"{each.idp_id} calls another user {one.unique_id}."
                ) from error


def expiring_groups(call: Call, tx: Tx, user_id: str, known: set[str]) -> Iterator[tuple[Row[Any], str]]:
    """The groups beyond the `known` that a user is in by an identity provider's word, and until when."""
    time = call.runtime.service.dialect.time
    for membership in shadow.memberships_of(tx, user_id):
        group = user.get_group(tx, membership.group_id)
        if group is not None and group.id not in known:
            yield group, time(membership.expires_at)
