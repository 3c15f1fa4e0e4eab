"""Users, groups and who is in which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.model import (
    FEDERATED,
    assignments,
    groups,
    memberships,
    revocations,
    users,
)
from pileus.services.identity.store import credential

_GET = select(users).where(users.c.id == bindparam("id"))
_BY_NAME = select(users).where(
    users.c.name == bindparam("name"),
    users.c.domain_id == bindparam("domain_id"),
    users.c.origin != FEDERATED,
)
_GET_GROUP = select(groups).where(groups.c.id == bindparam("id"))
_GROUP_BY_NAME = select(groups).where(
    groups.c.name == bindparam("name"), groups.c.domain_id == bindparam("domain_id")
)
_GROUP_IDS = select(memberships.c.group_id).where(memberships.c.user_id == bindparam("user_id"))
_GROUPS_OF = select(groups).where(groups.c.id.in_(_GROUP_IDS)).order_by(groups.c.name)
_MEMBERS_OF = (
    select(users)
    .where(
        users.c.id.in_(select(memberships.c.user_id).where(memberships.c.group_id == bindparam("group_id")))
    )
    .order_by(users.c.name)
)
_MEMBER = select(memberships).where(
    memberships.c.group_id == bindparam("group_id"), memberships.c.user_id == bindparam("user_id")
)


def get(tx: Tx, user_id: str | None) -> Row[Any] | None:
    return tx.row(_GET, id=user_id)


def by_name(tx: Tx, name: str, domain_id: str) -> Row[Any] | None:
    """Names of users of identity providers name nobody here."""
    return tx.row(_BY_NAME, name=name, domain_id=domain_id)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(users.insert(), values)
    row = get(tx, values["id"])
    assert row is not None
    return row


def change(tx: Tx, user_id: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(users.update().where(users.c.id == user_id).values(**values))
    row = get(tx, user_id)
    assert row is not None
    return row


def delete(tx: Tx, user_id: str) -> None:
    tx.execute(assignments.delete().where(assignments.c.actor_id == user_id))
    credential.forget(tx, user_ids=[user_id])
    tx.execute(users.delete().where(users.c.id == user_id))


def get_group(tx: Tx, group_id: str) -> Row[Any] | None:
    return tx.row(_GET_GROUP, id=group_id)


def group_by_name(tx: Tx, name: str, domain_id: str) -> Row[Any] | None:
    return tx.row(_GROUP_BY_NAME, name=name, domain_id=domain_id)


def insert_group(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(groups.insert(), values)
    row = get_group(tx, values["id"])
    assert row is not None
    return row


def change_group(tx: Tx, group_id: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(groups.update().where(groups.c.id == group_id).values(**values))
    row = get_group(tx, group_id)
    assert row is not None
    return row


def delete_group(tx: Tx, group_id: str) -> None:
    tx.execute(assignments.delete().where(assignments.c.actor_id == group_id))
    tx.execute(groups.delete().where(groups.c.id == group_id))


def group_ids(tx: Tx, user_id: str) -> Sequence[str]:
    return tx.scalars(_GROUP_IDS, user_id=user_id)


def groups_of(tx: Tx, user_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_GROUPS_OF, user_id=user_id)


def members(tx: Tx, group_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_MEMBERS_OF, group_id=group_id)


def is_member(tx: Tx, group_id: str, user_id: str) -> bool:
    return tx.row(_MEMBER, group_id=group_id, user_id=user_id) is not None


def add_member(tx: Tx, group_id: str, user_id: str) -> None:
    if not is_member(tx, group_id, user_id):
        tx.execute(memberships.insert(), {"group_id": group_id, "user_id": user_id})


def remove_member(tx: Tx, group_id: str, user_id: str) -> bool:
    """Whether there was such a member."""
    gone = memberships.delete().where(memberships.c.group_id == group_id, memberships.c.user_id == user_id)
    return tx.execute(gone).rowcount > 0


# Revocation: a token that matches what is set, and was issued no later, is void.

_REVOKED = select(revocations.c.seq).where(
    revocations.c.issued_before >= bindparam("issued_at", type_=revocations.c.issued_before.type),
    revocations.c.user_id.is_(None) | (revocations.c.user_id == bindparam("user_id")),
    revocations.c.project_id.is_(None) | (revocations.c.project_id == bindparam("project_id")),
    revocations.c.domain_id.is_(None) | (revocations.c.domain_id == bindparam("domain_id")),
    revocations.c.audit_id.is_(None) | (revocations.c.audit_id == bindparam("audit_id")),
    revocations.c.audit_chain_id.is_(None) | (revocations.c.audit_chain_id == bindparam("audit_chain_id")),
)
_FORGET = revocations.delete().where(revocations.c.revoked_at < bindparam("before"))


def revoke(tx: Tx, **matching: str | None) -> None:
    """Voids the tokens issued until now that match all of `user_id`, `project_id`, `audit_id` … that are given."""
    tx.execute(revocations.insert(), {**matching, "issued_before": tx.now, "revoked_at": tx.now})


def is_revoked(tx: Tx, issued_at: datetime, **claims: str | None) -> bool:
    return tx.row(_REVOKED, issued_at=issued_at, **claims) is not None


def forget_revocations(tx: Tx, before: datetime) -> None:
    """Drops those that no living token can match."""
    tx.execute(_FORGET, {"before": before})


def revocations_since(tx: Tx, moment: datetime | None) -> Sequence[Row[Any]]:
    """In the order in which they came."""
    wanted = select(revocations).order_by(revocations.c.seq)
    return tx.rows(wanted if moment is None else wanted.where(revocations.c.revoked_at >= moment))
