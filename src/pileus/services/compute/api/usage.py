"""What projects have used: `/os-simple-tenant-usage`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import iso_micro
from pileus.kernel.api.links import page_url
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.compute import domain
from pileus.services.compute.api.types import read_int
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V

routes = Routes()
USAGE = "os_compute_api:os-simple-tenant-usage"
DAYS = 28
"""How far back usage goes where the client says nothing."""
MOST = 1000
_decode = msgspec.json.Decoder().decode
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d")


class ServerUsage(msgspec.Struct, kw_only=True):
    """Hours within the window, and the whole uptime in seconds."""

    instance_id: str
    name: str
    hours: float
    flavor: str
    vcpus: int
    memory_mb: int
    local_gb: int
    tenant_id: str
    started_at: str
    ended_at: str | None
    state: str
    uptime: int


class Usage(msgspec.Struct, kw_only=True):
    """Sums of a project's servers, each by its hours."""

    tenant_id: str
    start: str
    stop: str
    total_hours: float
    total_vcpus_usage: float
    total_memory_mb_usage: float
    total_local_gb_usage: float
    server_usages: list[ServerUsage] | UnsetType = UNSET


class UsagesAnswer(msgspec.Struct):
    tenant_usages: list[Usage]
    tenant_usages_links: list[dict[str, str]] | UnsetType = UNSET


class UsageAnswer(msgspec.Struct):
    tenant_usage: Usage
    tenant_usage_links: list[dict[str, str]] | UnsetType = UNSET


class NoUsageAnswer(msgspec.Struct):
    tenant_usage: dict[str, str]


def _time(name: str, text: str | None, otherwise: datetime) -> datetime:
    if not text:
        return otherwise
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise BadRequest(f"Invalid value {text!r} for {name}: it must be a time as 2026-01-31T12:00:00.")


def _window(call: Call, now: datetime) -> tuple[datetime, datetime]:
    start = _time("start", call.arg("start"), now - timedelta(days=DAYS))
    end = _time("end", call.arg("end"), now)
    if start >= end:
        raise BadRequest("Invalid start time. The start time cannot occur after the end time.")
    return start, end


@routes.add("GET", "/os-simple-tenant-usage", policy=f"{USAGE}:list")
def list_usage(call: Call, tx: Tx) -> UsagesAnswer:
    """Lists the use of all projects."""
    if call.path.endswith("/"):
        raise NotFound("The path names no project.")
    start, end = _window(call, tx.now)
    rows, links = _page(call, store.usage(tx, start, end, None))
    by_project: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_project.setdefault(row.project_id, []).append(row)
    detailed = call.arg("detailed") == "1"
    usages = [_usage(project, mine, start, end, tx.now, detailed) for project, mine in by_project.items()]
    return UsagesAnswer(usages, links)


@routes.add("GET", "/os-simple-tenant-usage/{project}", policy="@authenticated")
def show_usage(call: Call, tx: Tx) -> UsageAnswer | NoUsageAnswer:
    """Shows the use of one project."""
    project_id = call.params["project"]
    call.enforce(f"{USAGE}:show", {"project_id": project_id})
    start, end = _window(call, tx.now)
    rows, links = _page(call, store.usage(tx, start, end, project_id))
    if not rows:
        return NoUsageAnswer({})
    return UsageAnswer(_usage(project_id, rows, start, end, tx.now, True), links)


def _page(
    call: Call, rows: Sequence[Row[Any]]
) -> tuple[Sequence[Row[Any]], list[dict[str, str]] | UnsetType]:
    if not call.has(V.USAGE_PAGES):
        return rows[:MOST], UNSET
    limit = min(read_int("limit", call.arg("limit") or str(MOST)), MOST)
    if limit < 0:
        raise BadRequest(f"Invalid limit {limit}: it must be zero or more.")
    marker = call.arg("marker")
    if marker is not None:
        at = next((number for number, row in enumerate(rows) if row.id == marker), None)
        if at is None:
            raise BadRequest(f"marker [{marker}] not found")
        rows = rows[at + 1 :]
    page = rows[:limit]
    if len(rows) <= limit or not page:
        return page, UNSET
    return page, [{"rel": "next", "href": page_url(call, marker=page[-1].id)}]


def _usage(
    project_id: str, rows: Sequence[Row[Any]], start: datetime, end: datetime, now: datetime, detailed: bool
) -> Usage:
    servers = [_server_usage(row, start, end, now) for row in rows]
    return Usage(
        tenant_id=project_id,
        start=iso_micro(start),
        stop=iso_micro(end),
        total_hours=sum(each.hours for each in servers),
        total_vcpus_usage=sum(each.hours * each.vcpus for each in servers),
        total_memory_mb_usage=sum(each.hours * each.memory_mb for each in servers),
        total_local_gb_usage=sum(each.hours * each.local_gb for each in servers),
        server_usages=servers if detailed else UNSET,
    )


def _server_usage(row: Row[Any], start: datetime, end: datetime, now: datetime) -> ServerUsage:
    begun, ended = max(row.launched_at, start), min(row.deleted_at or end, end)
    state = "terminated" if row.deleted_at is not None else row.vm_state
    return ServerUsage(
        instance_id=row.id,
        name=row.name,
        hours=max(0.0, (ended - begun).total_seconds() / 3600),
        flavor=_decode(row.flavor)["original_name"],
        vcpus=row.vcpus,
        memory_mb=row.memory_mib,
        local_gb=row.disk_gib,
        tenant_id=row.project_id,
        started_at=iso_micro(row.launched_at),
        ended_at=None if row.deleted_at is None else iso_micro(row.deleted_at),
        state=state if state != domain.VmState.DELETED else "terminated",
        uptime=int(((row.deleted_at or now) - row.launched_at).total_seconds()),
    )
