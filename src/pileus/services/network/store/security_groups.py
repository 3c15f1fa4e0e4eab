"""Security groups and their rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select

from pileus.kernel.db import Tx
from pileus.services.network.model import port_security_groups, security_group_rules, security_groups
from pileus.services.network.store import rows

_DEFAULT = select(security_groups.c.id).where(security_groups.c.default_of == bindparam("project"))
_RULES = (
    select(security_group_rules)
    .where(security_group_rules.c.security_group_id.in_(bindparam("groups", expanding=True)))
    .order_by(security_group_rules.c.id)
)
_DELETE_RULES = delete(security_group_rules).where(
    security_group_rules.c.security_group_id == bindparam("group")
)
_SAME = select(security_group_rules.c.id).where(
    security_group_rules.c.security_group_id == bindparam("group"),
    security_group_rules.c.identity == bindparam("identity"),
)
_MEMBER = (
    select(port_security_groups.c.port_id)
    .where(port_security_groups.c.security_group_id == bindparam("group"))
    .limit(1)
)
_MEMBERS = select(port_security_groups.c.port_id).where(
    port_security_groups.c.security_group_id == bindparam("group")
)
_REMOTE = select(security_group_rules.c.id, security_group_rules.c.security_group_id).where(
    security_group_rules.c.remote_group_id == bindparam("group"),
    security_group_rules.c.security_group_id != bindparam("group"),
)
_ADD_RULES = insert(security_group_rules)


def default_group(tx: Tx, project_id: str) -> str | None:
    """The id of the project's default group, if it has one by now."""
    group_id: str | None = tx.scalar(_DEFAULT, project=project_id)
    return group_id


def add_rules(tx: Tx, values: Sequence[Mapping[str, Any]]) -> None:
    tx.execute(_ADD_RULES, [dict(each) for each in values])


def rules_of(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Rules by group."""
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    if group_ids:
        for row in tx.rows(_RULES, groups=list(group_ids)):
            found[row.security_group_id].append(row)
    return found


def same_rule(tx: Tx, group_id: str, identity: str) -> str | None:
    """The group's rule that says the same already."""
    rule_id: str | None = tx.scalar(_SAME, group=group_id, identity=identity)
    return rule_id


def a_member(tx: Tx, group_id: str) -> str | None:
    """A port in the group, if there is any."""
    port_id: str | None = tx.scalar(_MEMBER, group=group_id)
    return port_id


def members(tx: Tx, group_id: str) -> Iterable[str]:
    """The ports in the group."""
    return tx.scalars(_MEMBERS, group=group_id)


def rules_about(tx: Tx, group_id: str) -> Sequence[Row[Any]]:
    """Rules of other groups that name this one as their remote."""
    return tx.rows(_REMOTE, group=group_id)


def remove(tx: Tx, group_id: str) -> None:
    tx.execute(_DELETE_RULES, {"group": group_id})
    rows.remove(tx, security_groups, group_id)
