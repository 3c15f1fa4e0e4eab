"""Everything the engine declares, as one converging transaction for each change.

All is looked up in the copy that follows the database. What a thing was last made from is kept beside it
(`names.SPEC`), so that a change is the difference between two pure values, made true for the rows that are
really there. A transaction expects the rows it was computed from; if another writer was quicker it is
computed again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec

from pileus.drivers import ovsdb
from pileus.drivers.network.ovn import names
from pileus.drivers.network.ovn.names import mac_of_link_local
from pileus.drivers.network.ovn.router import gateway_chassis_rows, router_rows
from pileus.drivers.network.ovn.security import secured_rows, security_group_rows
from pileus.drivers.network.ovn.switch import network_rows, port_rows
from pileus.drivers.network.ovn.wanted import Key, Wanted, difference, external_ids
from pileus.services.network.driver import (
    Network,
    NetworkError,
    Port,
    Router,
    SecurityGroup,
    StaleEpoch,
)

Thing = TypeVar("Thing", Network, Port, Router, SecurityGroup)

_TABLES = {
    "network": names.SWITCH,
    "port": names.SWITCH_PORT,
    "router": names.ROUTER,
    "security_group": names.GROUP,
}
_ATTEMPTS = 4
_REMEMBERED = 10_000
"""Epochs of deleted things to keep. A deletion this long past has no rivals any more."""


class Northbound:
    """The northbound database of a cloud whose external networks lie behind `physical_network`."""

    def __init__(self, socket: str, chassis: str, physical_network: str) -> None:
        self.database = ovsdb.Database(socket, "OVN_Northbound", names.COPIED)
        self._chassis = chassis
        self._physical_network = physical_network
        self._deleted: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def start(self, patience: float) -> None:
        try:
            await self.database.open(patience)
        except ovsdb.OvsdbError as error:
            raise NetworkError(str(error)) from error
        await self._converge(self._globals)

    async def close(self) -> None:
        await self.database.close()

    def ids(self, kind: str) -> frozenset[str]:
        """Ids of the networks, ports, routers or security groups that are there."""
        rows = self.database.rows[_TABLES[kind]]
        return frozenset(row_id for row_id, row in rows.items() if _external_ids(row).get(names.KIND) == kind)

    def is_up(self, port_id: str) -> bool:
        row = self.database.rows[names.SWITCH_PORT].get(port_id)
        return row is not None and True in row["up"] and True in row["enabled"]

    def network(self, network_id: str) -> Network:
        network = self._spec(network_id, "network", Network)
        if network is None:
            raise NetworkError(f"network {network_id} is not there; it has to be made first")
        return network

    def port(self, port_id: str) -> Port | None:
        return self._spec(port_id, "port", Port)

    def router(self, router_id: str) -> Router | None:
        return self._spec(router_id, "router", Router)

    def port_at(self, network_id: str, ip: str) -> str | None:
        """The port that holds this address on this network; a link-local one is known by the MAC in it."""
        mac = mac_of_link_local(ip)
        for row_id, row in self.database.rows[names.SWITCH_PORT].items():
            ids = _external_ids(row)
            if ids.get(names.NETWORK) == network_id and ids.get(names.KIND) == "port":
                for held in row["addresses"]:
                    own_mac, *ips = held.split()
                    if ip in ips or own_mac == mac:
                        return row_id
        return None

    async def ensure_network(self, network: Network, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("network", network.id, Network, epoch)
            before = self._network_rows(old, 0) if old else Wanted()
            after = self._network_rows(network, epoch)
            if old is not None and old != network:
                self._add_dependents(before, old)
                self._add_dependents(after, network)
            return [*self._guard("network", network.id), *self._difference(before, after)]

        await self._converge(change)

    async def delete_network(self, network_id: str, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("network", network_id, Network, epoch)
            if old is None:
                return []
            before, after = self._network_rows(old, 0), Wanted()
            self._add_dependents(before, old)
            for router, router_epoch in self._routers_on(network_id):
                gateway = router.gateway
                left = msgspec.structs.replace(
                    router,
                    interfaces=tuple(each for each in router.interfaces if each.network_id != network_id),
                    gateway=None if gateway is not None and gateway.network_id == network_id else gateway,
                )
                _merge(after, self._router_rows(left, router_epoch))
            gone = (names.SWITCH, network_id)
            return [*self._guard("network", network_id), *self._difference(before, after, gone)]

        await self._converge(change)
        self._remember("network", network_id, epoch)

    async def ensure_port(self, port: Port, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("port", port.id, Port, epoch)
            network = self.network(port.network_id)
            for group_id in port.security_group_ids:
                if group_id not in self.database.rows[names.GROUP]:
                    raise NetworkError(f"security group {group_id} is not there; it has to be made first")
            if old is not None and old.network_id != port.network_id:
                raise NetworkError(f"port {port.id} cannot move from network {old.network_id}")
            before = port_rows(old, network, 0) if old else Wanted()
            return [
                *self._guard("port", port.id),
                *self._guard("network", port.network_id),
                *self._difference(before, port_rows(port, network, epoch)),
            ]

        await self._converge(change)

    async def delete_port(self, port_id: str, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("port", port_id, Port, epoch)
            if old is None:
                return []
            before = port_rows(old, self.network(old.network_id), 0)
            return [*self._guard("port", port_id), *self._difference(before, Wanted())]

        await self._converge(change)
        self._remember("port", port_id, epoch)

    async def ensure_router(self, router: Router, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("router", router.id, Router, epoch)
            before = self._router_rows(old, 0) if old else Wanted()
            after = self._router_rows(router, epoch)
            networks = [self._guard("network", network_id) for network_id in sorted(_networks_of(router))]
            guards = [*self._guard("router", router.id), *(guard for each in networks for guard in each)]
            return [*guards, *self._difference(before, after)]

        await self._converge(change)

    async def delete_router(self, router_id: str, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("router", router_id, Router, epoch)
            if old is None:
                return []
            before = self._router_rows(old, 0)
            return [*self._guard("router", router_id), *self._difference(before, Wanted())]

        await self._converge(change)
        self._remember("router", router_id, epoch)

    async def ensure_security_group(self, group: SecurityGroup, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("security_group", group.id, SecurityGroup, epoch)
            before = _group_rows(old, 0) if old else Wanted()
            after = _group_rows(group, epoch)
            return [*self._guard("security_group", group.id), *self._difference(before, after)]

        await self._converge(change)

    async def delete_security_group(self, group_id: str, epoch: int) -> None:
        def change() -> list[ovsdb.Operation]:
            old = self._admit("security_group", group_id, SecurityGroup, epoch)
            if old is None:
                return []
            before = _group_rows(old, 0)
            return [*self._guard("security_group", group_id), *self._difference(before, Wanted())]

        await self._converge(change)
        self._remember("security_group", group_id, epoch)

    async def _converge(self, change: Callable[[], list[ovsdb.Operation]]) -> None:
        try:
            for attempt in range(_ATTEMPTS):
                await self.database.open()
                try:
                    if operations := change():
                        await self.database.transact(*operations)
                    return
                except StaleEpoch:
                    raise
                except NetworkError:
                    if attempt:
                        raise
                    # What is missed may have been made a moment ago, by another process.
                    await self.database.catch_up()
                except ovsdb.Conflict:
                    if attempt + 1 == _ATTEMPTS:
                        raise
                    await self.database.catch_up()
        except ovsdb.OvsdbError as error:
            raise NetworkError(str(error)) from error

    def _globals(self) -> list[ovsdb.Operation]:
        wanted = secured_rows()
        _merge(wanted, gateway_chassis_rows(self._chassis))
        # Beside a local socket no probe finds out more than the socket's end does.
        options = {"northd_probe_interval": "0", "use_logical_dp_groups": "true"}
        rows = self.database.rows["NB_Global"]
        row = next(iter(rows.values()), None)
        if row is None:
            values = {"options": ovsdb.encode(options)}
            return [
                {"op": "insert", "table": "NB_Global", "row": values},
                *self._difference(Wanted(), wanted),
            ]
        present = row["options"]
        if isinstance(present, dict) and any(present.get(key) != value for key, value in options.items()):
            merged = ovsdb.encode({**present, **options})
            update = {"op": "update", "table": "NB_Global", "where": [], "row": {"options": merged}}
            return [update, *self._difference(Wanted(), wanted)]
        return self._difference(Wanted(), wanted)

    def _admit(self, kind: str, thing_id: str, form: type[Thing], epoch: int) -> Thing | None:
        """What the thing was last made from, or None; refuses an epoch that has been overtaken."""
        row = self.database.rows[_TABLES[kind]].get(thing_id)
        newest = self._deleted.get((kind, thing_id), epoch)
        if row is not None:
            newest = max(newest, int(_external_ids(row).get(names.EPOCH, epoch)))
        if epoch < newest:
            raise StaleEpoch(
                f"{kind.replace('_', ' ')} {thing_id} was changed at epoch {newest}; "
                f"epoch {epoch} is out of date"
            )
        return self._spec(thing_id, kind, form)

    def _spec(self, thing_id: str, kind: str, form: type[Thing]) -> Thing | None:
        row = self.database.rows[_TABLES[kind]].get(thing_id)
        text = None if row is None else _external_ids(row).get(names.SPEC)
        return None if text is None else msgspec.json.decode(text, type=form)

    def _remember(self, kind: str, thing_id: str, epoch: int) -> None:
        self._deleted[kind, thing_id] = epoch
        self._deleted.move_to_end((kind, thing_id))
        if len(self._deleted) > _REMEMBERED:
            self._deleted.popitem(last=False)

    def _guard(self, kind: str, thing_id: str) -> list[ovsdb.Operation]:
        """Have the transaction fail if the thing's row is no longer as the copy has it. That one which is
        not there has not appeared either, its insertion finds out."""
        row = self.database.rows[_TABLES[kind]].get(thing_id)
        if row is None:
            return []
        return [
            {
                "op": "wait",
                "table": _TABLES[kind],
                "where": ovsdb.where_row(thing_id),
                "columns": ["external_ids"],
                "until": "==",
                "rows": [{"external_ids": ovsdb.encode(row["external_ids"])}],
                "timeout": 0,
            }
        ]

    def _difference(self, before: Wanted, after: Wanted, *gone: Key) -> list[ovsdb.Operation]:
        return difference(self.database.rows, before, after, gone)

    def _network_rows(self, network: Network, epoch: int) -> Wanted:
        return network_rows(network, epoch, self._physical_network)

    def _router_rows(self, router: Router, epoch: int) -> Wanted:
        networks = {network_id: self.network(network_id) for network_id in _networks_of(router)}
        return router_rows(router, networks, external_ids("router", router, epoch))

    def _add_dependents(self, wanted: Wanted, network: Network) -> None:
        """Add the rows of the ports and routers on the network, as they are when it is as given."""
        for row in self.database.rows[names.SWITCH_PORT].values():
            ids = _external_ids(row)
            if ids.get(names.KIND) == "port" and ids.get(names.NETWORK) == network.id:
                port = msgspec.json.decode(ids[names.SPEC], type=Port)
                _merge(wanted, port_rows(port, network, int(ids[names.EPOCH])))
        for router, epoch in self._routers_on(network.id):
            networks = {each: self.network(each) for each in _networks_of(router)} | {network.id: network}
            _merge(wanted, router_rows(router, networks, external_ids("router", router, epoch)))

    def _routers_on(self, network_id: str) -> list[tuple[Router, int]]:
        """Routers with a port on the network, and their epochs."""
        found = []
        for row in self.database.rows[names.ROUTER].values():
            ids = _external_ids(row)
            if names.SPEC in ids and network_id in ids[names.SPEC]:
                router = msgspec.json.decode(ids[names.SPEC], type=Router)
                if network_id in _networks_of(router):
                    found.append((router, int(ids[names.EPOCH])))
        return found


def _external_ids(row: ovsdb.Row) -> dict[str, str]:
    ids = row["external_ids"]
    return ids if isinstance(ids, dict) else {}


def _networks_of(router: Router) -> set[str]:
    ids = {interface.network_id for interface in router.interfaces}
    return ids if router.gateway is None else ids | {router.gateway.network_id}


def _merge(wanted: Wanted, other: Wanted) -> None:
    wanted.rows.update(other.rows)
    wanted.members.update(other.members)


def _group_rows(group: SecurityGroup, epoch: int) -> Wanted:
    return security_group_rows(group, external_ids("security_group", group, epoch))
