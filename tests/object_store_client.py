"""A client of the object store that sends and takes bytes, and a store for it in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.listing.store import SqliteListings
from pileus.kernel.api.application import Application, scope_of
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.context import Context
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import ObjectDevice
from pileus.services.object_store.encryption import encrypted
from pileus.services.object_store.service import service
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_settler import VersionSettler
from pileus.testing.service import ServiceUnderTest, hold_to_description, serving

OWNER = Context(
    user_id="u1", user_name="olga", project_id="p1", project_name="one", roles=frozenset({"member"})
)
OTHER = Context(
    user_id="u2", user_name="oto", project_id="p2", project_name="two", roles=frozenset({"member"})
)
NOBODY = None
ROOT = "/v1/AUTH_p1"


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


class Store:
    """A client that sends bytes."""

    def __init__(self, cloud: ServiceUnderTest, state: ObjectStoreState) -> None:
        self._app = cloud.application
        self.state = state

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        as_: Context | None = OWNER,
        chunks: list[bytes] | None = None,
        at: str | None = None,
        **headers: str,
    ) -> Answer:
        """`path` is below the account; `at` a whole one instead."""
        path, _, query = path.partition("?")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if chunks is not None:
            sent["transfer-encoding"] = "chunked"
        elif method in ("PUT", "POST"):
            sent.setdefault("content-length", str(len(body)))
        pieces = [body] if chunks is None else chunks
        return await sent_to(self._app, method, at or ROOT + path, query, sent, pieces, as_=as_)


async def sent_to(
    application: Application,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    pieces: Sequence[bytes | asyncio.Event],
    *,
    as_: Context | None,
    raw_path: bytes | None = None,
) -> Answer:
    """A request as it comes over a socket, its body in pieces: after an event only once it is set. Status 0 where there is
    no answer."""
    waiting: list[Any] = list(pieces)
    start: dict[str, Any] = {}
    got: list[bytes] = []
    is_sent = False

    async def receive() -> dict[str, Any]:
        nonlocal is_sent
        while waiting and isinstance(waiting[0], asyncio.Event):
            await waiting.pop(0).wait()
        if is_sent:
            await asyncio.Event().wait()  # a client that waits for the answer
        is_sent = len(waiting) == 1
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            got.append(message.get("body", b""))

    named = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = scope_of(method, path, named, query.encode())
    if raw_path is not None:
        scope["raw_path"] = raw_path
    if as_ is not None:
        scope[CONTEXT_KEY] = as_
    await application(scope, receive, send)
    if not start:
        return Answer(0, {}, b"")
    answer = Answer(
        start["status"], {n.decode(): v.decode("latin-1") for n, v in start["headers"]}, b"".join(got)
    )
    hold_to_description(application, method, path, answer.status, answer.headers, answer.body)
    return answer


def store_in(
    folder: Path,
    settings: Settings | None = None,
    clock: Clock | None = None,
    devices: Mapping[int, ObjectDevice] | None = None,
) -> ObjectStoreState:
    """A store that keeps everything in a folder."""
    settings, clock = settings or Settings(), clock or SystemClock()
    devices = devices or {0: ObjectEngine.on_host(folder / "device")}
    listings = SqliteListings(folder / "listings")
    secrets = folder / "encryption-secrets"
    disk = encrypted(devices, listings, secrets, settings.encryption_secrets, on=settings.encryption)
    state = ObjectStoreState(*disk, Daemons(clock), clock, settings)
    state.daemons.add(VersionSettler(state))
    return state


@asynccontextmanager
async def running(
    folder: Path,
    settings: Settings | None = None,
    clock: Clock | None = None,
    devices: Mapping[int, ObjectDevice] | None = None,
) -> AsyncIterator[Store]:
    state = store_in(folder, settings, clock, devices)
    await state.start()
    try:
        async with serving(service, state=state, clock=state.clock) as cloud:
            yield Store(cloud, state)
    finally:
        await state.close()
