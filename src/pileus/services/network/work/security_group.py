"""The life of a security group, with its rules. Who is a member is the ports' business."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.events import Events
from pileus.kernel.work import Fault, Program, Step, Strand, Work, Write, label
from pileus.services.network import driver
from pileus.services.network.domain.security_rule import canonical_for_engine
from pileus.services.network.driver import NetworkEngine
from pileus.services.network.model import security_groups
from pileus.services.network.store import rows
from pileus.services.network.store import security_groups as store
from pileus.services.network.work.fault import record
from pileus.services.network.work.pace import DRIFT_SECONDS, REALIZE_SECONDS


class SecurityGroupProgram(Program):
    """Makes the engine agree with the rows of a group and its rules."""

    name = "network.security_group"

    def __init__(self, db: Database, work: Work, events: Events, engine: NetworkEngine) -> None:
        self.db = db
        self.work = work
        self.events = events
        self.engine = engine

    @label(deadline=REALIZE_SECONDS)
    async def start(self, strand: Strand) -> Step:
        wanted = await self.db.read(wanted_group, strand.id)
        if wanted is None:
            return strand.hop(self.destroy)
        await self.engine.ensure_security_group(wanted, strand.epoch)
        return strand.hop(self.steady, lambda tx: self._realized(tx, strand.id))

    @label()
    async def steady(self, strand: Strand) -> Step:
        wanted = await self.db.read(wanted_group, strand.id)
        if wanted is None:
            return strand.hop(self.destroy)
        await self.engine.ensure_security_group(wanted, strand.epoch)
        return strand.nap(DRIFT_SECONDS, lambda tx: self._realized(tx, strand.id))

    @label(deadline=REALIZE_SECONDS, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.engine.delete_security_group(strand.id, strand.epoch)
        return strand.done()

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return lambda tx: record(tx, self.events, security_groups, "security_group", strand.id, fault)

    def _realized(self, tx: Tx, group_id: str) -> None:
        """Ports that waited for the group may go on."""
        row = rows.get(tx, security_groups, group_id)
        if row is None or row.realized:
            return
        rows.note(tx, security_groups, group_id, realized=True)
        for port_id in store.members(tx, group_id):
            self.work.wake(tx, port_id)


def wanted_group(tx: Tx, group_id: str) -> driver.SecurityGroup | None:
    """What the rows want of the engine, or None where there is no such group."""
    row = rows.get(tx, security_groups, group_id)
    if row is None:
        return None
    rules = store.rules_of(tx, [group_id])[group_id]
    return driver.SecurityGroup(id=row.id, stateful=row.stateful, rules=tuple(_rule(each) for each in rules))


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
