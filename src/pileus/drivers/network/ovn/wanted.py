"""What rows the northbound database should hold, and the operations that bring it there.

A row's UUID derives from the id of what it stands for, so a row is known before it is there, and create,
update, repair and delete are one difference between two values.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pileus.drivers.network.ovn import names
from pileus.drivers.ovsdb import Operation, Row, Uuid, canonical, encode, where_row

Key = tuple[str, str]
"""Table and UUID."""
Member = tuple[str, str, str, str]
"""A row's table and UUID, its column, and the UUID of a row that this column refers to."""

_NAMESPACE = uuid.UUID("b2f5ff47-4366-5b6e-9d8a-6e2f70696c65")


def derived(owner_id: str, role: str) -> Uuid:
    """The UUID of a row that serves `owner_id` in this role: the same in every process and every run."""
    return Uuid(uuid.uuid5(_NAMESPACE, f"{owner_id} {role}"))


def external_ids(kind: str, spec: msgspec.Struct, epoch: int, network_id: str = "") -> dict[str, str]:
    """What the row that stands for a thing says of it."""
    network = {names.NETWORK: network_id} if network_id else {}
    text = msgspec.json.encode(spec).decode()
    return {names.KIND: kind, names.EPOCH: str(epoch), names.SPEC: text, **network}


class Wanted(msgspec.Struct):
    """Rows by key, and memberships in columns that several owners share (a switch's ports)."""

    rows: dict[Key, dict[str, Any]] = {}
    members: set[Member] = set()

    def add(self, table: str, row_uuid: str, columns: dict[str, Any], member_of: Key | None = None) -> Uuid:
        """Want a row; `member_of` is the table and UUID of the row whose `ports` hold it."""
        self.rows[table, str(row_uuid)] = columns
        if member_of is not None:
            self.members.add((*member_of, "ports", str(row_uuid)))
        return Uuid(row_uuid)


def difference(
    have: Mapping[str, Mapping[str, Row]], before: Wanted, after: Wanted, skip: Iterable[Key] = ()
) -> list[Operation]:
    """Operations that turn what `before` asked for, and what `have` shows of it, into what `after` asks for.

    Columns that a row in `after` does not name are left alone. Rows of `skip` are gone already.
    """
    gone = set(skip)
    operations: list[Operation] = []
    for (table, row_uuid), columns in after.rows.items():
        row = have[table].get(row_uuid)
        if row is None:
            values = {column: encode(value) for column, value in columns.items()}
            operations.append({"op": "insert", "table": table, "uuid": row_uuid, "row": values})
            continue
        values = {
            column: encode(value) for column, value in columns.items() if row.get(column) != canonical(value)
        }
        if values:
            operations.append({"op": "update", "table": table, "where": where_row(row_uuid), "row": values})
    mutations: dict[Key, dict[tuple[str, str], list[str]]] = {}
    for members, mutator in ((before.members - after.members, "delete"), (after.members, "insert")):
        for table, row_uuid, column, member in members:
            if (table, row_uuid) not in gone:
                mutations.setdefault((table, row_uuid), {}).setdefault((column, mutator), []).append(member)
    for (table, row_uuid), changes in mutations.items():
        operations.append(
            {
                "op": "mutate",
                "table": table,
                "where": where_row(row_uuid),
                "mutations": [
                    [column, mutator, encode([Uuid(member) for member in sorted(members)])]
                    for (column, mutator), members in changes.items()
                ],
            }
        )
    operations += [
        {"op": "delete", "table": table, "where": where_row(row_uuid)}
        for table, row_uuid in before.rows.keys() - after.rows.keys()
        if row_uuid in have[table]
    ]
    return operations
