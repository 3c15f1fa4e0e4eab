"""The QEMU process of one guest through its life: started, adopted, watched, ended, and what it ended of."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from pileus.drivers.hypervisor.host import boot_id
from pileus.drivers.hypervisor.qemu.monitor import Monitor, listen
from pileus.drivers.hypervisor.qemu.process import Process
from pileus.kernel.files import write_whole
from pileus.services.compute.driver import GuestState, HypervisorError, Power

_START_SECONDS = 30.0
_ADOPT_SECONDS = 1.0


class Record(msgspec.Struct, frozen=True):
    """What was last known of a guest's power, for who comes when its process is gone."""

    power: Power
    reason: str | None
    host_boot: str


class Runner:
    """Its methods are called one at a time; only the end of the process comes in between."""

    def __init__(self, directory: Path, guest_id: str, changed: Callable[[str], None]) -> None:
        """`directory` is where QEMU is started; `changed` is told of changes that the guest makes itself."""
        self._directory = directory
        self._guest_id = guest_id
        self._changed = changed
        self._process: Process | None = None
        self._monitor: Monitor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._record = self._recall()

    @property
    def state(self) -> GuestState:
        return GuestState(id=self._guest_id, power=self._record.power, reason=self._record.reason)

    @property
    def running(self) -> bool:
        return self._alive and self._record.power is Power.RUNNING

    async def ended(self) -> None:
        """Returns once the process has ended, as it does after the guest has powered off."""
        if self._process is not None:
            await self._process.ended.wait()

    async def adopt(self) -> None:
        """Take charge of what runs, if it is not in charge already, or find out what became of it."""
        if self._alive:
            return
        process = Process.find(self._pidfile)
        if process is None:
            if self._record.power is Power.RUNNING:
                self._note(Power.CRASHED, self._cause_of_death(None))
            return
        self._note(Power.RUNNING)
        self._supervise(process)
        # One that does not answer now runs on all the same; its end is seen anyway.
        with contextlib.suppress(ConnectionError):
            await self._connect(_ADOPT_SECONDS)

    async def start(self, command: Callable[[int], list[str]], fds: list[int]) -> None:
        """Run the command, made for the descriptor of its monitor, with these descriptors besides. Returns
        once QEMU answers; raises `HypervisorError` with its own words when it does not come to that."""
        with listen(self._directory / "qmp.sock") as server:
            self._note(Power.RUNNING)
            try:
                process = await self._spawn(command(server.fileno()), [server.fileno(), *fds])
            except OSError as error:
                self._note(Power.CRASHED, f"QEMU cannot be run: {error}")
                raise HypervisorError(f"Guest {self._guest_id} cannot be started: {error}") from error
        self._supervise(process)
        try:
            await self._connect(_START_SECONDS)
        except ConnectionError as error:
            await process.kill()
            reason = self._cause_of_death(process)
            self._note(Power.CRASHED, reason)
            raise HypervisorError(f"Guest {self._guest_id} cannot be started: {reason}") from error

    async def stop(self) -> None:
        """Pull the plug, if there is still anything that it holds up."""
        self._note(Power.STOPPED)
        await self._end()

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Have the monitor run a command; raises `HypervisorError`."""
        return await (await self._answering()).execute(command, **arguments)

    async def give(self, name: str, fd: int) -> None:
        """Have QEMU know a copy of the descriptor by this name; raises `HypervisorError`."""
        await (await self._answering()).give(name, fd)

    async def add_file(self, fdset: int, fd: int) -> None:
        """Have QEMU know a copy of the descriptor as the file `/dev/fdset/FDSET`; raises `HypervisorError`."""
        await (await self._answering()).add_file(fdset, fd)

    async def _answering(self) -> Monitor:
        if self._monitor is None or not self._monitor.connected:
            await self._disconnect()
            try:
                await self._connect(_ADOPT_SECONDS)
            except ConnectionError as error:
                raise HypervisorError(str(error)) from error
        if self._monitor is None:
            raise HypervisorError(f"Guest {self._guest_id} has just ended.")
        return self._monitor

    async def close(self) -> None:
        """Let go; the process runs on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._disconnect()
        if self._process is not None:
            self._process.release()

    async def _spawn(self, command: list[str], fds: list[int]) -> Process:
        def spawn() -> int:
            with open(self._directory / "qemu.log", "wb") as log:
                child = subprocess.Popen(
                    command,
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=fds,
                    # Outlives this process, and hears none of its terminal's signals.
                    start_new_session=True,
                )
            # `Process` reaps it, as one that it did not start: Popen must not believe it still has to.
            child.returncode = 0
            return child.pid

        return Process(await asyncio.to_thread(spawn))

    async def _connect(self, seconds: float) -> None:
        monitor = Monitor(self._guest_id, self._on_end)
        await monitor.connect(self._directory / "qmp.sock", seconds)
        self._monitor = monitor

    async def _disconnect(self) -> None:
        if self._monitor is not None:
            monitor, self._monitor = self._monitor, None
            await monitor.close()

    async def _end(self) -> None:
        if self._process is not None:
            await self._process.kill()
        # One that was just being started when a former process of ours died.
        stray = Process.find(self._pidfile)
        if stray is not None:
            await stray.kill()
        await self._disconnect()

    @property
    def _alive(self) -> bool:
        return self._process is not None and not self._process.ended.is_set()

    @property
    def _pidfile(self) -> Path:
        return self._directory / "qemu.pid"

    def _on_end(self, state: GuestState) -> None:
        """The guest ended and QEMU holds it, paused, for us to see."""

        async def end() -> None:
            await self._end()
            self._changed(self._guest_id)

        if self._record.power is Power.RUNNING:
            self._note(state.power, state.reason)
            self._background(end())

    def _supervise(self, process: Process) -> None:
        async def wait() -> None:
            await process.ended.wait()
            if self._process is process and self._record.power is Power.RUNNING:
                self._note(Power.CRASHED, self._cause_of_death(process))
                await self._disconnect()
                self._changed(self._guest_id)

        self._process = process
        self._background(wait())

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, power: Power, reason: str | None = None) -> None:
        record = Record(power, reason, boot_id())
        if record != self._record:
            self._record = record
            write_whole(self._directory / "state.json", msgspec.json.encode(record))

    def _recall(self) -> Record:
        try:
            return msgspec.json.decode((self._directory / "state.json").read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return Record(Power.STOPPED, None, boot_id())

    def _cause_of_death(self, process: Process | None) -> str:
        if self._record.host_boot != boot_id():
            return "The host was restarted."
        try:
            words = (self._directory / "qemu.log").read_text(errors="replace").split("\n")
        except FileNotFoundError:
            words = []
        last = next((line for line in reversed(words) if line.strip()), None)
        if last is not None:
            return f"QEMU ended: {last.strip()}"
        if process is not None and process.signal is not None:
            return f"QEMU was ended by signal {process.signal}."
        return "QEMU ended without a word; something has killed it."
