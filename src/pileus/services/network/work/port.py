"""The life of a port: in the engine, plugged on a host, up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.events import Events
from pileus.kernel.work import Fault, Program, Step, Strand, Work, Write, label
from pileus.services.network import driver
from pileus.services.network.driver import Address, NetworkEngine
from pileus.services.network.model import networks, ports
from pileus.services.network.needs import Servers
from pileus.services.network.store import ports as store
from pileus.services.network.store import rows
from pileus.services.network.work.fault import record
from pileus.services.network.work.pace import DRIFT_SECONDS, REALIZE_SECONDS, UP_SECONDS, WAIT_SECONDS


class PortProgram(Program):
    """Makes the engine agree with a port's row, and tells in the row what the engine sees of it."""

    name = "network.port"

    def __init__(
        self, db: Database, work: Work, events: Events, engine: NetworkEngine, servers: Servers | None
    ) -> None:
        """`servers`: None where the service stands alone, with nobody to tell."""
        self.db = db
        self.work = work
        self.events = events
        self.engine = engine
        self.servers = servers

    @label(deadline=REALIZE_SECONDS)
    async def start(self, strand: Strand) -> Step:
        row, ready = await self.db.read(_find, strand.id)
        if row is None:
            return strand.hop(self.destroy)
        if not ready:
            return strand.nap(WAIT_SECONDS)
        await self.engine.ensure_port(wanted_port(row), strand.epoch)
        return strand.hop(self.steady, lambda tx: rows.note(tx, ports, strand.id, realized=True))

    @label()
    async def steady(self, strand: Strand) -> Step:
        row, ready = await self.db.read(_find, strand.id)
        if row is None:
            return strand.hop(self.destroy)
        if not ready:
            return strand.nap(WAIT_SECONDS)
        await self.engine.ensure_port(wanted_port(row), strand.epoch)
        seen: dict[str, Any] = {"realized": True}
        up = bool(row.host) and await self.engine.is_up(row.id)
        seen["status"] = "ACTIVE" if up else "DOWN"
        if row.untold:
            await self._tell(row)
            seen["untold"] = 0
        changed = {name: value for name, value in seen.items() if getattr(row, name) != value}
        return strand.nap(
            UP_SECONDS if row.host and row.admin_state_up and not up else DRIFT_SECONDS,
            (lambda tx: _note(tx, row, changed)) if changed else None,
        )

    async def _tell(self, row: Row[Any]) -> None:
        if self.servers is not None and row.device_id and row.device_owner.startswith("compute:"):
            await self.servers.changed(row.device_id, row.id)

    @label(deadline=REALIZE_SECONDS, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.engine.delete_port(strand.id, strand.epoch)
        return strand.done(lambda tx: self._hand_over(tx, strand.id))

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return lambda tx: record(tx, self.events, ports, "port", strand.id, fault)

    def _hand_over(self, tx: Tx, port_id: str) -> None:
        """Where the port has become a router's, that one has waited for this."""
        row = rows.get(tx, ports, port_id)
        if row is not None and row.router_id is not None:
            self.work.wake(tx, row.router_id)


def _find(tx: Tx, port_id: str) -> tuple[Row[Any] | None, bool]:
    """The port's row, and whether the engine has all that it refers to."""
    row = rows.get(tx, ports, port_id)
    if row is None or row.router_id is not None:
        return None, False  # gone, or the router's from now on
    network = rows.get(tx, networks, row.network_id)
    return row, network is not None and network.realized and not store.waits_for_group(tx, row)


def _note(tx: Tx, seen: Row[Any], values: dict[str, Any]) -> None:
    """Writes what was found out, unless the row has changed since; then the strand is awake already."""
    now = rows.get(tx, ports, seen.id)
    if now is None or now.router_id is not None:
        return
    if (now.revision_number, now.untold) == (seen.revision_number, seen.untold):
        rows.note(tx, ports, seen.id, **values)


def wanted_port(row: Row[Any]) -> driver.Port:
    """What a row wants of the engine."""
    return driver.Port(
        id=row.id,
        network_id=row.network_id,
        mac=row.mac_address,
        admin_state_up=row.admin_state_up,
        addresses=tuple(
            Address(subnet_id=each["subnet_id"], ip=each["ip_address"]) for each in row.fixed_ips
        ),
        allowed_address_pairs=tuple(
            (each["ip_address"], each["mac_address"]) for each in row.allowed_address_pairs
        ),
        port_security_enabled=row.port_security_enabled,
        security_group_ids=tuple(row.security_group_ids),
        dns_name=row.dns_name,
        dhcp_options={each["opt_name"]: each["opt_value"] for each in row.extra_dhcp_opts},
        host=row.host or None,
    )
