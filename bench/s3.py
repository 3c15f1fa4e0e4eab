#!/usr/bin/env python3
"""What S3 costs over Swift for the same small object: CPU of the whole service, called without a socket.

bench/s3.py [FOLDER]      a folder on the disk to measure; some ten MiB for some seconds
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src"), str(HERE.parent / "tools")]

import environment  # noqa: E402 - the path comes first

environment.enter("httptools", "isal", "botocore")

import structlog  # noqa: E402 - the path comes first
from botocore.auth import S3SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402
from harness import table  # noqa: E402
from harness.table import Row  # noqa: E402

from pileus.drivers.object.engine import ObjectEngine  # noqa: E402
from pileus.drivers.object.listing.store import SqliteListings  # noqa: E402
from pileus.kernel import interpreter  # noqa: E402
from pileus.kernel.api.application import Application, scope_of  # noqa: E402
from pileus.kernel.api.auth import TokenCache  # noqa: E402
from pileus.kernel.clock import SystemClock  # noqa: E402
from pileus.kernel.context import Context  # noqa: E402
from pileus.services.object_store.daemons import Daemons  # noqa: E402
from pileus.services.object_store.dialect import SWIFT  # noqa: E402
from pileus.services.object_store.needs import AccessKey  # noqa: E402
from pileus.services.object_store.s3 import service as s3  # noqa: E402
from pileus.services.object_store.service import service  # noqa: E402
from pileus.services.object_store.settings import Settings  # noqa: E402
from pileus.services.object_store.state import ObjectStoreState  # noqa: E402
from pileus.testing.service import serving  # noqa: E402

BATCH = 512
ROUNDS = 40
"""The quickest batch counts: whatever else the machine does only adds. In short ones half of the difference would be that the
processor's caches have just held the other API."""
CLIENTS = 16
BODY = os.urandom(4096)
OWNER = Context(user_id="u", user_name="u", project_id="p", project_name="p", roles=frozenset({"member"}))
KEY = AccessKey("secret", OWNER)


class Keys:
    async def find(self, access: str) -> AccessKey | None:
        return KEY


async def _owner(token: str) -> Context:
    return OWNER


Request = tuple[dict[str, Any], bytes]


def swift(method: str, name: str, body: bytes = b"") -> Request:
    headers = [
        (b"host", b"127.0.0.1:8900"),
        (b"user-agent", b"bench"),
        (b"accept", b"*/*"),
        (b"x-auth-token", b"t"),
    ]
    if body:
        headers.append((b"content-length", b"%d" % len(body)))
    return scope_of(method, f"/v1/AUTH_p/box/{name}", headers, b""), body


def signed(method: str, name: str, body: bytes = b"") -> Request:
    request = AWSRequest(method=method, url=f"http://127.0.0.1:8900/box/{name}", data=body)
    S3SigV4Auth(Credentials("access", "secret"), "s3", "us-east-1").add_auth(request)
    headers = [(b"host", b"127.0.0.1:8900"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    headers += [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    if body:
        headers.append((b"content-length", b"%d" % len(body)))
    return scope_of(method, f"/box/{name}", headers, b""), body


async def ask(app: Application, request: Request, status: int) -> None:
    scope, body = request
    told = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])

    await app(scope, receive, send)
    assert told == [status], told


async def measured(app: Application, requests: list[Request], status: int) -> float:
    """CPU in milliseconds a request, by 16 clients at once."""
    waiting = iter(requests)

    async def client() -> None:
        for each in waiting:
            await ask(app, each, status)

    started = time.process_time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return (time.process_time() - started) / len(requests) * 1000


async def run(folder: Path) -> dict[str, list[float]]:
    clock = SystemClock()
    state = ObjectStoreState(
        {0: ObjectEngine.on_host(folder / "device")},
        SqliteListings(folder / "lists"),
        Daemons(clock),
        clock,
        Settings(),
    )
    await state.start()
    found: dict[str, list[float]] = {name: [] for name in ("swift put", "s3 put", "swift get", "s3 get")}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(state.close)
        one = await stack.enter_async_context(serving(service, state=state))
        two = await stack.enter_async_context(serving(s3, state=state, needs=Keys()))
        one.runtime.authenticate = TokenCache(_owner, one.runtime.revision, clock)
        app = Application([one.runtime, two.runtime], SWIFT)
        await ask(app, (swift("PUT", "")[0] | {"path": "/v1/AUTH_p/box"}, b""), 201)
        interpreter.serve()  # as the process that serves does
        for turn in range(ROUNDS):
            for who, make, status in (("swift", swift, 201), ("s3", signed, 200)):
                puts = [make("PUT", f"{who}-{turn}-{n}", BODY) for n in range(BATCH)]
                found[f"{who} put"].append(await measured(app, puts, status))
                gets = [make("GET", f"{who}-{turn}-{n}") for n in range(BATCH)]
                found[f"{who} get"].append(await measured(app, gets, 200))
    return found


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(
        prefix="pileus-bench-", dir=sys.argv[1] if len(sys.argv) > 1 else None
    ) as folder:
        found = asyncio.run(run(Path(folder)))
    rows = []
    for what, limit in (("get", 0.015), ("put", 0.03)):
        base, own = (min(found[f"{who} {what}"]) for who in ("swift", "s3"))
        rows.append(Row(f"{what.upper()} 4 KiB: Swift", base, "ms CPU"))
        rows.append(Row(f"{what.upper()} 4 KiB: S3 over Swift", own - base, "ms CPU", limit))
    table.show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
