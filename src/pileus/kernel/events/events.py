"""Emitting events, and following them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import Row

from pileus.kernel.clock import Clock
from pileus.kernel.db import Database, DatabaseGone, Tx
from pileus.kernel.events import store
from pileus.kernel.events.store import Position

log = structlog.get_logger("pileus.events")

POLL_SECONDS = 1.0
AGAIN_SECONDS = 0.05
"""After a hint whose event cannot be seen yet, as an older transaction is still open."""
HEARTBEAT_SECONDS = 15.0
TRIM_SECONDS = 600.0
KEEP = timedelta(days=1)

OPENING = b"retry: 2000\n: following\n\n"
HEARTBEAT = b":\n\n"
GAP = b"event: gap\ndata: {}\n\n"
_encode = msgspec.json.Encoder().encode


class Events:
    """What happened, in order. One object a process: it tells those who follow here of what is emitted here
    at once; what other processes emit they find by polling."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._followers: dict[asyncio.Event, str | None] = {}

    def emit(
        self,
        tx: Tx,
        type: str,
        *,
        project_id: str | None,
        resource_id: str,
        payload: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> None:
        """Write down, in this transaction, that something happened: `compute.server.create.end`.

        `project_id` None: only those who follow all projects hear of it. `payload`: any JSON object.
        """
        store.add(
            tx,
            {
                "project_id": project_id,
                "type": type,
                "resource_id": resource_id,
                "request_id": request_id,
                "at": tx.now,
                "payload": payload,
            },
        )
        tx.after_commit(lambda: self._tell(project_id))

    async def stream(
        self, project_id: str | None, last_event_id: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The project's events as server-sent frames (WHATWG HTML, section 9.2), for ever; None: of all.

        Starts behind `last_event_id` (the header `Last-Event-ID`), else with what is committed after the
        first frame has been handed out. Events that have been trimmed away show as one event `gap`: list
        again. Comments keep the connection alive. Close the generator when the client has gone.
        """
        heard = asyncio.Event()
        self._followers[heard] = project_id
        try:
            position, whole = await self._start(last_event_id)
            yield OPENING if whole else OPENING + GAP
            spoke_at = self._clock.monotonic()
            while True:
                hinted = heard.is_set()
                heard.clear()
                rows = await self._db.read(store.after, project_id, position)
                if rows:
                    position = Position(rows[-1].tx_id, rows[-1].seq)
                    yield b"".join(map(_frame, rows))
                    spoke_at = self._clock.monotonic()
                elif self._clock.monotonic() - spoke_at >= HEARTBEAT_SECONDS:
                    yield HEARTBEAT
                    spoke_at = self._clock.monotonic()
                if len(rows) < store.BATCH:
                    await self._clock.wait(heard, AGAIN_SECONDS if hinted and not rows else POLL_SECONDS)
        finally:
            del self._followers[heard]

    async def keep_trimmed(self, keep: timedelta = KEEP) -> None:
        """Forget events older than `keep`, for ever; a task of the process."""
        while True:
            try:
                while await self._db.write(store.trim, self._clock.now() - keep) == store.BATCH:
                    pass
            except DatabaseGone as error:
                log.warning("events could not be trimmed", error=str(error))
            await self._clock.sleep(TRIM_SECONDS)

    async def _start(self, last_event_id: str | None) -> tuple[Position, bool]:
        """Where to begin, and whether nothing is missing."""
        if last_event_id is None:
            return await self._db.read(store.newest), True
        position = Position.parsed(last_event_id)
        if position is None:
            return await self._db.read(store.newest), False
        return position, await self._db.read(store.is_there, position)

    def _tell(self, project_id: str | None) -> None:
        for heard, followed in self._followers.items():
            if followed is None or followed == project_id:
                heard.set()


def _frame(row: Row[Any]) -> bytes:
    body = {
        "type": row.type,
        "project_id": row.project_id,
        "resource_id": row.resource_id,
        "request_id": row.request_id,
        "at": row.at,
        "payload": row.payload,
    }
    # JSON has no line break of its own, so one data line holds it.
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        str(Position(row.tx_id, row.seq)).encode(),
        row.type.encode(),
        _encode(body),
    )
