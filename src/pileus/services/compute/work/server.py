"""A server's life: placed, plugged, started, looked after, ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.work import Fault, Program, Step, Strand, Write, label
from pileus.lib.schedule import HostState
from pileus.services.compute.domain import PowerState, Task, VmState
from pileus.services.compute.driver import GuestNotFound, Hypervisor, HypervisorError, Power
from pileus.services.compute.events import announce
from pileus.services.compute.metadata_content import config_drive
from pileus.services.compute.needs import Needs
from pileus.services.compute.state import ComputeState
from pileus.services.compute.store import host as hosts
from pileus.services.compute.store import server as store
from pileus.services.compute.work import placing
from pileus.services.compute.work.guest import guest_of
from pileus.services.compute.work.outcome import Outcomes
from pileus.services.compute.work.ports import NicInfo, Ports, columns_of

LOOK_SECONDS = 0.5
"""How often something that should come about by itself is looked for, besides hints."""
FRESH, FRESH_AGAIN_SECONDS = timedelta(seconds=1), 5.0
"""A server that has just been launched need not be held against its guest at once."""
PATIENCE = 3
"""How often a host may fail in a row at making a guest, before the user is told."""
_POWER = {
    Power.RUNNING: PowerState.RUNNING,
    Power.STOPPED: PowerState.SHUTDOWN,
    Power.CRASHED: PowerState.CRASHED,
}


class Crowded(Exception):
    """A server that was placed meanwhile has broken the server group's policy for this host."""


class ServerProgram(Program):
    name = "compute.server"

    def __init__(self, state: ComputeState, needs: Needs) -> None:
        self.state, self.needs = state, needs
        self.db, self.hosts, self.settings = state.db, state.hosts, state.settings
        self.ports = Ports(needs.networks, state.clock)
        self.outcomes = Outcomes(state)

    # Coming to life

    @label(deadline=120)
    async def start(self, strand: Strand) -> Step:
        """Find a host and claim room on it."""
        row, spec = await self.db.read(_request, strand.id)
        resources = placing.resources_of(row)
        placement = self.needs.placement
        provider_id = None if row.wanted_host is None else hosts.host_uuid(row.wanted_host)
        candidates = await placement.candidates(
            resources, required=placing.traits_of(row), provider_id=provider_id
        )
        if not candidates:
            raise await placing.no_room(placement, resources, row.wanted_host)
        zone = self.settings.default_availability_zone
        found = await self.db.read(placing.states_of, candidates, spec, zone)
        states = [state for state, _ in found]
        if row.forced_host:
            chosen = [state for state in states if spec.disk_format in state.disk_formats]
        else:
            selection = self.state.scheduler.select(states, spec, self.state.random)
            chosen = list(selection.hosts)
            if not chosen:
                raise Fault(f"No valid host was found. {_capitalised(selection.explanation)}.")
        providers = {state.host: provider for state, provider in found}
        owner = {"project_id": row.project_id, "user_id": row.user_id}
        for choice in chosen:
            if await placement.claim(row.id, providers[choice.host], resources, **owner):
                return strand.hop(self.spawn, _place(row, choice))
        if not chosen:
            raise Fault(f"Host {row.wanted_host} can't start images of format {spec.disk_format}.")
        raise HypervisorError("All hosts with room were taken by others meanwhile.")

    @label(deadline=900)
    async def spawn(self, strand: Strand) -> Step:
        """Have the ports, the image and the running guest."""
        row = await self.db.read(store.get, strand.id)
        nics = await self.ports.ensure(row)
        try:
            if not await self._ensure(row, nics, Power.RUNNING, strand.epoch):
                return strand.nap(0.05)
        except HypervisorError as error:
            if strand.tries >= PATIENCE:
                raise Fault(f"Host {row.host} could not start the server: {error}") from error
            raise
        if all(nic["active"] for nic in nics):
            return strand.hop(self.steady, self.outcomes.launched(row, nics))
        return strand.hop(self.plug, lambda tx: _set_nics(tx, row.id, nics))

    @label()
    async def plug(self, strand: Strand) -> Step:
        """Wait until the network service has connected the ports."""
        row = await self.db.read(store.get, strand.id)
        if await self.ports.all_active(row):
            nics = [{**nic, "active": True} for nic in row.nics]
            return strand.hop(self.steady, self.outcomes.launched(row, nics))
        waited = (strand.now - row.updated_at).total_seconds()
        if waited > self.settings.vif_plugging_timeout_seconds:
            limit = self.settings.vif_plugging_timeout_seconds
            raise Fault(
                f"The server's ports did not become active within {limit:g} s. "
                "Ask the administrator whether the network engine of the host is well."
            )
        return strand.nap(min(max(0.05, waited / 4), 2.0))

    # Being looked after

    @label()
    async def steady(self, strand: Strand) -> Step:
        """Do what the row asks for; then hold it against the guest, the ports, the host."""
        row = await self.db.read(store.get, strand.id)
        if row.host is None or row.hypervisor is None:
            return strand.nap()
        match row.task_state:
            case Task.POWERING_OFF:
                return strand.hop(self.stop)
            case Task.POWERING_ON:
                return strand.hop(self.run)
            case Task.REBOOTING:
                return strand.hop(self.ask_to_reboot)
            case Task.REBOOTING_HARD:
                return strand.hop(self.reset)
        if row.vm_state not in (VmState.ACTIVE, VmState.STOPPED):
            return strand.nap()
        fresh = row.launched_at is not None and strand.now - row.launched_at < FRESH
        if fresh and row.nics_plugged and not row.unseen:
            return strand.nap(min(FRESH_AGAIN_SECONDS, self.settings.sync_seconds))
        return await self._compare(strand, row)

    async def _compare(self, strand: Strand, row: Row[Any]) -> Step:
        host, hypervisor = self.hosts.get(row.host), await self._hypervisor(row)
        state = await hypervisor.observe(row.id)
        power = None if state is None else state.power
        ended = row.vm_state == VmState.ACTIVE and power is not Power.RUNNING
        # As upstream, which asks this when its service starts: was it the guest's own doing? A reboot of the host is
        # not, nor a crash that nobody saw, such as everything being killed at once.
        torn = row.boot_id != host.boot_id() or (power is Power.CRASHED and row.id not in host.known)
        if ended and torn and self.settings.resume_guests_state_on_host_boot:
            return strand.hop(self.run, lambda tx: store.update(tx, row.id, task_state=Task.POWERING_ON))
        host.known.add(row.id)
        if row.vm_state == VmState.STOPPED and power is Power.RUNNING:
            await self._ensure(row, row.nics, Power.STOPPED, strand.epoch)
            power = Power.STOPPED
        changes: dict[str, Any] = {}
        if row.vm_state == VmState.ACTIVE and power in (Power.STOPPED, Power.CRASHED):
            # As upstream: a guest that ended by itself, however it did, is a stopped server.
            changes["vm_state"] = VmState.STOPPED
        seen = PowerState.NOSTATE if power is None else _POWER[power]
        if changes:
            seen = PowerState.SHUTDOWN
        if row.power_state != seen:
            changes["power_state"] = seen
        nics = await self.ports.look(row)
        seen_nics: dict[str, Any] = {"unseen": 0} if row.unseen else {}
        if nics != row.nics:
            seen_nics |= columns_of(nics)
        if not row.nics_plugged or [nic["port_id"] for nic in nics] != [nic["port_id"] for nic in row.nics]:
            if power is not None:
                await self._ensure(
                    row, nics, power if power is Power.RUNNING else Power.STOPPED, strand.epoch
                )
            seen_nics["nics_plugged"] = True
        if not changes and not seen_nics:
            return strand.nap(self.settings.sync_seconds)

        def write(tx: Tx) -> None:
            now = store.get(tx, row.id)
            if (now.nics, now.unseen) == (row.nics, row.unseen):
                changes.update(seen_nics)
            # Otherwise they have changed meanwhile, and the strand is awake already.
            if changes:
                store.update(tx, row.id, **changes)
            if changes.get("vm_state") == VmState.STOPPED:
                announce(self.state.events, tx, "power_off.end", store.shown(tx, row.id)._asdict())

        return strand.nap(self.settings.sync_seconds, write)

    @label(deadline=60)
    async def stop(self, strand: Strand) -> Step:
        """Ask the guest to power off."""
        row = await self.db.read(store.get, strand.id)
        await self._ask_to_power_off(row, strand.epoch)
        return strand.hop(self.stopping)

    @label(deadline=600)
    async def stopping(self, strand: Strand) -> Step:
        """Wait until it has, or pull the plug."""
        row = await self.db.read(store.get, strand.id)
        if await self._is_running(row):
            if self._has_time(strand, row):
                return strand.nap(LOOK_SECONDS)
            await self._ensure(row, row.nics, Power.STOPPED, strand.epoch)
        stopped = {"vm_state": VmState.STOPPED, "power_state": PowerState.SHUTDOWN}
        return strand.hop(self.steady, self.outcomes.settled(row, "stop", stopped))

    @label(deadline=600)
    async def run(self, strand: Strand) -> Step:
        """Start the guest; also after its host has."""
        row = await self.db.read(store.get, strand.id)
        if not await self._ensure(row, row.nics, Power.RUNNING, strand.epoch):
            return strand.nap(0.05)
        return strand.hop(self.steady, self.outcomes.running(row, "start"))

    @label(deadline=60)
    async def ask_to_reboot(self, strand: Strand) -> Step:
        row = await self.db.read(store.get, strand.id)
        await self._ask_to_power_off(row, strand.epoch)
        return strand.hop(self.rebooting)

    @label(deadline=600)
    async def rebooting(self, strand: Strand) -> Step:
        """Start the guest once it has powered off; one that takes too long is reset."""
        row = await self.db.read(store.get, strand.id)
        if await self._is_running(row):
            if self._has_time(strand, row):
                return strand.nap(LOOK_SECONDS)
            return strand.hop(self.reset)
        if not await self._ensure(row, row.nics, Power.RUNNING, strand.epoch):
            return strand.nap(0.05)
        return strand.hop(self.steady, self.outcomes.running(row, "reboot"))

    @label(deadline=600)
    async def reset(self, strand: Strand) -> Step:
        """Hard reboot; it also mends a server in ERROR whose guest can be made after all."""
        row = await self.db.read(store.get, strand.id)
        nics = row.nics or await self.ports.ensure(row)
        if await self._is_running(row):
            try:
                await (await self._hypervisor(row)).reset(row.id, strand.epoch)
            except GuestNotFound:
                return strand.nap(0.05)
        elif not await self._ensure(row, nics, Power.RUNNING, strand.epoch):
            return strand.nap(0.05)
        return strand.hop(self.steady, self.outcomes.running(row, "reboot", nics))

    # Coming to an end

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        """Leave nothing: guest, ports, claim; then say so."""
        row = await self.db.read(store.get, strand.id)
        if row.host is not None and row.hypervisor is not None:
            await (await self._hypervisor(row)).destroy(row.id, strand.epoch)
        await self.ports.give_back(row)
        await self.needs.placement.release(row.id)

        return strand.done(self.outcomes.destroyed(row))

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return self.outcomes.failed(strand, fault)

    # Shared by the labels

    async def _hypervisor(self, row: Row[Any]) -> Hypervisor:
        return await self.hosts.get(row.host).hypervisor(row.hypervisor)

    async def _ensure(self, row: Row[Any], nics: list[NicInfo], power: Power, epoch: int) -> bool:
        """Brings the guest to `power`; False while its images are still being fetched."""
        drive = None
        if row.config_drive or self.settings.force_config_drive:
            drive = await config_drive(row, nics, self.needs.networks)
        guest = guest_of(row, nics, drive)
        host = self.hosts.get(row.host)
        if power is Power.RUNNING and not await host.fetched(
            row.hypervisor, guest, self.needs.images.download
        ):
            return False
        await (await self._hypervisor(row)).ensure(guest, power, epoch)
        return True

    async def _is_running(self, row: Row[Any]) -> bool:
        state = await (await self._hypervisor(row)).observe(row.id)
        return state is not None and state.power is Power.RUNNING

    async def _ask_to_power_off(self, row: Row[Any], epoch: int) -> None:
        try:
            await (await self._hypervisor(row)).shut_down(row.id, epoch)
        except GuestNotFound:
            return  # nothing runs, which is what was wanted

    def _has_time(self, strand: Strand, row: Row[Any]) -> bool:
        """Whether the guest may still power off by itself."""
        since = row.task_since or strand.now
        return bool((strand.now - since).total_seconds() < self.settings.shutdown_timeout_seconds)


def _request(tx: Tx, server_id: str) -> tuple[Row[Any], Any]:
    row = store.get(tx, server_id)
    return row, placing.request_of(tx, row)


def _place(row: Row[Any], choice: HostState) -> Write:
    placed = {
        "host": choice.host,
        "hypervisor": choice.hypervisor_type,
        "availability_zone": choice.zone,
    }

    def write(tx: Tx) -> None:
        if placing.breaks_group(tx, row, choice.host):
            raise Crowded(f"Server group {row.group_id} has a server too many on {choice.host}.")
        store.update(tx, row.id, task_state=Task.SPAWNING, **placed)

    return write


def _set_nics(tx: Tx, server_id: str, nics: list[NicInfo]) -> None:
    store.update(tx, server_id, task_state=Task.NETWORKING, **columns_of(nics))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
