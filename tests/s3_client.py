"""S3 over a store in a folder: in process by calls with a context, or over a socket by boto3. Swift's API beside it."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import md5
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pileus.kernel.api.application import Application
from pileus.kernel.clock import Clock
from pileus.kernel.context import Context
from pileus.kernel.http.server import Server
from pileus.services.object_store.dialect import SWIFT
from pileus.services.object_store.driver import ObjectDevice
from pileus.services.object_store.needs import AccessKey
from pileus.services.object_store.s3 import daemons as s3_daemons
from pileus.services.object_store.s3 import service as s3_service
from pileus.services.object_store.service import service as swift_service
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.state import ObjectStoreState
from pileus.testing.cloud import free_port
from pileus.testing.service import serving
from tests.object_store_client import OTHER, OWNER, Answer, Store, sent_to, store_in

T = TypeVar("T")
KEYS = {
    "olga": AccessKey("olgas/secret+key", OWNER),
    "oto": AccessKey("otos secret", OTHER),
}
"""By access key: the owners of two projects."""


class Keys:
    async def find(self, access: str) -> AccessKey | None:
        return KEYS.get(access)


class Rig:
    """`await rig("PUT", "/bucket/key", b"…")` as a project's owner; `rig.swift` is Swift's API over the same store."""

    def __init__(self, application: Application, swift: Store, state: ObjectStoreState) -> None:
        self.application = application
        self.swift = swift
        self.state = state
        self.port = 0

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        as_: Context | None = OWNER,
        chunks: Sequence[bytes | asyncio.Event] | None = None,
        raw_path: bytes | None = None,
        prefix: str = "/s3",
        **headers: str,
    ) -> Answer:
        """`prefix` "" is the cloud's root, where only what is signed, or for a domain of S3's, is S3's."""
        path, _, query = path.partition("?")
        sent = {"host": "s3.test", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if method in ("PUT", "POST"):
            sent.setdefault("content-length", str(len(body)))
        if method == "POST" and query == "delete" and chunks is None:
            sent.setdefault("content-md5", b64encode(md5(body).digest()).decode())
        pieces = [body] if chunks is None else chunks
        return await sent_to(
            self.application, method, prefix + path, query, sent, pieces, as_=as_, raw_path=raw_path
        )

    def client(self, access: str = "olga", **config: Any) -> Any:
        """A client of boto3's; its calls block, so `await rig.do(client.put_object, Bucket=…)`."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=access,
            aws_secret_access_key=KEYS[access].secret if access in KEYS else "wrong",
            region_name=config.pop("region_name", "us-east-1"),
            config=Config(
                retries={"max_attempts": 1}, s3={"addressing_style": "path", **config.pop("s3", {})}, **config
            ),
        )

    async def do(self, call: Callable[..., T], **arguments: Any) -> T:
        """A body is read as well, while the event loop is free to send it."""

        def whole() -> T:
            answer = call(**arguments)
            if isinstance(answer, dict) and "Body" in answer:
                answer["Body"] = BytesIO(answer["Body"].read())
            return answer

        return await asyncio.to_thread(whole)


async def keys(rig: Rig, bucket: str) -> list[str]:
    """Of the bucket's objects."""
    listed = (await rig("GET", f"/{bucket}?list-type=2")).body.decode()
    return re.findall("<Key>(.*?)</Key>", listed)


@asynccontextmanager
async def running(
    folder: Path,
    *,
    clock: Clock | None = None,
    settings: Settings | None = None,
    listen: bool = False,
    device: ObjectDevice | None = None,
    state: ObjectStoreState | None = None,
) -> AsyncIterator[Rig]:
    """`state` instead of one in the folder."""
    if state is None:
        state = store_in(folder, settings, clock, None if device is None else {0: device})
    clock = state.clock
    for daemon in s3_daemons(state, clock):
        state.daemons.add(daemon)
    await state.start()
    try:
        async with (
            serving(swift_service, state=state, clock=clock) as swift,
            serving(s3_service, state=state, clock=clock, needs=Keys()) as s3,
        ):
            application = Application([swift.runtime, s3.runtime], SWIFT)
            rig = Rig(application, Store(swift, state), state)
            if not listen:
                yield rig
                return
            rig.port = free_port()
            server = Server(application, "127.0.0.1", rig.port)
            await server.start()
            try:
                yield rig
            finally:
                await server.stop()
    finally:
        await state.close()


def element(answer: Answer, name: str) -> str:
    """What the first element of that name holds; nothing where there is none."""
    return answer.body.decode().partition(f"<{name}>")[2].partition(f"</{name}>")[0]


def code(answer: Answer) -> str:
    """Of an error."""
    return element(answer, "Code")


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    """The code of an error that a stock client has raised."""
    return str(error.value.response["Error"]["Code"])
