"""The contract of objects' devices holds over the wire as it does beside the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.members import OBJECT_VERBS, RemoteObjects
from pileus.drivers.object.wire.server import WireServer
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import Told, Version
from pileus.testing.contract.object import MemberContract, ObjectDeviceContract

KEY = bytes(range(32))
SMALL_VOLUMES = 1024 * 1024


class Elsewhere(RemoteObjects):
    """A device, its server and the way there. What is told, is told at the server's end."""

    def __init__(self, files: MemoryFiles) -> None:
        self._engine = ObjectEngine(files, volume_bytes=SMALL_VOLUMES, suffix_power=12)
        self._server = WireServer(KEY)
        self._peer: Peer

    async def start(self, told: Told, since: str) -> None:
        await self._engine.start(told, since)
        self._server.serve("object/sdb1", OBJECT_VERBS, self._engine)
        await self._server.start("127.0.0.1", 0)
        self._peer = Peer("127.0.0.1", self._server.port, KEY)
        super().__init__(self._peer, "object/sdb1")

    def mark(self) -> str:
        return self._engine.mark()

    async def tidy(self, forget_before: Timestamp) -> int:
        return await self._engine.tidy(forget_before)

    def _tell(self, version: Version) -> None:
        """It was told already."""

    async def close(self) -> None:
        await self._peer.close()
        await self._server.close()
        await self._engine.close()


@pytest.fixture
def files() -> MemoryFiles:
    return MemoryFiles()


class TestOverTheWire(ObjectDeviceContract):
    @pytest.fixture
    def disk(self, files: MemoryFiles) -> Callable[[], Member]:
        return lambda: cast(Member, Elsewhere(files))


class TestMemberOverTheWire(MemberContract):
    @pytest.fixture
    def members(self, files: MemoryFiles) -> Callable[[], Member]:
        return lambda: cast(Member, Elsewhere(files))

    @pytest.fixture
    def spoil(self, files: MemoryFiles) -> Callable[[bytes], None]:
        def turn_over(beginning: bytes) -> None:
            for inode in files.names.values():
                if (spot := inode.data.find(beginning)) >= 0:
                    inode.data[spot] ^= 1

        return turn_over
