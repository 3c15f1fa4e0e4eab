"""The writing half of an asyncio protocol: who sends waits until the other end has taken what was sent."""

from __future__ import annotations

import asyncio


class WriteFlow(asyncio.BaseProtocol):
    loop: asyncio.AbstractEventLoop
    _drained: asyncio.Future[None] | None = None

    def pause_writing(self) -> None:
        self._drained = self._drained or self.loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    @property
    def is_clogged(self) -> bool:
        return self._drained is not None

    async def drained(self) -> None:
        """Returns when more may be sent, or the other end is gone."""
        if self._drained is not None:
            await asyncio.shield(self._drained)
