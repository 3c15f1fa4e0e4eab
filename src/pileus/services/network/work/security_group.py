"""The life of a security group, with its rules. Who is a member is the ports' business."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.services.network import driver
from pileus.services.network.domain.security_rule import canonical_for_engine
from pileus.services.network.model import security_groups
from pileus.services.network.store import rows
from pileus.services.network.store import security_groups as store
from pileus.services.network.work.realizer import Realizer


class SecurityGroupProgram(Realizer[driver.SecurityGroup]):
    """Makes the engine agree with the rows of a group and its rules."""

    name = "network.security_group"
    table = security_groups

    def wanted(self, tx: Tx, row_id: str) -> driver.SecurityGroup | None:
        row = rows.get(tx, security_groups, row_id)
        if row is None:
            return None
        rules = store.rules_of(tx, [row_id])[row_id]
        return driver.SecurityGroup(
            id=row.id, stateful=row.stateful, rules=tuple(_rule(each) for each in rules)
        )

    async def ensure(self, wanted: driver.SecurityGroup, epoch: int) -> None:
        await self.engine.ensure_security_group(wanted, epoch)

    async def delete(self, row_id: str, epoch: int) -> None:
        await self.engine.delete_security_group(row_id, epoch)

    def realized(self, tx: Tx, row_id: str, wanted: driver.SecurityGroup) -> None:
        """Ports that waited for the group may go on."""
        row = rows.get(tx, security_groups, row_id)
        if row is None or row.realized:
            return
        rows.note(tx, security_groups, row_id, realized=True)
        for port_id in store.members(tx, row_id):
            self.work.wake(tx, port_id)


def _rule(row: Row[Any]) -> driver.SecurityGroupRule:
    return driver.SecurityGroupRule(
        id=row.id,
        direction=row.direction,
        ethertype=row.ethertype,
        protocol=canonical_for_engine(row.protocol, row.ethertype),
        port_range_min=row.port_range_min,
        port_range_max=row.port_range_max,
        remote_ip_prefix=row.remote_ip_prefix,
        remote_group_id=row.remote_group_id,
    )
