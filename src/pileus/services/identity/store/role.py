"""Roles, what they imply, and to whom they are assigned where."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, or_, select

from pileus.kernel.db import Timestamp, Tx
from pileus.services.identity.domain import closure
from pileus.services.identity.federation.model import expiring_memberships
from pileus.services.identity.model import NO_DOMAIN, assignments, implied_roles, memberships, roles
from pileus.services.identity.store import project as project_store

SYSTEM = "system"
MOST_NAMED = 1000
"""Ids in one statement; databases have limits."""

_GET = select(roles).where(roles.c.id == bindparam("id"))
_BY_NAME = select(roles).where(
    roles.c.name == bindparam("name"), roles.c.domain_key == bindparam("domain_key")
)
_ALL = select(roles)
_IMPLIED = select(implied_roles)


def _actors(*, more: bool) -> ColumnElement[bool]:
    """A user and its groups; with `more`, groups (`group_ids`) that a token says it is in."""
    member = select(memberships.c.group_id).where(memberships.c.user_id == bindparam("user_id"))
    guest = select(expiring_memberships.c.group_id).where(
        expiring_memberships.c.user_id == bindparam("user_id"),
        expiring_memberships.c.expires_at > bindparam("now", type_=Timestamp()),
    )
    groups = [assignments.c.actor_id.in_(member), assignments.c.actor_id.in_(guest)]
    if more:
        groups.append(assignments.c.actor_id.in_(bindparam("group_ids", expanding=True)))
    return or_(
        and_(assignments.c.actor_kind == "user", assignments.c.actor_id == bindparam("user_id")),
        and_(assignments.c.actor_kind == "group", or_(*groups)),
    )


def _held(actors: ColumnElement[bool], above: ColumnElement[bool]) -> Select[Any]:
    on_target = and_(
        assignments.c.target_kind == bindparam("target_kind"),
        assignments.c.target_id == bindparam("target_id"),
        assignments.c.inherited.is_(False),
    )
    return select(assignments.c.role_id).where(
        actors, or_(on_target, and_(above, assignments.c.inherited.is_(True)))
    )


_ACTORS = _actors(more=True)
_HELD = _held(_ACTORS, assignments.c.target_id.in_(bindparam("above", expanding=True)))
_HELD_IN_DOMAIN = _held(_actors(more=False), assignments.c.target_id == bindparam("above"))
"""As nearly always: one domain above, no groups by the token alone. Lists in a statement cost as much as the rest of it."""
_OF_USER = select(assignments).where(_ACTORS)
_ONE = select(assignments).where(
    assignments.c.actor_kind == bindparam("actor_kind"),
    assignments.c.actor_id == bindparam("actor_id"),
    assignments.c.target_kind == bindparam("target_kind"),
    assignments.c.target_id == bindparam("target_id"),
    assignments.c.role_id == bindparam("role_id"),
    assignments.c.inherited == bindparam("inherited"),
)
_GRANTED = (
    select(roles)
    .join(assignments, assignments.c.role_id == roles.c.id)
    .where(
        assignments.c.actor_kind == bindparam("actor_kind"),
        assignments.c.actor_id == bindparam("actor_id"),
        assignments.c.target_kind == bindparam("target_kind"),
        assignments.c.target_id == bindparam("target_id"),
        assignments.c.inherited == bindparam("inherited"),
    )
    .order_by(roles.c.name)
)


def get(tx: Tx, role_id: str) -> Row[Any] | None:
    return tx.row(_GET, id=role_id)


def by_name(tx: Tx, name: str, domain_key: str = NO_DOMAIN) -> Row[Any] | None:
    return tx.row(_BY_NAME, name=name, domain_key=domain_key)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(roles.insert(), values)
    row = get(tx, values["id"])
    assert row is not None
    return row


def change(tx: Tx, role_id: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(roles.update().where(roles.c.id == role_id).values(**values))
    row = get(tx, role_id)
    assert row is not None
    return row


def delete(tx: Tx, role_id: str) -> None:
    tx.execute(roles.delete().where(roles.c.id == role_id))


def by_id(tx: Tx) -> dict[str, Row[Any]]:
    """All roles."""
    return {row.id: row for row in tx.rows(_ALL)}


def implications(tx: Tx) -> dict[str, list[str]]:
    """Role id to the ids of those it implies."""
    found: dict[str, list[str]] = {}
    for row in tx.rows(_IMPLIED):
        found.setdefault(row.prior_role_id, []).append(row.implied_role_id)
    return found


def imply(tx: Tx, prior: str, implied: str) -> None:
    tx.execute(implied_roles.insert(), {"prior_role_id": prior, "implied_role_id": implied})


def no_longer_imply(tx: Tx, prior: str, implied: str) -> bool:
    """Whether it did."""
    gone = implied_roles.delete().where(
        implied_roles.c.prior_role_id == prior, implied_roles.c.implied_role_id == implied
    )
    return tx.execute(gone).rowcount > 0


@dataclass(frozen=True, slots=True)
class RoleBook:
    """All roles by id, and what each implies. Both change seldom, with `Revision.move`, and are read for every token."""

    known: Mapping[str, Row[Any]]
    implied: Mapping[str, Sequence[str]]


def book(tx: Tx) -> RoleBook:
    return RoleBook(by_id(tx), implications(tx))


# Assignments


def effective(
    tx: Tx,
    user_id: str,
    target_kind: str,
    target: Row[Any] | None,
    group_ids: Sequence[str] = (),
    roles: RoleBook | None = None,
) -> list[Row[Any]]:
    """The roles a user has on a project, a domain, or with no target on the system: its own, its groups' (and those of
    `group_ids`, in which it is for a token's life), inherited ones from above, and all that these imply. Roles of a
    domain (not global) count only by what they imply."""
    target_id = SYSTEM if target is None else target.id
    wanted: dict[str, Any] = {
        "user_id": user_id,
        "now": tx.now,
        "target_kind": target_kind,
        "target_id": target_id,
    }
    above = [] if target is None or target_kind != "project" else [target.domain_id]
    if above and target is not None and target.parent_id not in (None, target.domain_id):
        above = [row.id for row in project_store.ancestors(tx, target)]
    if len(above) < 2 and not group_ids:
        found = set(tx.scalars(_HELD_IN_DOMAIN, **wanted, above=above[0] if above else None))
    else:
        found = set(tx.scalars(_HELD, **wanted, above=above, group_ids=list(group_ids)))
    if not found:
        return []
    if roles is None or not found <= roles.known.keys():
        roles = book(tx)
    known = roles.known
    return sorted(
        (
            known[role_id]
            for role_id in closure(found, roles.implied)
            if known[role_id].domain_key == NO_DOMAIN
        ),
        key=lambda row: str(row.name),
    )


def of_user(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> Sequence[Row[Any]]:
    """All assignments of a user and its groups, and of `group_ids`."""
    return tx.rows(_OF_USER, user_id=user_id, group_ids=list(group_ids), now=tx.now)


def given(tx: Tx, actors: Collection[str] | None, targets: Collection[str] | None) -> Sequence[Row[Any]]:
    """All assignments, or those of certain users and groups, on certain targets. Where these are very many, more are
    found: who asks looks at each anyway."""
    statement = select(assignments)
    for column, ids in ((assignments.c.actor_id, actors), (assignments.c.target_id, targets)):
        if ids is not None and len(ids) <= MOST_NAMED:
            statement = statement.where(column.in_(sorted(ids)))
    return tx.rows(statement)


def is_granted(tx: Tx, grant: Mapping[str, Any]) -> bool:
    return tx.row(_ONE, **grant) is not None


def granted(tx: Tx, grant: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """The roles that the actor has been given on the target."""
    return tx.rows(_GRANTED, **grant)


def give(tx: Tx, grant: Mapping[str, Any]) -> None:
    if not is_granted(tx, grant):
        tx.execute(assignments.insert(), grant)


def take(tx: Tx, grant: Mapping[str, Any]) -> bool:
    """Whether it had been given."""
    columns = assignments.c
    return (
        tx.execute(
            assignments.delete().where(*(columns[name] == value for name, value in grant.items()))
        ).rowcount
        > 0
    )


def projects_of(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> list[Row[Any]]:
    """The enabled projects on which a user has any role."""
    rows = project_store.all_projects(tx)
    reachable = _reachable(of_user(tx, user_id, group_ids), rows)
    return [row for row in rows if row.enabled and row.id in reachable]


def _reachable(mine: Sequence[Row[Any]], rows: Sequence[Row[Any]]) -> set[str]:
    direct = {each.target_id for each in mine if each.target_kind == "project" and not each.inherited}
    inherited = {each.target_id for each in mine if each.inherited}
    parents = {row.id: row.parent_id or row.domain_id for row in rows}
    found = set()
    for row in rows:
        above, steps = parents[row.id], set()
        while above is not None and above not in steps:
            if above in inherited:
                found.add(row.id)
                break
            steps.add(above)
            above = parents.get(above)
        if row.id in direct or row.domain_id in inherited:
            found.add(row.id)
    return found


def domains_of(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> list[Row[Any]]:
    """The enabled domains on which a user has any role."""
    mine = of_user(tx, user_id, group_ids)
    wanted = {each.target_id for each in mine if each.target_kind == "domain" and not each.inherited}
    return [row for row in project_store.all_domains(tx) if row.enabled and row.id in wanted]
