"""The walk that writes access logs into the buckets that they are for.

Best effort, as at AWS: lines wait in memory, for a minute or until there is a mebibyte of them. What waits when the process
dies is lost; what waits when it is stopped is written, or where that can't be, kept in a file for the next start.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import msgspec
import structlog

from pileus.kernel.clock import Clock
from pileus.kernel.errors import ApiError, Unavailable
from pileus.kernel.files import write_whole
from pileus.services.object_store import admission, versioning
from pileus.services.object_store.access_log import Lot
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import Superseded
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import ACCOUNT_PREFIX, Name
from pileus.services.object_store.receive import InsufficientStorage
from pileus.services.object_store.s3 import acl, bucket_logging, buckets, permission, storing
from pileus.services.object_store.s3.bucket_logging import LoggingEnabled
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.state import ObjectStoreState

log = structlog.get_logger("pileus.object_store")
_decode = msgspec.msgpack.Decoder(list[tuple[Lot, list[bytes]]]).decode


class LogDelivery:
    """The daemon."""

    name = "object-access-logs"
    per_second = math.inf

    def __init__(self, state: ObjectStoreState, clock: Clock, *, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._state = state
        self._clock = clock
        self._turn = asyncio.Lock()
        self._counts: Counter[str] = Counter()
        self._hurrying: asyncio.Task[None] | None = None
        state.access_log.when_large = self._hurry
        folder = state.daemons.folder
        self._file = None if folder is None else folder / f"{self.name}.waiting"
        state.closing.append(self._end)

    async def walk(self, walk: Walk) -> None:
        self._load()
        await self._deliver()
        counts, self._counts = self._counts, Counter()
        counts["dropped"], self._state.access_log.dropped = self._state.access_log.dropped, 0
        walk.count(**{what: many for what, many in counts.items() if many})

    def _load(self) -> None:
        """What waited at the last stop is in memory again, and there alone, so that nothing comes twice."""
        if self._file is None or not self._file.exists():
            return
        kept = self._file.read_bytes()
        self._file.unlink()
        try:
            for lot, lines in _decode(kept):
                self._state.access_log.add(lot, *lines)
        except msgspec.DecodeError as error:
            log.warning("access logs that waited can't be read", file=str(self._file), error=str(error))

    async def _end(self) -> None:
        """The process is stopped."""
        self._load()
        await self._deliver_now()
        waiting = self._state.access_log
        left = [(lot, waiting.take(lot)) for lot in waiting.lots()]
        if left and self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(write_whole, self._file, msgspec.msgpack.encode(left))
            log.warning("access logs wait for the next start", lots=len(left), file=str(self._file))

    def _hurry(self) -> None:
        if self._hurrying is None or self._hurrying.done():
            self._hurrying = asyncio.create_task(self._deliver_now())

    async def _deliver_now(self) -> None:
        try:
            await self._deliver()
        except Exception:
            log.exception("access logs can't be delivered")

    async def _deliver(self) -> None:
        waiting = self._state.access_log
        async with self._turn:
            for lot in waiting.lots():
                lines = waiting.take(lot)
                try:
                    outcome = await self._deliver_lot(lot, lines)
                except BaseException:  # a stop as well: they are delivered by the next
                    waiting.add(lot, *lines)
                    raise
                self._counts[outcome] += 1
                if outcome == "failed":
                    waiting.add(lot, *lines)
                elif outcome == "delivered":
                    self._counts["lines"] += len(lines)

    async def _deliver_lot(self, lot: Lot, lines: list[bytes]) -> str:
        """`delivered`; `refused` by the target's rules, for good; or `failed`, and is tried again."""
        wanted = bucket_logging.read(lot.setting).logging_enabled
        if wanted is None:
            return "refused"
        state, target = self._state, wanted.target_bucket
        try:
            source = Request.inside(
                state, Name(lot.account, lot.bucket), await state.container(lot.account, lot.bucket)
            )
            name = Name(lot.account, target, self._key(source, wanted, lot))
            info = await state.container(lot.account, target)
            if (
                info is None
                or bucket_logging.has_default_retention(info.metadata)
                or not bucket_logging.may_deliver(
                    info.metadata, f"{target}/{name.object}", lot.bucket, lot.account
                )
            ):
                log.warning("access log refused by its target", bucket=lot.bucket, target=target)
                return "refused"
            await admission.require_writable(state, name, deletes=False)
            data = b"".join(lines)
            await storing.require_room(Request.inside(state, name, info), name, len(data))
            grants = _grants(wanted, info.metadata, lot.account)
            kept = ObjectMetadata(content_type="text/plain", etag="", headers={}, system=grants)
            await versioning.write(state, name, info, kept, versioning.once(data), len(data))
        except (Unavailable, InsufficientStorage, Superseded):
            return "failed"
        except ApiError as error:
            log.warning("access log refused", bucket=lot.bucket, target=target, why=error.message)
            return "refused"
        return "delivered"

    def _key(self, source: Request, wanted: LoggingEnabled, lot: Lot) -> str:
        unique, now = secrets.token_hex(8).upper(), self._clock.now()
        if wanted.partitioned is None:
            return f"{wanted.target_prefix}{now:%Y-%m-%d-%H-%M-%S}-{unique}"
        moment = datetime.fromisoformat(lot.day) if lot.day else now
        owner = lot.account.removeprefix(ACCOUNT_PREFIX)
        return (
            f"{wanted.target_prefix}{owner}/{buckets.region(source)}/{lot.bucket}/{moment:%Y/%m/%d}/"
            f"{moment:%Y-%m-%d-%H-%M-%S}-{unique}"
        )


def _grants(wanted: LoggingEnabled, target: Mapping[str, str], account: str) -> dict[str, str]:
    """Who may do what with the log beside its owner."""
    if wanted.target_grants is None or permission.ownership(target) == permission.ENFORCED:
        return {}
    given = acl.from_elements(wanted.target_grants.grant)
    return {
        permission.OBJECT_ACL: acl.stored(
            (acl.Grant(account.removeprefix(ACCOUNT_PREFIX), "FULL_CONTROL"), *given)
        )
    }
