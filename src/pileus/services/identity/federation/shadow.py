"""The users that stand here for those of identity providers, and how long they are in groups by their providers' word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.kernel.ids import new_hex
from pileus.services.identity.federation.model import (
    expiring_memberships,
    federated_users,
)
from pileus.services.identity.model import FEDERATED, users
from pileus.services.identity.store import user

_FIND = (
    select(users)
    .join(federated_users, federated_users.c.user_id == users.c.id)
    .where(
        federated_users.c.idp_id == bindparam("idp_id"),
        federated_users.c.protocol_id == bindparam("protocol_id"),
        federated_users.c.unique_id == bindparam("unique_id"),
    )
)
_OF_PROVIDER = select(federated_users.c.user_id).where(federated_users.c.idp_id == bindparam("idp_id"))
_OBJECTS = (
    select(federated_users)
    .where(federated_users.c.user_id.in_(bindparam("user_ids", expanding=True)))
    .order_by(federated_users.c.idp_id, federated_users.c.protocol_id)
)
_KNOWN_AS = select(federated_users).where(
    federated_users.c.user_id == bindparam("user_id"),
    federated_users.c.idp_id == bindparam("idp_id"),
    federated_users.c.unique_id == bindparam("unique_id"),
)
_MEMBERSHIPS = select(expiring_memberships).where(
    expiring_memberships.c.user_id == bindparam("user_id"),
    expiring_memberships.c.expires_at > bindparam("now", type_=expiring_memberships.c.expires_at.type),
)


def public_id(domain_id: str, kind: str, local_id: str) -> str:
    """The id of somebody whom another store knows by `local_id`: the same at every time, as in Keystone."""
    return hashlib.sha256(f"{domain_id}{kind}{local_id}".encode()).hexdigest()


def find(tx: Tx, idp_id: str, protocol_id: str, unique_id: str) -> Row[Any] | None:
    """The user that an identity provider calls so."""
    return tx.row(_FIND, idp_id=idp_id, protocol_id=protocol_id, unique_id=unique_id)


def ensure(
    tx: Tx, idp_id: str, protocol_id: str, unique_id: str, name: str, email: str | None, domain_id: str
) -> Row[Any]:
    """The user that an identity provider calls so, made where there is none, with the name it has now."""
    person = find(tx, idp_id, protocol_id, unique_id)
    if person is None:
        person = _by_public_id(tx, idp_id, unique_id, domain_id) or _new(tx, unique_id, name, domain_id)
        link(tx, person.id, idp_id, protocol_id, unique_id)
    extra = person.extra if email is None else {**person.extra, "email": email}
    if (person.name, person.extra) != (name, extra) and person.origin == FEDERATED:
        person = user.change(tx, person.id, {"name": name, "extra": extra})
    return person


def _by_public_id(tx: Tx, idp_id: str, unique_id: str, domain_id: str) -> Row[Any] | None:
    """One whom this same provider vouches for by another protocol; another provider's user is somebody else."""
    person = user.get(tx, public_id(domain_id, "user", unique_id))
    if person is None or tx.row(_KNOWN_AS, user_id=person.id, idp_id=idp_id, unique_id=unique_id) is None:
        return None
    return person


def _new(tx: Tx, unique_id: str, name: str, domain_id: str) -> Row[Any]:
    wanted = public_id(domain_id, "user", unique_id)
    return user.insert(
        tx,
        {
            "id": wanted if user.get(tx, wanted) is None else new_hex(),
            "name": name,
            "domain_id": domain_id,
            "origin": FEDERATED,
            "default_project_id": None,
            "enabled": True,
            "password_hash": None,
            "password_changed_at": None,
            "password_expires_at": None,
            "options": {},
            "extra": {},
            "created_at": tx.now,
        },
    )


def link(tx: Tx, user_id: str, idp_id: str, protocol_id: str, unique_id: str) -> None:
    """From now on the provider's `unique_id` is this user. Raises Duplicate where it is another one."""
    values = {"user_id": user_id, "idp_id": idp_id, "protocol_id": protocol_id, "unique_id": unique_id}
    tx.execute(federated_users.insert(), values)


def unlink(tx: Tx, user_id: str) -> None:
    """No provider vouches for this user any more."""
    tx.execute(federated_users.delete().where(federated_users.c.user_id == user_id))


def objects(tx: Tx, user_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """`[{"idp_id": …, "protocols": [{"protocol_id": …, "unique_id": …}]}]` by user, for those who have any."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in tx.rows(_OBJECTS, user_ids=list(user_ids)):
        known = found.setdefault(row.user_id, {}).setdefault(row.idp_id, [])
        known.append({"protocol_id": row.protocol_id, "unique_id": row.unique_id})
    return {
        user_id: [{"idp_id": idp_id, "protocols": known} for idp_id, known in by_provider.items()]
        for user_id, by_provider in found.items()
    }


def users_of_provider(tx: Tx, idp_id: str) -> set[str]:
    """Ids of those for whom it vouches."""
    return set(tx.scalars(_OF_PROVIDER, idp_id=idp_id))


def delete_orphans(tx: Tx, user_ids: set[str]) -> None:
    """Deletes those of the users who came by federation and for whom nobody vouches any more."""
    for user_id in sorted(user_ids - objects(tx, user_ids).keys()):
        person = user.get(tx, user_id)
        if person is not None and person.origin == FEDERATED:
            user.delete(tx, user_id)


# Groups


def set_memberships(tx: Tx, user_id: str, idp_id: str, group_ids: Sequence[str], ttl: timedelta) -> bool:
    """The groups that the provider puts the user in, for as long as `ttl`; those that it no longer names are left at
    once. Whether a membership that was in force has ended."""
    before = {row.group_id for row in memberships_of(tx, user_id) if row.idp_id == idp_id}
    columns = expiring_memberships.c
    tx.execute(expiring_memberships.delete().where(columns.user_id == user_id, columns.idp_id == idp_id))
    if ttl and group_ids:
        base = {"user_id": user_id, "idp_id": idp_id, "expires_at": tx.now + ttl}
        tx.execute(expiring_memberships.insert(), [{**base, "group_id": each} for each in group_ids])
    return bool(before - set(group_ids))


def memberships_of(tx: Tx, user_id: str) -> Sequence[Row[Any]]:
    """Those in force now."""
    return tx.rows(_MEMBERSHIPS, user_id=user_id, now=tx.now)


def first_end(tx: Tx, user_id: str) -> datetime | None:
    """When the next of the user's memberships ends."""
    return min((row.expires_at for row in memberships_of(tx, user_id)), default=None)
