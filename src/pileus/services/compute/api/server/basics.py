"""Showing, listing, changing and deleting servers."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.services.compute import domain
from pileus.services.compute.api.server.bodies import UpdateServer
from pileus.services.compute.api.server.create import check_hostname, read_address
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.events import announce
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V

Server.show(policy="os_compute_api:servers:show")
Server.list(policy="os_compute_api:servers:index", view="brief")
Server.list(policy="os_compute_api:servers:detail", suffix="/detail", view="detail")


@Server.update(policy="os_compute_api:servers:update", body=UpdateServer, view="update")
def update(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a server's name and other words about it."""
    changes: dict[str, Any] = {}
    if body.name is not UNSET:
        changes["name"] = body.name
    if body.access_ip_v4 is not UNSET:
        changes["access_ip_v4"] = read_address(4, body.access_ip_v4)
    if body.access_ip_v6 is not UNSET:
        changes["access_ip_v6"] = read_address(6, body.access_ip_v6)
    if body.disk_config is not UNSET:
        changes["disk_config"] = body.disk_config
    if (description := getattr(body, "description", UNSET)) is not UNSET:
        changes["description"] = description
    if (hostname := getattr(body, "hostname", UNSET)) is not UNSET:
        check_hostname(call, hostname)
        changes["hostname"] = hostname
    if (zone := getattr(body, "pinned_zone", UNSET)) is not UNSET:
        _check_pin(row, zone)
        changes["pinned_zone"] = zone
    if not changes and call.has(V.STRICT_QUERIES):
        raise BadRequest("Invalid input for field/attribute server. {} does not have enough properties")
    if changes:
        store.update(tx, row.id, **changes)
    changed = store.shown(tx, row.id)
    if changes:
        announce(call.runtime.events, tx, "update", changed._asdict(), call.request_id)
    return changed


def _check_pin(row: Row[Any], zone: str | None) -> None:
    if zone is None or zone == row.pinned_zone:
        return
    if row.pinned_zone is not None:
        raise Conflict(f"Server {row.id} is pinned to {row.pinned_zone}; unpin it first (null).")
    if zone != row.availability_zone:
        raise Conflict(f"Server {row.id} is in {row.availability_zone}, so it can't be pinned to {zone}.")


@Server.delete(policy="os_compute_api:servers:delete")
def delete(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a server, whatever it is doing."""
    if row.locked_by is not None and not call.context.is_admin:
        raise Conflict(f"Instance {row.id} is locked")
    end(call, tx, row)


def end(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Asks for a server's end; asking again hurries it."""
    if row.task_state != domain.Task.DELETING:
        store.update(tx, row.id, task_state=domain.Task.DELETING, task_since=tx.now)
        actions.begin(tx, row.id, "delete", call.context, row.project_id, call.request_id)
        announce(call.runtime.events, tx, "delete.start", row._asdict(), call.request_id)
    call.runtime.work.destroy(tx, row.id, request_id=call.request_id)
