"""A function on its way to a database thread, and its answer on the way back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pileus.kernel.db.tx import Tx


class Unsettled:
    """How many jobs of a database are under way. Counted on the event loop alone."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Job:
    """Made on the event loop, run on a database thread, settled on the event loop."""

    __slots__ = ("args", "error", "fn", "future", "hooks", "kwargs", "loop", "result", "unsettled")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        unsettled: Unsettled,
    ) -> None:
        self.loop = loop
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.unsettled = unsettled
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.hooks: list[Callable[[], object]] = []

    def run(self, tx: Tx) -> None:
        """Keeps result or error; the transaction's fate is the caller's."""
        self.error = None
        try:
            self.result = self.fn(tx, *self.args, **self.kwargs)
            tx.check()  # or PostgreSQL would answer a COMMIT by rolling back, and nobody would hear of it
        except Exception as error:
            self.error = error
        self.hooks = tx.hooks

    def settle(self) -> None:
        """On the loop: hand out the answer, then run what had to wait for the commit."""
        self.unsettled.count -= 1
        if self.error is None:
            for hook in self.hooks:
                try:
                    hook()
                except Exception as error:  # a hint gone wrong takes no answer away
                    self.loop.call_exception_handler({"message": "after_commit failed", "exception": error})
        if self.future.done():  # the caller went away; what was committed stays
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def settle(jobs: Iterable[Job]) -> None:
    """From a database thread: wake each loop once for all of its answers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, mine in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle_all, mine)


def _settle_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
