"""A cloud's own traits and resource classes, beside the standard ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Table, bindparam, select

from pileus.kernel.db import Duplicate, Tx
from pileus.services.placement.model import resource_classes, traits
from pileus.services.placement.names import CUSTOM, standard_classes, standard_traits


class Names:
    """One kind of name: its table, and those that are standard."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._all = select(table).order_by(table.c.name)
        self._get = select(table).where(table.c.name == bindparam("name"))
        self._delete = table.delete().where(table.c.name == bindparam("key"))
        self._rename = (
            table.update()
            .where(table.c.name == bindparam("key"))
            .values(name=bindparam("new"), updated_at=bindparam("now"))
        )

    def standard(self) -> Iterable[str]:
        return standard_classes() if self._table is resource_classes else standard_traits()

    def custom(self, tx: Tx) -> list[str]:
        return list(tx.scalars(self._all))

    def get(self, tx: Tx, name: str) -> Row[Any] | None:
        """The row of a custom one."""
        return tx.row(self._get, name=name)

    def knows(self, tx: Tx, name: str) -> bool:
        if name.startswith(CUSTOM):
            return "\0" not in name and self.get(tx, name) is not None
        return name in self.standard()

    def unknown(self, tx: Tx, names: Iterable[str]) -> list[str]:
        """Those of `names` that there are not, sorted."""
        return sorted({name for name in names if not self.knows(tx, name)})

    def add(self, tx: Tx, name: str) -> bool:
        """False where there is one already."""
        try:
            with tx.savepoint():
                tx.execute(self._table.insert(), {"name": name, "updated_at": tx.now})
        except Duplicate:
            return False
        return True

    def rename(self, tx: Tx, name: str, new: str) -> None:
        tx.execute(self._rename, {"key": name, "new": new, "now": tx.now})

    def delete(self, tx: Tx, name: str) -> None:
        tx.execute(self._delete, {"key": name})


TRAITS = Names(traits)
CLASSES = Names(resource_classes)
