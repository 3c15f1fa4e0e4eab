"""A guest's QEMU monitor: commands with a deadline, and the events that end a guest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.services.compute.driver import GuestState, HypervisorError, Power

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

POWERED_OFF = "The guest powered off."
PANICKED = "The guest's kernel panicked."

_SECONDS = 5.0


def listen(path: Path) -> socket.socket:
    """The socket that a QEMU process will inherit as its monitor. Addressed through its directory's
    descriptor, since a unix address holds no more than 107 bytes."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    with _short(path) as address:
        server.bind(address)
    server.listen(1)
    return server


class Monitor:
    """A connection to one guest's monitor. QEMU serves one connection at a time."""

    def __init__(self, guest_id: str, on_end: Callable[[GuestState], None]) -> None:
        """`on_end` is called when the guest has powered off or panicked; its process is paused then."""
        self._guest_id = guest_id
        self._on_end = on_end
        self._client: QMPClient | None = None
        self._listening: asyncio.Task[None] | None = None

    async def connect(self, path: Path, seconds: float = _SECONDS) -> None:
        """Raises `ConnectionError` when there is no answer in time. An end that came before is told too."""
        from qemu.qmp import QMPClient, QMPError

        # Every failure is raised too, and told with the guest's name.
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
        client = QMPClient()
        end = socket.socket(socket.AF_UNIX)
        end.setblocking(False)
        try:
            with _short(path) as address:
                end.connect(address)
            async with asyncio.timeout(seconds):
                await client.connect(end)
        except (OSError, TimeoutError, QMPError) as error:
            end.close()
            raise ConnectionError(f"QEMU's monitor {path} does not answer: {error!r}") from error
        self._client = client
        self._listening = asyncio.create_task(self._listen(client))
        try:
            status: Any = await self.execute("query-status")
        except HypervisorError as error:
            await self.close()
            raise ConnectionError(str(error)) from error
        self._look(status["status"])

    async def execute(self, command: str, **arguments: Any) -> Any:
        """The command's result; raises `HypervisorError` when QEMU refuses or does not answer."""
        from qemu.qmp import QMPError

        if self._client is None:
            raise HypervisorError(f"The monitor of guest {self._guest_id} is not connected.")
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._client.execute(command, arguments)
        except TimeoutError as error:
            raise HypervisorError(
                f"QEMU of guest {self._guest_id} does not answer {command!r} within {_SECONDS:g} s."
            ) from error
        except QMPError as error:
            raise HypervisorError(f"QEMU of guest {self._guest_id} refuses {command!r}: {error}") from error

    async def give(self, name: str, fd: int) -> None:
        """Have QEMU know a copy of the descriptor by this name; raises as `execute`."""
        self._send(fd)
        await self.execute("getfd", fdname=name)

    async def add_file(self, fdset: int, fd: int) -> None:
        """Have QEMU know a copy of the descriptor as the file `/dev/fdset/FDSET`; raises as `execute`."""
        self._send(fd)
        await self.execute("add-fd", **{"fdset-id": fdset})

    def _send(self, fd: int) -> None:
        from qemu.qmp import QMPError

        if self._client is None:
            raise HypervisorError(f"The monitor of guest {self._guest_id} is not connected.")
        try:
            self._client.send_fd_scm(fd)
        except (OSError, QMPError) as error:
            raise HypervisorError(f"QEMU of guest {self._guest_id} takes no descriptor: {error}") from error

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None
        if self._client is not None:
            client, self._client = self._client, None
            # What the connection died of is of no interest any more.
            with contextlib.suppress(Exception):
                await client.disconnect()

    @property
    def connected(self) -> bool:
        from qemu.qmp import Runstate

        return self._client is not None and self._client.runstate is Runstate.RUNNING

    async def _listen(self, client: QMPClient) -> None:
        async for event in client.events:
            if event["event"] == "SHUTDOWN" and event["data"]["reason"] == "guest-shutdown":
                self._look("shutdown")
            elif event["event"] == "GUEST_PANICKED":
                self._look("guest-panicked")

    def _look(self, status: str) -> None:
        if status == "shutdown":
            self._on_end(GuestState(id=self._guest_id, power=Power.STOPPED, reason=POWERED_OFF))
        elif status == "guest-panicked":
            self._on_end(GuestState(id=self._guest_id, power=Power.CRASHED, reason=PANICKED))


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    fd = os.open(path.parent, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)
