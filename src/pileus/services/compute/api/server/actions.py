"""What can be done with a server: `POST /servers/{id}/action`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest, Conflict, Forbidden, NotFound, NotImplementedHere
from pileus.services.compute import domain
from pileus.services.compute.api.server.basics import end
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.domain import Task, VmState
from pileus.services.compute.driver import GuestNotFound, HypervisorError
from pileus.services.compute.events import announce
from pileus.services.compute.needs import SERVICE
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V
from pileus.services.compute.work.ports import Ports, columns_of

Nothing = dict[str, Any] | None | str


def check_unlocked(call: Call, row: Row[Any]) -> None:
    if row.locked_by is not None and not call.context.is_admin:
        raise Conflict(f"Instance {row.id} is locked")


def check_state(row: Row[Any], verb: str, *, busy: tuple[str, ...] = ()) -> None:
    """409 where the server is in no state for it; `busy` are tasks that do not hinder."""
    if row.vm_state not in domain.ALLOWED[verb]:
        raise Conflict(f"Cannot '{verb}' instance {row.id} while it is in vm_state {row.vm_state}")
    if row.task_state is not None and row.task_state not in busy:
        raise Conflict(f"Cannot '{verb}' instance {row.id} while it is in task_state {row.task_state}")


def ask(call: Call, tx: Tx, row: Row[Any], action: str, **values: Any) -> None:
    """Writes what is wanted, and wakes the server's strand."""
    store.update(tx, row.id, task_since=tx.now, **values)
    actions.begin(tx, row.id, action, call.context, row.project_id, call.request_id)
    announce(call.runtime.events, tx, f"{action}.start", row._asdict(), call.request_id)
    call.runtime.work.wake(tx, row.id, request_id=call.request_id)


@Server.action("os-start", policy="os_compute_api:servers:start", body=Nothing)
def start(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Starts a stopped server."""
    check_unlocked(call, row)
    check_state(row, "start")
    ask(call, tx, row, "start", task_state=Task.POWERING_ON)


@Server.action("os-stop", policy="os_compute_api:servers:stop", body=Nothing)
def stop(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Stops a running server: it may shut down, and is switched off if it takes too long."""
    check_unlocked(call, row)
    check_state(row, "stop")
    if row.host is None:
        raise Conflict(f"Instance {row.id} is not ready: it has never been on a host.")
    ask(call, tx, row, "stop", task_state=Task.POWERING_OFF)


class Reboot(Body):
    type: Literal["SOFT", "HARD", "soft", "hard", "Soft", "Hard"] = field(required=True)


@Server.action("reboot", policy="os_compute_api:servers:reboot", body=Reboot)
def reboot(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Reboots a server, by asking its system (SOFT) or by its power (HARD)."""
    check_unlocked(call, row)
    if body.type.upper() == "SOFT":
        check_state(row, "reboot_soft")
        task = Task.REBOOTING
    else:
        check_state(row, "reboot_hard", busy=(Task.REBOOTING, Task.REBOOTING_HARD))
        task = Task.REBOOTING_HARD
    if row.host is None:
        raise Conflict(f"Instance {row.id} is not ready: it has never been on a host.")
    ask(call, tx, row, "reboot", task_state=task)


class Lock(Body):
    locked_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = field(
        default=None, since=V.LOCKED_REASON
    )


class LockOrNothing(Body):
    """Null, or an object that may have a reason."""

    @classmethod
    def decode(cls, dialect: Any, version: Any, raw: bytes) -> Any:
        return None if raw.strip() == b"null" else Lock.decode(dialect, version, raw)


@Server.action("lock", policy="os_compute_api:os-lock-server:lock", body=LockOrNothing, since=V.LOCKED_REASON)
def lock(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Locks a server against changes by all but administrators, maybe with a reason."""
    _lock(call, tx, row, None if body is None else body.locked_reason)


@Server.action(
    "lock", policy="os_compute_api:os-lock-server:lock", body=Nothing, until=V.LOCKED_REASON.previous
)
def lock_without_reason(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Locks a server against changes by all but administrators."""
    _lock(call, tx, row, None)


def _lock(call: Call, tx: Tx, row: Row[Any], reason: str | None) -> None:
    owner = call.context.project_id == row.project_id
    if row.locked_by == "owner" and not owner:
        return
    store.update(tx, row.id, locked_by="owner" if owner else "admin", locked_reason=reason)
    actions.begin(tx, row.id, "lock", call.context, row.project_id, call.request_id)


@Server.action("unlock", policy="os_compute_api:os-lock-server:unlock", body=Nothing)
def unlock(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Takes a lock off; an administrator's only by one."""
    if row.locked_by == "admin" and call.context.project_id != row.project_id:
        call.enforce("os_compute_api:os-lock-server:unlock:unlock_override", Server.target(row))
    elif row.locked_by == "admin" and not call.allows("os_compute_api:os-lock-server:unlock:unlock_override"):
        raise Forbidden("An administrator has locked this server; only one can unlock it.")
    store.update(tx, row.id, locked_by=None, locked_reason=None)
    actions.begin(tx, row.id, "unlock", call.context, row.project_id, call.request_id)


class ResetState(Body):
    state: Literal["active", "error"] = field(required=True)


@Server.action("os-resetState", policy="os_compute_api:os-admin-actions:reset_state", body=ResetState)
def reset_state(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Says what a server's state is; the next look at its guest says whether that holds."""
    state = VmState.ACTIVE if body.state == "active" else VmState.ERROR
    store.update(tx, row.id, vm_state=state, task_state=None, task_since=None)
    actions.begin(tx, row.id, "reset_state", call.context, row.project_id, call.request_id)


class ConsoleOutput(msgspec.Struct, forbid_unknown_fields=True):
    length: int | str | UnsetType | None = UNSET


class ConsoleAnswer(msgspec.Struct):
    output: str


@Server.action(
    "os-getConsoleOutput", policy="os_compute_api:os-console-output", body=ConsoleOutput, status=200
)
async def console_output(call: Call, row: Row[Any], body: ConsoleOutput) -> ConsoleAnswer:
    """What the guest wrote to its serial console: its last `length` lines, or all."""
    if row.host is None or row.hypervisor is None:
        raise Conflict(f"Instance {row.id} is not ready")
    lines = None
    if body.length not in (UNSET, None, ""):
        try:
            lines = int(str(body.length))
        except ValueError as error:
            raise BadRequest(f"Invalid input for field/attribute length. Value: {body.length}.") from error
        if lines < -1:
            raise BadRequest(f"Invalid input for field/attribute length. {lines} is less than -1.")
        lines = None if lines == -1 else lines
    try:
        hypervisor = await call.runtime.state.hosts.get(row.host).hypervisor(row.hypervisor)
        text = await hypervisor.console_log(row.id, lines)
    except GuestNotFound as error:
        raise NotFound(f"Unable to get console: {error}") from error
    except HypervisorError as error:
        raise Conflict(str(error)) from error
    if lines is not None:  # upstream counts what follows the last line break as a line
        text = "\n".join(text.split("\n")[-lines:]) if lines else ""
    return ConsoleAnswer("".join(char for char in text if char >= " " or char in "\n\r\t\x1b"))


class GroupName(Body):
    name: Annotated[str, Meta(min_length=1, max_length=255)] = field(required=True)


@Server.action("addSecurityGroup", policy="os_compute_api:os-security-groups:add", body=GroupName)
async def add_security_group(call: Call, row: Row[Any], body: Any) -> None:
    """Puts all of a server's ports into a security group."""
    await _change_groups(call, row, body.name, add=True)


@Server.action("removeSecurityGroup", policy="os_compute_api:os-security-groups:remove", body=GroupName)
async def remove_security_group(call: Call, row: Row[Any], body: Any) -> None:
    """Takes all of a server's ports out of a security group."""
    await _change_groups(call, row, body.name, add=False)


async def _change_groups(call: Call, row: Row[Any], name: str, *, add: bool) -> None:
    check_unlocked(call, row)
    check_state(row, "add_security_group")
    networks = call.runtime.needs.networks
    groups = await networks.security_groups(call.context, tenant_id=row.project_id)
    found = [each for each in groups if each["id"] == name] or [
        each for each in groups if each["name"] == name
    ]
    if not found:
        raise NotFound(f"Security group {name} not found for project {row.project_id}.")
    if len(found) > 1:
        raise Conflict(f"Multiple security groups found matching '{name}'. Use an ID to be more specific.")
    group_id = found[0]["id"]
    ports = await networks.ports(SERVICE, device_id=row.id)
    if not ports:
        raise BadRequest(f"Instance {row.id} has no ports; a security group would have no effect.")
    if not add and not any(group_id in port["security_groups"] for port in ports):
        raise NotFound(f"Security group {name} is not associated with instance {row.id}.")
    for port in ports:
        before = port["security_groups"]
        after = [each for each in before if each != group_id] + ([group_id] if add else [])
        if set(before) != set(after):
            try:
                await networks.update_port(SERVICE, port["id"], {"security_groups": after})
            except ApiError as error:
                raise BadRequest(
                    f"Port {port['id']} can't take the security group: {error.message}"
                ) from error
    whole = await call.runtime.db.read(store.get, row.id)
    nics = await Ports(networks, call.runtime.clock).look(whole)
    await call.runtime.db.write(lambda tx: store.update(tx, row.id, **columns_of(nics)))


class Password(Body):
    password: str = field(wire="adminPass", required=True)


@Server.action("changePassword", policy="os_compute_api:os-admin-password", body=Password)
def change_password(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Not possible: no hypervisor here can set a password inside a guest."""
    check_unlocked(call, row)
    check_state(row, "set_admin_password")
    raise NotImplementedHere("Unable to set password on instance: no hypervisor here can reach into a guest.")


@Server.action("forceDelete", policy="os_compute_api:os-deferred-delete:force", body=Nothing)
def force_delete(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Deletes a server; here the same as DELETE, as nothing is deleted later."""
    check_unlocked(call, row)
    end(call, tx, row)


@Server.action("restore", policy="os_compute_api:os-deferred-delete:restore", body=Nothing)
def restore(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Not possible: nothing is deleted later."""
    raise Conflict(f"Cannot 'restore' instance {row.id} while it is in vm_state {row.vm_state}")


@Server.action(
    "injectNetworkInfo", policy="os_compute_api:os-admin-actions:inject_network_info", body=Nothing
)
def inject_network_info(call: Call, tx: Tx, row: Row[Any], body: Any) -> None:
    """Has a server's ports looked at again."""
    call.runtime.work.wake(tx, row.id)
