"""HTTP load from a process of its own, so that its cost is not the server's: requests over kept connections.

    python load.py '{"port": 8900, "path": "/", "headers": {}, "connections": 4, "requests": 2000}'

Prints JSON: seconds for all, and the milliseconds of each request. With `pause_ms` each connection rests between
requests; with `seconds` it ends by time, not by number. `{n}` in the path is another number for each request.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Load:
    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: str = ""
    connections: int = 4
    requests: int = 2000
    seconds: float | None = None
    pause_ms: float = 0.0
    status: int = 200
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        shares = await asyncio.gather(*(self._connection(began) for _ in range(self.connections)))
        return {"seconds": time.perf_counter() - began, "ms": [ms for share in shares for ms in share]}

    async def _connection(self, began: float) -> list[float]:
        lines = [
            f"{self.method} %s HTTP/1.1",
            "Host: 127.0.0.1",
            *([f"Content-Length: {len(self.body)}"] if self.body else []),
            *(f"{k}: {v}" for k, v in self.headers.items()),
        ]
        request = "\r\n".join([*lines, "", self.body])
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=READ_BYTES)
        took: list[float] = []
        while self._goes_on(len(took), began):
            sent = time.perf_counter()
            writer.write((request % self.path.replace("{n}", str(next(self._numbers)))).encode())
            await self._answer(reader)
            took.append((time.perf_counter() - sent) * 1000)
            if self.pause_ms:
                await asyncio.sleep(self.pause_ms / 1000)
        writer.close()
        return took

    def _goes_on(self, done: int, began: float) -> bool:
        if self.seconds is not None:
            return time.perf_counter() - began < self.seconds
        return done < self.requests // self.connections

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 %d " % self.status):
            raise SystemExit(f"{self.path} answered {head.splitlines()[0].decode()}, not {self.status}")
        left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while left:
            left -= len(await reader.read(min(left, READ_BYTES)))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(**json.loads(sys.argv[1])).run())))
