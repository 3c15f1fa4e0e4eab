"""A directory's users and groups in our own tables, so that everything else finds them there. Functions of a transaction.

Whoever goes missing in the directory is disabled here and in no group, not deleted: what was granted is there
again when it comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.federation.shadow import public_id
from pileus.services.identity.ldap.directory import Contents, Person, Team
from pileus.services.identity.ldap.model import directory_entries
from pileus.services.identity.model import LDAP, groups, memberships, users
from pileus.services.identity.store import user

log = structlog.get_logger("pileus.identity.ldap")
_ENTRIES = select(directory_entries).where(
    directory_entries.c.domain_id == bindparam("domain_id"), directory_entries.c.kind == bindparam("kind")
)
_ENTRY = select(directory_entries).where(directory_entries.c.public_id == bindparam("public_id"))
_USERS = select(users).where(users.c.domain_id == bindparam("domain_id"))
_GROUPS = select(groups).where(groups.c.domain_id == bindparam("domain_id"))
_MEMBERS = select(memberships).where(memberships.c.group_id == bindparam("group_id"))


def entry(tx: Tx, public_id: str) -> Row[Any] | None:
    """What in a directory a user or group stands for; None for one of our own."""
    return tx.row(_ENTRY, public_id=public_id)


def put(tx: Tx, domain_id: str, contents: Contents) -> bool:
    """Makes the domain's users and groups what the directory says; whether anything had to change."""
    people = _put_people(tx, domain_id, contents.people)
    teams = _put_teams(tx, domain_id, contents.teams)
    return people or teams


def _unlike(rows: Mapping[str, Row[Any]], found: Iterable[Any], ids: Mapping[str, str]) -> list[Any]:
    """Those whose names nobody else here has: neither one of our own, nor one that came before."""
    mirrored = set(ids.values())
    taken = {row.name for row in rows.values() if row.id not in mirrored}
    kept = []
    for each in found:
        if each.name in taken:
            log.warning("left out of the mirror: the name is taken", dn=each.dn, name=each.name)
            continue
        taken.add(each.name)
        kept.append(each)
    return kept


def _register(tx: Tx, domain_id: str, kind: str, found: Iterable[Any]) -> dict[str, str]:
    """Public ids by local ids, of all that have ever been in the directory."""
    known = {row.local_id: row for row in tx.rows(_ENTRIES, domain_id=domain_id, kind=kind)}
    for each in found:
        row = known.get(each.local_id)
        if row is None:
            values = {"domain_id": domain_id, "kind": kind, "local_id": each.local_id, "dn": each.dn}
            identifier = public_id(domain_id, kind, each.local_id)
            tx.execute(directory_entries.insert(), {**values, "public_id": identifier})
        elif row.dn != each.dn:
            columns = directory_entries.c
            tx.execute(
                directory_entries.update().where(columns.public_id == row.public_id).values(dn=each.dn)
            )
    return {row.local_id: row.public_id for row in tx.rows(_ENTRIES, domain_id=domain_id, kind=kind)}


def _put_people(tx: Tx, domain_id: str, found: Iterable[Person]) -> bool:
    found = list(found)
    rows = {row.id: row for row in tx.rows(_USERS, domain_id=domain_id) if row.origin != "federated"}
    ids = _register(tx, domain_id, "user", found)
    kept = _unlike(rows, found, ids)
    wanted = {ids[each.local_id]: _user_values(each) for each in kept}
    gone = set(ids.values()) - wanted.keys()
    changed = False
    stale = {key: wanted[key] for key, row in rows.items() if key in wanted and _differs(row, wanted[key])}
    for key in stale:  # two may have swapped their names
        user.change(tx, key, {"name": key})
    for key, values in stale.items():
        user.change(tx, key, values)
        if not values["enabled"]:
            user.revoke(tx, user_id=key)
        changed = True
    for key in wanted.keys() - rows.keys():
        blank: dict[str, Any] = {
            "password_hash": None,
            "password_changed_at": None,
            "password_expires_at": None,
            "options": {},
            "created_at": tx.now,
        }
        user.insert(tx, {**blank, **wanted[key], "id": key, "domain_id": domain_id, "origin": LDAP})
    for key in gone & rows.keys():
        if rows[key].enabled or rows[key].name != key:
            user.change(tx, key, {"enabled": False, "name": key})
            user.revoke(tx, user_id=key)
            changed = True
    return changed


def _user_values(person: Person) -> dict[str, Any]:
    extra = dict(person.extra)
    if person.email is not None:
        extra["email"] = person.email
    if person.description is not None:
        extra["description"] = person.description
    return {
        "name": person.name,
        "enabled": person.enabled,
        "default_project_id": person.default_project_id,
        "extra": extra,
    }


def _differs(row: Row[Any], values: Mapping[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in values.items())


def _put_teams(tx: Tx, domain_id: str, found: Iterable[Team]) -> bool:
    found = list(found)
    rows = {row.id: row for row in tx.rows(_GROUPS, domain_id=domain_id)}
    ids = _register(tx, domain_id, "group", found)
    kept = _unlike(rows, found, ids)
    people = {row.local_id: row.public_id for row in tx.rows(_ENTRIES, domain_id=domain_id, kind="user")}
    there = {row.id for row in tx.rows(_USERS, domain_id=domain_id)}
    wanted = {ids[each.local_id]: {"name": each.name, "description": each.description} for each in kept}
    stale = {key: wanted[key] for key, row in rows.items() if key in wanted and _differs(row, wanted[key])}
    for key in stale:
        user.change_group(tx, key, {"name": key})
    for key, values in stale.items():
        user.change_group(tx, key, values)
    for key in wanted.keys() - rows.keys():
        user.insert_group(tx, {**wanted[key], "id": key, "domain_id": domain_id, "extra": {}})
    changed = False
    members = {ids[each.local_id]: {people[one] for one in each.members} & there for each in kept}
    for key in set(ids.values()) & (rows.keys() | wanted.keys()):
        changed |= _set_members(tx, key, members.get(key, set()))
    return changed


def _set_members(tx: Tx, group_id: str, wanted: set[str]) -> bool:
    has = {row.user_id for row in tx.rows(_MEMBERS, group_id=group_id)}
    for user_id in wanted - has:
        user.add_member(tx, group_id, user_id)
    for user_id in has - wanted:
        user.remove_member(tx, group_id, user_id)
    return has != wanted
