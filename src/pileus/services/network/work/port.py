"""The life of a port: in the engine, plugged on a host, up."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.events import Events
from pileus.kernel.work import Step, Strand, Work, label
from pileus.services.network import driver
from pileus.services.network.driver import Address, NetworkEngine
from pileus.services.network.model import networks, ports
from pileus.services.network.needs import Servers
from pileus.services.network.store import ports as store
from pileus.services.network.store import rows
from pileus.services.network.work.pace import DRIFT_SECONDS, UP_SECONDS, WAIT_SECONDS
from pileus.services.network.work.realizer import Realizer


class Wanted(NamedTuple):
    row: Row[Any]
    ready: bool
    """Whether the engine has all that the port refers to."""


class PortProgram(Realizer[Wanted]):
    """Makes the engine agree with a port's row, and tells in the row what the engine sees of it."""

    name = "network.port"
    table = ports

    def __init__(
        self, db: Database, work: Work, events: Events, engine: NetworkEngine, servers: Servers | None
    ) -> None:
        """`servers`: None where the service stands alone, with nobody to tell."""
        super().__init__(db, work, events, engine)
        self.servers = servers

    def wanted(self, tx: Tx, row_id: str) -> Wanted | None:
        row = rows.get(tx, ports, row_id)
        if row is None or row.router_id is not None:
            return None  # gone, or the router's from now on
        network = rows.get(tx, networks, row.network_id)
        ready = network is not None and network.realized and not store.waits_for_group(tx, row)
        return Wanted(row, ready)

    def is_ready(self, wanted: Wanted) -> bool:
        return wanted.ready

    async def ensure(self, wanted: Wanted, epoch: int) -> None:
        await self.engine.ensure_port(_port(wanted.row), epoch)

    async def delete(self, row_id: str, epoch: int) -> None:
        await self.engine.delete_port(row_id, epoch)

    def realized(self, tx: Tx, row_id: str, wanted: Wanted) -> None:
        rows.note(tx, ports, row_id, realized=True)

    def deleted(self, tx: Tx, row_id: str) -> None:
        """Where the port has become a router's, that one has waited for this."""
        row = rows.get(tx, ports, row_id)
        if row is not None and row.router_id is not None:
            self.work.wake(tx, row.router_id)

    @label()
    async def steady(self, strand: Strand) -> Step:
        """The engine is asked besides whether traffic flows."""
        wanted = await self.db.read(self.wanted, strand.id)
        if wanted is None:
            return strand.hop(self.destroy)
        if not wanted.ready:
            return strand.nap(WAIT_SECONDS)
        await self.ensure(wanted, strand.epoch)
        row = wanted.row
        up = bool(row.host) and await self.engine.is_up(row.id)
        seen: dict[str, Any] = {"realized": True, "status": "ACTIVE" if up else "DOWN"}
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


def _note(tx: Tx, seen: Row[Any], values: dict[str, Any]) -> None:
    """Writes what was found out, unless the row has changed since; then the strand is awake already."""
    now = rows.get(tx, ports, seen.id)
    if now is None or now.router_id is not None:
        return
    if (now.revision_number, now.untold) == (seen.revision_number, seen.untold):
        rows.note(tx, ports, seen.id, **values)


def _port(row: Row[Any]) -> driver.Port:
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
