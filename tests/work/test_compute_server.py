"""A server's program, killed at every point: it converges, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from pileus.drivers.hypervisor.sim import Faults, SimHypervisor, World
from pileus.kernel.clock import Clock
from pileus.kernel.db import Tx, rows
from pileus.kernel.ids import new_uuid
from pileus.kernel.work import Program
from pileus.kernel.work.model import strands
from pileus.services.compute.domain import Task, VmState
from pileus.services.compute.hosts import Host, Hosts
from pileus.services.compute.model import services, snapshots
from pileus.services.compute.service import service
from pileus.services.compute.settings import Settings
from pileus.services.compute.state import ComputeState
from pileus.services.compute.store import host as hosts
from pileus.services.compute.store import server as store
from pileus.services.compute.work import programs
from pileus.services.compute.work.server import ServerProgram
from pileus.services.compute.work.snapshot import SnapshotProgram
from pileus.testing.compute import FakeNeeds
from pileus.testing.crash import Act, Process, Scenario, crash_everywhere

SERVER = "5e57e000-0000-4000-8000-000000000001"
PROJECT = "p"
FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)
"""When the host was last seen: nobody ticks here."""


class Outside:
    """Hosts and the other services: what goes on when compute's process dies."""

    def __init__(self, clock: Clock) -> None:
        self.hypervisors = World()
        self.needs = FakeNeeds.over(clock)
        self.needs.networks.active_after = 0.3
        self.network_id = self.needs.networks.add_network(PROJECT)
        self.image_id = self.needs.images.add()
        self.given_port = self.needs.networks.add_port(self.network_id, PROJECT)
        self.boot_id = "one"
        self.snapshots: list[str] = []


Life = Process[Outside]


def state_of(process: Life, settings: Settings | None = None) -> ComputeState:
    outside = process.world
    faults = Faults()
    faults.latency = dict.fromkeys(
        ("ensure", "destroy", "observe", "ensure_image", "shut_down", "snapshot"), (0.001, 0.002)
    )
    driver = SimHypervisor(outside.hypervisors, "host-1", process.clock, faults)
    host = Host("host-1", [driver], boot_id=lambda: outside.boot_id)
    return ComputeState(process.runtime(service), Hosts([host]), settings)


class Story(Scenario[Outside]):
    """Common to all: one server, made by `boot`, ended by `delete`."""

    settings = Settings(shutdown_timeout_seconds=3, sync_seconds=2)

    def make_world(self, clock: Clock) -> Outside:
        return Outside(clock)

    def programs(self, process: Life) -> Sequence[Program]:
        return programs(state_of(process, self.settings), process.world.needs)

    async def check(self, process: Life) -> None:
        outside = process.world
        assert outside.hypervisors.hosts["host-1"].guests == {}
        assert set(outside.needs.networks.all_ports) == {outside.given_port}
        assert outside.needs.networks.all_ports[outside.given_port]["device_id"] == ""
        assert outside.needs.placement.allocations == {}
        row = await process.db.read(store.get, SERVER)
        assert (row.vm_state, row.task_state, row.deleted_at is None) == (VmState.DELETED, None, False)
        assert SERVER not in await process.db.read(lambda tx: tx.scalars(select(strands.c.id)))

    async def register(self, process: Life) -> None:
        state = state_of(process)
        await state.hosts.get("host-1").start()
        await process.db.write(hosts.register, state)
        await process.db.write(lambda tx: tx.execute(services.update().values(seen_at=FAR_AWAY)))

    async def is_registered(self, process: Life) -> bool:
        return bool(process.world.needs.placement.providers)

    async def boot(self, process: Life) -> None:
        await process.db.write(_insert, process)

    async def delete(self, process: Life) -> None:
        await process.db.write(lambda tx: process.work.destroy(tx, SERVER))

    async def is_gone(self, process: Life) -> bool:
        return (await process.db.read(store.get, SERVER)).deleted_at is not None


def _insert(tx: Tx, process: Life) -> None:
    outside = process.world
    image = {"disk_format": "raw", "size": 4, "sha512": None, "properties": {}}
    nics = [
        {"network_id": outside.network_id, "port_id": port_id, "fixed_ip": None, "tag": None}
        for port_id in (None, outside.given_port)
    ]
    flavor = {"vcpus": 1, "ram": 64, "disk": 1, "original_name": "f", "extra_specs": {}}
    row: dict[str, Any] = {
        "id": SERVER,
        "project_id": PROJECT,
        "user_id": "u",
        "name": "s",
        "hostname": "s",
        "created_at": tx.now,
        "updated_at": tx.now,
        "vm_state": VmState.BUILDING,
        "task_state": Task.SCHEDULING,
        "power_state": 0,
        "flavor": flavor,
        "flavor_id": "f",
        "vcpus": 1,
        "memory_mib": 64,
        "disk_gib": 1,
        "image_id": outside.image_id,
        "image": image,
        "config_drive": True,
        "metadata": {},
        "tags": [],
        "access_ip_v4": "",
        "access_ip_v6": "",
        "disk_config": "AUTO",
        "reservation_id": "r",
        "launch_index": 0,
        "scheduler_hints": {},
        "forced_host": False,
        "networks": {"nics": nics, "security_group_ids": []},
        "security_groups": [],
        "nics": [],
        "addresses": {},
    }
    store.insert(tx, [row])
    process.work.begin(tx, ServerProgram, SERVER)


def in_state(vm_state: str, task_state: str | None = None) -> Callable[[Any, Life], Awaitable[bool]]:
    async def reached(self: Any, process: Life) -> bool:
        row = await process.db.read(store.get, SERVER)
        return bool((row.vm_state, row.task_state) == (vm_state, task_state))

    return reached


def asking(task: Task) -> Callable[[Any, Life], Awaitable[None]]:
    async def ask(self: Any, process: Life) -> None:
        def write(tx: Tx) -> None:
            store.update(tx, SERVER, task_state=task, task_since=tx.now)
            process.work.wake(tx, SERVER)

        await process.db.write(write)

    return ask


class BootAndDelete(Story):
    is_active = in_state(VmState.ACTIVE)

    def story(self) -> list[Act[Outside]]:
        return [
            Act(self.register, self.is_registered),
            Act(self.boot, self.is_running_once),
            Act(self.delete, self.is_gone),
        ]

    async def is_running_once(self, process: Life) -> bool:
        guests = process.world.hypervisors.hosts["host-1"].guests
        return await self.is_active(process) and guests[SERVER].boots == 1


class StopStartReboot(Story):
    is_active, is_stopped = in_state(VmState.ACTIVE), in_state(VmState.STOPPED)
    stop, start = asking(Task.POWERING_OFF), asking(Task.POWERING_ON)
    soft, hard = asking(Task.REBOOTING), asking(Task.REBOOTING_HARD)

    def story(self) -> list[Act[Outside]]:
        return [
            Act(self.register, self.is_registered),
            Act(self.boot, self.is_active),
            Act(self.stop, self.is_off),
            Act(self.start, self.is_on),
            Act(self.soft, self.is_on),
            Act(self.hard, self.is_on),
            Act(self.delete, self.is_gone),
        ]

    async def is_off(self, process: Life) -> bool:
        power = process.world.hypervisors.hosts["host-1"].guests[SERVER].power
        return await self.is_stopped(process) and power == "stopped"

    async def is_on(self, process: Life) -> bool:
        power = process.world.hypervisors.hosts["host-1"].guests[SERVER].power
        return await self.is_active(process) and power == "running"


class DeleteWhileItIsMade(Story):
    def story(self) -> list[Act[Outside]]:
        return [Act(self.register, self.is_registered), Act(self.boot_and_delete, self.is_gone)]

    async def boot_and_delete(self, process: Life) -> None:
        await self.boot(process)
        await process.clock.sleep(0.01)
        await self.delete(process)


class AddressesThatChange(Story):
    """What the network service tells is looked at well before a server would be looked at by itself."""

    settings = Settings(sync_seconds=600)
    converge_seconds = 3.0
    is_active = in_state(VmState.ACTIVE)

    def story(self) -> list[Act[Outside]]:
        return [
            Act(self.register, self.is_registered),
            Act(self.boot, self.is_active),
            Act(self.two_floating_ips, self.shows_both),
            Act(self.no_floating_ip, self.shows_none),
            Act(self.delete, self.is_gone),
        ]

    async def two_floating_ips(self, process: Life) -> None:
        """The second one comes while the first is being looked at."""
        for address in ("203.0.113.1", "203.0.113.2"):
            ip = {"floating_ip_address": address, "port_id": process.world.given_port}
            process.world.needs.networks.floating.append(ip)
            await self.tell(process)
            await process.clock.sleep(0.0015)

    async def no_floating_ip(self, process: Life) -> None:
        process.world.needs.networks.floating.clear()
        await self.tell(process)

    async def tell(self, process: Life) -> None:
        def write(tx: Tx) -> None:
            store.leave_unseen(tx, SERVER)
            process.work.wake(tx, SERVER)

        await process.db.write(write)

    async def shows_both(self, process: Life) -> bool:
        return await _floating(process) == ["203.0.113.1", "203.0.113.2"]

    async def shows_none(self, process: Life) -> bool:
        return await _floating(process) == []


async def _floating(process: Life) -> list[str]:
    row = await process.db.read(store.get, SERVER)
    shown = [each for entries in msgspec.json.decode(row.addresses).values() for each in entries]
    return [each["addr"] for each in shown if each["OS-EXT-IPS:type"] == "floating"]


@pytest.mark.slow
async def test_addresses_that_change_show_at_once_and_survive_every_crash() -> None:
    proof = await crash_everywhere(AddressesThatChange())
    assert proof.points > 30


@pytest.mark.slow
async def test_booting_and_deleting_survive_every_crash() -> None:
    proof = await crash_everywhere(BootAndDelete())
    assert proof.points > 30


@pytest.mark.slow
async def test_power_changes_survive_every_crash() -> None:
    proof = await crash_everywhere(StopStartReboot())
    assert proof.points > 60


@pytest.mark.slow
async def test_a_delete_in_the_middle_survives_every_crash() -> None:
    await crash_everywhere(DeleteWhileItIsMade())


class SnapshotOf(Story):
    """An image is made of a running server, and another one while the server goes away."""

    is_active = in_state(VmState.ACTIVE)

    def story(self) -> list[Act[Outside]]:
        return [
            Act(self.register, self.is_registered),
            Act(self.boot, self.is_active),
            Act(self.snapshot, self.is_taken),
            Act(self.snapshot_and_delete, self.is_gone_and_settled),
        ]

    async def snapshot(self, process: Life) -> None:
        image_id = new_uuid()
        process.world.snapshots.append(image_id)
        process.world.needs.images.images_by_id[image_id] = {"id": image_id, "status": "queued"}

        def write(tx: Tx) -> None:
            store.update(tx, SERVER, task_state=Task.SNAPSHOT_PENDING, task_since=tx.now)
            snapshot = rows.add(tx, snapshots, {"image_id": image_id, "server_id": SERVER})
            process.work.begin(tx, SnapshotProgram, snapshot.id)

        await process.db.write(write)

    async def snapshot_and_delete(self, process: Life) -> None:
        await self.snapshot(process)
        await process.clock.sleep(0.002)
        await self.delete(process)

    async def is_taken(self, process: Life) -> bool:
        image = process.world.needs.images.images_by_id[process.world.snapshots[0]]
        return image["status"] == "active" and await self.is_active(process)

    async def is_gone_and_settled(self, process: Life) -> bool:
        left = await process.db.read(lambda tx: tx.rows(select(snapshots)))
        return await self.is_gone(process) and not left

    async def check(self, process: Life) -> None:
        await super().check(process)
        images = process.world.needs.images.images_by_id
        assert images[process.world.snapshots[0]]["disk_format"] == "raw"
        # Of the second one either all is there or nothing.
        assert {each["status"] for each in images.values()} == {"active"}
        left = await process.db.read(lambda tx: tx.scalars(select(strands.c.program)))
        assert SnapshotProgram.name not in left


@pytest.mark.slow
async def test_snapshots_survive_every_crash() -> None:
    proof = await crash_everywhere(SnapshotOf())
    assert proof.points > 40
