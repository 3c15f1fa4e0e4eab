"""Hosts as the compute API once had them, gone since NO_HOSTS: hypervisors and services say the same."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound, NotImplementedHere
from pileus.services.compute.store import host as store
from pileus.services.compute.store import server as servers
from pileus.services.compute.versions import V

routes = Routes()
HOSTS = "os_compute_api:os-hosts"
UNTIL = V.NO_HOSTS.previous
POWER = {"startup": "start", "shutdown": "shutdown", "reboot": "reboot"}
"""What could be done to a host, with the rule for each."""


class Host(msgspec.Struct):
    host_name: str
    service: str
    zone: str


class HostsAnswer(msgspec.Struct):
    hosts: list[Host]


class Line(msgspec.Struct):
    """What there is, or is used, of a host; which of them is said as if it were a project."""

    host: str
    project: str
    cpu: int
    memory_mb: int
    disk_gb: int


class HostAnswer(msgspec.Struct):
    """Each line below the name `resource`."""

    host: list[dict[str, Line]]


class UpdatedHost(msgspec.Struct):
    host: str
    status: str


def _zone(call: Call, tx: Tx, row: Row[Any]) -> str:
    default = call.runtime.state.settings.default_availability_zone
    return (
        store.zone_of(row.host, store.every_aggregate(tx), default)
        if row.binary == store.COMPUTE
        else "internal"
    )


@routes.add("GET", "/os-hosts", policy=f"{HOSTS}:list", until=UNTIL)
def list_hosts(call: Call, tx: Tx) -> HostsAnswer:
    """Lists hosts with what runs on them."""
    shown = [
        Host(row.host, row.binary.removeprefix("nova-"), _zone(call, tx, row))
        for row in store.every_service(tx)
    ]
    zone = call.arg("zone")
    return HostsAnswer([each for each in shown if not zone or each.zone == zone])


def _find(call: Call, tx: Tx) -> Row[Any]:
    row = store.find(tx, call.params["host"])
    if row is None:
        raise NotFound(f"Compute host {call.params['host']} could not be found.")
    return row


@routes.add("GET", "/os-hosts/{host}", policy=f"{HOSTS}:show", until=UNTIL)
def show_host(call: Call, tx: Tx) -> HostAnswer:
    """Shows what a host has and what is used of it."""
    row = _find(call, tx)
    used = servers.used_by_host(tx).get(row.name)
    lines = [("(total)", row.vcpus, row.memory_mib, row.disk_gib)]
    taken = (used.vcpus, used.memory_mib, used.disk_gib) if used is not None else (0, 0, 0)
    lines += [("(used_now)", *taken), ("(used_max)", *taken)]
    return HostAnswer([{"resource": Line(row.name, *line)} for line in lines])


class UpdateHost(Body):
    status: Literal["enable", "disable", "Enable", "Disable", "ENABLE", "DISABLE"] | None = field(
        default=None
    )
    maintenance_mode: Literal["enable", "disable"] | None = field(default=None)


@routes.add("PUT", "/os-hosts/{host}", policy=f"{HOSTS}:update", body=UpdateHost, until=UNTIL)
def update_host(call: Call, tx: Tx, body: Any) -> UpdatedHost:
    """Puts a host into service or takes it out."""
    row = _find(call, tx)
    if body.maintenance_mode is not None:
        raise NotImplementedHere("No hypervisor here knows a maintenance mode; disable the host instead.")
    if body.status is None:
        raise BadRequest("Invalid input for field/attribute host. {} does not have enough properties")
    disabled = body.status.lower() == "disable"
    service = store.compute_services(tx)[row.name]
    store.update_service(tx, service.id, disabled=disabled, disabled_reason=None)
    change = call.runtime.state.disabled.add if disabled else call.runtime.state.disabled.discard
    tx.after_commit(lambda: change(row.name))
    return UpdatedHost(row.name, "disabled" if disabled else "enabled")


def _refuse(call: Call, tx: Tx) -> None:
    """Not possible: hosts are not switched on and off from here."""
    _find(call, tx)
    raise NotImplementedHere("Hosts are not switched on and off through this API.")


for _verb, _rule in POWER.items():
    routes.add("GET", f"/os-hosts/{{host}}/{_verb}", policy=f"{HOSTS}:{_rule}", until=UNTIL)(_refuse)
