"""One container as `runc` and `conmon` run it: created, started, found again, killed without a trace.

`conmon` stands between: it holds the console's terminal, writes what comes out of it to the log, and as the
parent of the guest's init learns its exit status, all of which must go on while no Pileus runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import msgspec

from pileus.drivers import program
from pileus.drivers.hypervisor.runc import cgroups, processes
from pileus.drivers.process import ended
from pileus.services.compute.driver import HypervisorError

_PROGRAMS = ("conmon", "runc")
_CREATE_SECONDS = 30.0
_KILL_SECONDS = 20.0


class Runtime(msgspec.Struct, frozen=True):
    """What all containers of one host share."""

    run_dir: Path
    hierarchies: cgroups.Hierarchies
    console_bytes: int
    pids_limit: int

    @property
    def state_dir(self) -> Path:
        return self.run_dir / "runc"

    @property
    def bundles(self) -> Path:
        return self.run_dir / "guests"


class Container:
    """The running side of a guest. Its directory, the OCI bundle, is gone while the guest is stopped."""

    def __init__(self, runtime: Runtime, guest_id: str) -> None:
        self.id = guest_id
        self.directory = runtime.bundles / guest_id
        self.cgroup = f"/pileus-{guest_id}"
        self._runtime = runtime
        self._state_dir = runtime.state_dir / guest_id

    @property
    def began(self) -> bool:
        """Whether anything of it may be there."""
        return self.directory.exists()

    @property
    def is_running(self) -> bool:
        """Started and not yet ended. Between the end of its init and the exit status, still true."""
        if self.exit_status is not None or (self._state_dir / "exec.fifo").exists():
            return False
        return self.init_pid is not None or (self._state_dir.exists() and self.monitor_pid is not None)

    @property
    def init_pid(self) -> int | None:
        """The guest's process 1, while it lives."""
        try:
            state = msgspec.json.decode((self._state_dir / "state.json").read_bytes(), type=_State)
        except FileNotFoundError:
            return None
        same = processes.start_time(state.init_process_pid) == state.init_process_start
        return state.init_process_pid if same else None

    @property
    def monitor_pid(self) -> int | None:
        """Its conmon, while that lives."""
        pid = _number_in(self.directory / "conmon.pid")
        return pid if pid is not None and str(self.directory) in processes.arguments(pid) else None

    @property
    def exit_status(self) -> int | None:
        """How its init ended, as a shell tells it: the exit code, or 128 and the signal that killed it."""
        return _number_in(self.directory / "exit")

    @property
    def met_memory_limit(self) -> bool:
        return (self.directory / "oom").exists()

    async def create(self, config: dict[str, Any], console_log: Path) -> None:
        """Have `runc` make the container from the bundle; its init waits for `start`."""
        (self.directory / "config.json").write_bytes(msgspec.json.encode(config))
        reading, writing = os.pipe()
        try:
            await self._spawn_monitor(writing, console_log)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            async with asyncio.timeout(_CREATE_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            raise HypervisorError(f"Container {self.id} was not made within {_CREATE_SECONDS:g} s.") from None
        finally:
            transport.close()
        answer = msgspec.json.decode(line, type=_Created) if line else _Created(-1, self._complaint())
        if answer.pid < 0:
            raise HypervisorError(f"Container {self.id} cannot be made: {answer.message.strip()}")

    async def _spawn_monitor(self, answers: int, console_log: Path) -> None:
        runtime, bundle = self._runtime, str(self.directory)
        with await asyncio.to_thread((self.directory / "conmon.log").open, "ab") as errors:
            command = (
                *("conmon", "--cid", self.id, "--cuuid", self.id, "--name", self.id),
                *("--runtime", shutil.which("runc") or "runc"),
                *("--runtime-arg=--root", f"--runtime-arg={runtime.state_dir}"),
                *("--bundle", bundle, "--persist-dir", bundle, "--full-attach"),
                *("--container-pidfile", f"{bundle}/init.pid", "--conmon-pidfile", f"{bundle}/conmon.pid"),
                *("--terminal", "--log-path", f"k8s-file:{console_log}"),
                *("--log-size-max", str(runtime.console_bytes), "--log-level", "error"),
            )
            # It goes on as a daemon; what is started here ends at once.
            try:
                await program.run(
                    *command,
                    env={"PATH": os.environ.get("PATH", os.defpath), "_OCI_SYNCPIPE": str(answers)},
                    # Where it writes, besides the directory that it is told, that the memory ran out.
                    cwd=bundle,
                    pass_fds=[answers],
                    stderr=errors,
                )
            except program.ProgramError as error:
                raise HypervisorError(
                    f"Container {self.id} cannot be watched: {self._complaint()}"
                ) from error

    async def start(self, owner: int) -> None:
        """Let its init run; `owner` is the host's id of the guest's root."""
        self._runtime.hierarchies.delegate(self.cgroup, owner)
        try:
            await program.run("runc", "--root", self._runtime.state_dir, "start", self.id)
        except program.ProgramError as error:
            raise HypervisorError(f"Container {self.id} cannot be started: {error.complaint}") from error

    def signal(self, number: int) -> None:
        """Send a signal to its init, if that lives."""
        pid = self.init_pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def ended(self) -> None:
        """Return once it has ended and its exit status is known, as far as it will be."""
        for pid in (self.init_pid, self.monitor_pid):
            if pid is not None:
                await ended(pid)

    async def kill(self) -> None:
        """End whatever of it runs, be it still being made, and remove its cgroups and runc's state."""
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                # Its monitor, and a `runc create` that an earlier process of ours may have left at work:
                # both work in the bundle, and so does what they start until it is in the cgroups.
                while at_work := processes.at_work_on(str(self.directory), _PROGRAMS):
                    for pid in at_work:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    await asyncio.gather(*(ended(pid) for pid in at_work))
                groups = self._runtime.hierarchies.of(self.cgroup)
                cgroups.kill(groups)
                while not cgroups.remove(groups):
                    await asyncio.sleep(0.002)
                    cgroups.kill(groups)
        except TimeoutError:
            raise HypervisorError(
                f"Container {self.id} has processes that do not end when killed; the host's kernel log "
                f"may tell what they wait for. They are in the cgroup {self.cgroup}."
            ) from None
        shutil.rmtree(self._state_dir, ignore_errors=True)

    def _complaint(self) -> str:
        return (self.directory / "conmon.log").read_text(errors="replace").strip() or "conmon ended silently"


class _State(msgspec.Struct):
    """What is needed of runc's `state.json` (libcontainer's BaseState)."""

    init_process_pid: int
    init_process_start: int


class _Created(msgspec.Struct):
    """What conmon writes to its sync pipe."""

    pid: int
    message: str = ""


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):  # ValueError: being written
        return None
