"""What is written once a server has come where its row wants it: the row, its action's end, the event."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.work import Fault, Strand, Write
from pileus.services.compute.domain import PowerState, VmState
from pileus.services.compute.events import announce
from pileus.services.compute.state import ComputeState
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import server as store
from pileus.services.compute.work.ports import NicInfo, columns_of

_EVENTS = {
    "create": "compute__do_build_and_run_instance",
    "start": "compute_start_instance",
    "stop": "compute_stop_instance",
    "reboot": "compute_reboot_instance",
    "delete": "compute_terminate_instance",
}
"""Names of an action's event, as upstream's tools know them."""
_ACTION_OF = {
    "stop": "stop",
    "stopping": "stop",
    "run": "start",
    "ask_to_reboot": "reboot",
    "rebooting": "reboot",
    "reset": "reboot",
}
"""The action that a label belongs to; all others make the server."""


class Outcomes:
    def __init__(self, state: ComputeState) -> None:
        self.hosts, self.events = state.hosts, state.events

    def launched(self, row: Row[Any], nics: list[NicInfo]) -> Write:
        host = self.hosts.get(row.host)
        host.known.add(row.id)
        boot_id = host.boot_id()

        def write(tx: Tx) -> None:
            if any(nic["port_id"] for nic in row.networks["nics"]):
                store.leave_unseen(tx, row.id)  # a port of the user's may have floating IPs already
            store.update(
                tx,
                row.id,
                vm_state=VmState.ACTIVE,
                task_state=None,
                task_since=None,
                power_state=PowerState.RUNNING,
                launched_at=tx.now,
                fault=None,
                boot_id=boot_id,
                **columns_of(nics),
            )
            self._finish(tx, row, "create")

        return write

    def running(self, row: Row[Any], action: str, nics: list[NicInfo] | None = None) -> Write:
        host = self.hosts.get(row.host)
        host.known.add(row.id)
        values: dict[str, Any] = {
            "vm_state": VmState.ACTIVE,
            "power_state": PowerState.RUNNING,
            "boot_id": host.boot_id(),
            "fault": None,
        }
        if nics is not None and nics != row.nics:
            values |= columns_of(nics)
        return self.settled(row, action, values)

    def settled(self, row: Row[Any], action: str, values: dict[str, Any]) -> Write:
        """The task has come to its end, unless another was asked for meanwhile."""

        def write(tx: Tx) -> None:
            now = store.get(tx, row.id)
            if now.task_state == row.task_state:
                values.update(task_state=None, task_since=None)
            if values["vm_state"] == VmState.ACTIVE and row.launched_at is None:
                values["launched_at"] = tx.now
            store.update(tx, row.id, **values)
            self._finish(tx, row, action)

        return write

    def destroyed(self, row: Row[Any]) -> Write:
        def write(tx: Tx) -> None:
            store.update(
                tx,
                row.id,
                vm_state=VmState.DELETED,
                task_state=None,
                task_since=None,
                power_state=PowerState.NOSTATE,
                deleted_at=tx.now,
            )
            self._finish(tx, row, "delete")

        return write

    def failed(self, strand: Strand, fault: Fault) -> Write:
        def write(tx: Tx) -> None:
            row = store.get(tx, strand.id)
            if strand.doomed:
                self._finish(tx, row, "delete", fault.message)
                return
            said = {"code": 500, "created": tx.now.strftime("%Y-%m-%dT%H:%M:%SZ"), "message": fault.message}
            store.update(tx, row.id, vm_state=VmState.ERROR, task_state=None, task_since=None, fault=said)
            self._finish(tx, row, _ACTION_OF.get(strand.label, "create"), fault.message)

        return write

    def _finish(self, tx: Tx, row: Row[Any], action: str, error: str | None = None) -> None:
        """Records how an action went, and tells it to all who listen."""
        request_id = actions.finish(
            tx, row.id, action, _EVENTS[action], row.task_since or row.created_at, row.host, error
        )
        now = store.shown(tx, row.id)
        what = f"{action}.end" if error is None else f"{action}.error"
        more = {} if error is None else {"message": error}
        announce(self.events, tx, what, now._asdict(), request_id, **more)
