"""Quota: limits per project, held against a count of live rows in the same write transaction.

There is no reservation table, so nothing can go wrong in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Integer, String, Table, bindparam, select
from sqlalchemy.sql import Select

from pileus.kernel.db import Tx, metadata
from pileus.kernel.errors import OverQuota

UNLIMITED = -1
DEFAULT_CLASS = ""
"""Stands for the project where a row holds the default of all projects."""

limits = Table(
    "quota_limits",
    metadata,
    Column("service", String(32), primary_key=True),
    Column("project_id", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("limit", Integer, nullable=False),
)

_LIMITS = select(limits.c.project_id, limits.c.name, limits.c.limit).where(
    limits.c.service == bindparam("service"), limits.c.project_id.in_([bindparam("project"), DEFAULT_CLASS])
)


@dataclass(frozen=True)
class Quota:
    name: str
    default: int
    """Most that a project may have; UNLIMITED for no limit."""
    used: Select[Any]
    """Selects one number, what the project `:project_id` has."""


class Quotas:
    """The quotas of one service, by name."""

    def __init__(self, service: str, *quotas: Quota) -> None:
        self.service = service
        self.by_name: Mapping[str, Quota] = {quota.name: quota for quota in quotas}

    def limits(self, tx: Tx, project_id: str) -> dict[str, int]:
        """The limits that hold for a project."""
        rows = tx.rows(_LIMITS, service=self.service, project=project_id)
        found = {name: quota.default for name, quota in self.by_name.items()}
        for wanted in (DEFAULT_CLASS, project_id):
            found.update(
                {row.name: row.limit for row in rows if row.project_id == wanted and row.name in found}
            )
        return found

    def used(self, tx: Tx, project_id: str, name: str) -> int:
        return int(tx.scalar(self.by_name[name].used, project_id=project_id) or 0)

    def set_limits(self, tx: Tx, project_id: str, wanted: Mapping[str, int]) -> None:
        self_rows = [
            {"service": self.service, "project_id": project_id, "name": name, "limit": limit}
            for name, limit in wanted.items()
        ]
        for row in self_rows:
            tx.execute(_DELETE_ONE, {"s": self.service, "p": project_id, "n": row["name"]})
        if self_rows:
            tx.execute(limits.insert(), self_rows)

    def reset(self, tx: Tx, project_id: str) -> None:
        """The defaults hold again."""
        tx.execute(_DELETE_ALL, {"s": self.service, "p": project_id})

    def require(self, tx: Tx, project_id: str, wanted: Mapping[str, int], status: int) -> None:
        """Raises OverQuota where `wanted` does not fit on top of what is there."""
        if not any(wanted.values()):
            return
        limits_now = self.limits(tx, project_id)
        over = []
        for name, amount in wanted.items():
            limit = limits_now[name]
            if limit == UNLIMITED or amount <= 0:
                continue
            used = self.used(tx, project_id, name)
            if used + amount > limit:
                over.append((name, amount, used, limit))
        if over:
            names, amounts, used_words, limit_words = (
                ", ".join(str(entry[n]) for entry in over) for n in range(4)
            )
            raise OverQuota(
                f"Quota exceeded for {names}: Requested {amounts}, but already used {used_words} of {limit_words} {names}. "
                "Delete some, or ask an administrator to raise the limit.",
                status=status,
            )


_DELETE_ONE = limits.delete().where(
    limits.c.service == bindparam("s"), limits.c.project_id == bindparam("p"), limits.c.name == bindparam("n")
)
_DELETE_ALL = limits.delete().where(limits.c.service == bindparam("s"), limits.c.project_id == bindparam("p"))
