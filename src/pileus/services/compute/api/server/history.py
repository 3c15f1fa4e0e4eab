"""What was asked of a server and how it went; diagnostics; the password that a guest may have left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import iso_micro
from pileus.kernel.api.fields import field
from pileus.kernel.api.filters import read_time
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.compute import domain
from pileus.services.compute.api.server.actions import check_state, check_unlocked
from pileus.services.compute.api.server.resource import EVERY_OWN, Server
from pileus.services.compute.driver import HypervisorError, Power
from pileus.services.compute.model import actions as table
from pileus.services.compute.model import servers
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V

EVENTS = "os_compute_api:os-instance-actions:events"


class ServerOfAction(Server, member="server", collection="servers", table=servers):
    """A server whose actions can be read even when it is gone, since ACTIONS_OF_DELETED."""

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        if not call.has(V.ACTIONS_OF_DELETED):
            return super().visible(call)
        return None if call.context.is_admin else (EVERY_OWN, {"visible_project_id": call.context.project_id})


class ActionEvent(msgspec.Struct, rename={"host_id": "hostId"}, kw_only=True):
    event: str
    start_time: str
    finish_time: str
    result: str
    traceback: str | UnsetType | None = UNSET
    host_id: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    details: str | UnsetType | None = UNSET


def _updated(call: Call, row: Row[Any]) -> str:
    return iso_micro(row.updated_at)


def _events(call: Call, row: Row[Any]) -> list[ActionEvent]:
    """Hosts and traces are for administrators; before ACTION_EVENTS so was everything."""
    seen = call.allows(EVENTS)
    return [_event(call, event, seen) for event in row.events]


def _event(call: Call, event: Mapping[str, Any], seen: bool) -> ActionEvent:
    shown = ActionEvent(
        event=event["event"],
        start_time=_moment(event["start"]),
        finish_time=_moment(event["finish"]),
        result=event["result"],
    )
    if seen:
        shown.traceback = event["details"]
    if call.has(V.ACTION_HOST):
        shown.host_id = domain.host_id(
            call.parent.project_id if call.parent is not None else "", event["host"]
        )
        if seen:
            shown.host = event["host"] or ""
    if call.has(V.ACTION_DETAILS):
        shown.details = event["details"]
    return shown


def _moment(text: str) -> str:
    return iso_micro(datetime.fromisoformat(text))


def _since(call: Call, values: list[str]) -> ColumnElement[bool] | None:
    return table.c.updated_at >= read_time("changes-since", values[-1]) if call.has(V.ACTION_PAGES) else None


def _before(call: Call, values: list[str]) -> ColumnElement[bool] | None:
    if not call.has(V.CHANGES_BEFORE):
        return None
    before, since = read_time("changes-before", values[-1]), call.arg("changes-since")
    if since is not None and read_time("changes-since", since) > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return table.c.updated_at <= before


class Action(
    Resource,
    member="instanceAction",
    collection="instanceActions",
    table=table,
    path="/servers/{server_id}/os-instance-actions",
    id_param="request_id",
    parent=ServerOfAction,
    parent_column="server_id",
):
    what: str = field(wire="action", column="action")
    instance_uuid: str = field(column="server_id")
    request_id: str = field()
    user_id: str = field()
    project_id: str = field()
    start_time: str = field(render=lambda call, row: iso_micro(row.started_at))
    message: str | None = field()
    updated_at: str = field(render=_updated, since=V.ACTION_PAGES)
    events: list[ActionEvent] = field(render=_events)

    key = "request_id"
    default_sort = (("started_at", "desc"), ("id", "desc"))
    filters = {"changes-since": _since, "changes-before": _before}

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def rejects_unknown_filters(cls, call: Call) -> bool:
        return call.has(V.ACTION_PAGES)

    @classmethod
    def shown(cls, call: Call, view: str) -> Any:
        """Lists are without events; one action has them for administrators, since ACTION_EVENTS for all."""
        fields = super().shown(call, view)
        if view == "full" and (call.has(V.ACTION_EVENTS) or call.allows(EVENTS)):
            return fields
        return [each for each in fields if each.name != "events"]

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Action {key} not found")


Action.list(policy="os_compute_api:os-instance-actions:list", view="list")
Action.show(policy="os_compute_api:os-instance-actions:show")


class OldDiagnostics(msgspec.Struct):
    """Before DIAGNOSTICS; memory in KiB."""

    memory: int
    vcpus: int
    nics: int


class MemoryDetails(msgspec.Struct):
    """In MiB."""

    maximum: int
    used: int | None


class CpuDetails(msgspec.Struct):
    id: int
    time: int | None
    utilisation: int | None


class Diagnostics(msgspec.Struct, kw_only=True):
    """Null is what no hypervisor here counts."""

    state: str
    driver: str
    hypervisor: str
    hypervisor_os: str
    uptime: int | None
    config_drive: bool
    num_cpus: int
    num_nics: int
    num_disks: int
    memory_details: MemoryDetails
    cpu_details: list[CpuDetails]
    nic_details: list[dict[str, str | int | None]]
    disk_details: list[dict[str, int | None]]


@Server.member_route("GET", "/diagnostics", policy="os_compute_api:os-server-diagnostics")
async def diagnostics(call: Call, row: Row[Any]) -> Diagnostics | OldDiagnostics:
    """What is known of a server's guest now."""
    check_state(row, "get_diagnostics")
    if row.host is None or row.hypervisor is None:
        raise Conflict(f"Instance {row.id} is not ready")
    try:
        hypervisor = await call.runtime.state.hosts.get(row.host).hypervisor(row.hypervisor)
        found = await hypervisor.observe(row.id)
    except HypervisorError as error:
        raise Conflict(str(error)) from error
    whole = await call.runtime.db.read(store.get, row.id)
    if not call.has(V.DIAGNOSTICS):
        return OldDiagnostics(row.memory_mib * 1024, row.vcpus, len(whole.nics))
    states = {Power.RUNNING: "running", Power.STOPPED: "shutdown", Power.CRASHED: "crashed"}
    return Diagnostics(
        state="pending" if found is None else states[found.power],
        driver="libvirt",  # the name that clients' schemas know for guests of QEMU and of containers
        hypervisor=row.hypervisor,
        hypervisor_os="linux",
        uptime=None,
        config_drive=row.config_drive,
        num_cpus=row.vcpus,
        num_nics=len(whole.nics),
        num_disks=1,
        memory_details=MemoryDetails(row.memory_mib, used=None),
        cpu_details=[CpuDetails(number, time=None, utilisation=None) for number in range(row.vcpus)],
        nic_details=[{"mac_address": nic["mac"], **dict.fromkeys(_COUNTERS)} for nic in whole.nics],
        disk_details=[dict.fromkeys(_DISK_COUNTERS)],
    )


_COUNTERS = tuple(
    f"{way}_{what}" for way in ("rx", "tx") for what in ("octets", "errors", "drop", "packets", "rate")
)
_DISK_COUNTERS = ("read_bytes", "read_requests", "write_bytes", "write_requests", "errors_count")


class PasswordAnswer(msgspec.Struct):
    password: str


@Server.member_route("GET", "/os-server-password", policy="os_compute_api:os-server-password:show")
def show_password(call: Call, tx: Tx, row: Row[Any]) -> PasswordAnswer:
    """The encrypted password that the guest gave the metadata service."""
    return PasswordAnswer(row.password or "")


@Server.member_route(
    "DELETE", "/os-server-password", policy="os_compute_api:os-server-password:clear", status=204
)
def clear_password(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Forgets that password; the guest keeps it."""
    check_unlocked(call, row)
    store.update(tx, row.id, password=None)
