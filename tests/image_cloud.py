"""The image service alone, over files, with a web server on loopback that it may fetch from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from pileus.drivers.image.fetch import HttpFetcher
from pileus.drivers.image.file import FileStore
from pileus.drivers.image.http import HttpStore
from pileus.drivers.image.qemu_img import QemuImg
from pileus.kernel.api.application import scope_of
from pileus.kernel.api.body_stream import ClientGone
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.context import Context
from pileus.kernel.http.caller import PeerReply
from pileus.lib.address_guard import Guard
from pileus.services.image.driver import Store
from pileus.services.image.service import service
from pileus.services.image.settings import Settings
from pileus.services.image.shelves import Shelf, Shelves
from pileus.services.image.state import ImageState
from pileus.services.image.work import programs
from pileus.testing.service import MEMBER, ServiceUnderTest, hold_to_description, serving
from pileus.testing.waiting import until

OCTETS = "application/octet-stream"
RAW = {"name": "one", "disk_format": "raw", "container_format": "bare"}
PATCH = "application/openstack-images-v2.1-json-patch"


@dataclass
class Images:
    """The service, spoken to in the words of images. Paths are below `/image/v2`."""

    cloud: ServiceUnderTest
    state: ImageState
    folder: Path

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        as_: Context = MEMBER,
        headers: Mapping[str, str] | None = None,
    ) -> PeerReply:
        """Bytes, or chunks of them, are sent as they are; anything else as JSON."""
        if body is None:
            chunks: Iterable[bytes] = ()
        elif isinstance(body, bytes):
            chunks = (body,)
        elif isinstance(body, Iterable) and not isinstance(body, dict | list | str):
            chunks = body
        else:
            chunks = (msgspec.json.encode(body),)
        pending = chain(chunks, [b""])
        said: dict[str, Any] = {}
        received: list[bytes] = []

        async def receive() -> dict[str, Any]:
            try:
                chunk = next(pending)
            except StopIteration:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                said.update(message)
            else:
                received.append(message.get("body", b""))

        path, _, query = f"/image/v2{path}".partition("?")
        sent = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = scope_of(method, path, sent, query.encode(), **{CONTEXT_KEY: as_})
        await self.cloud.application(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in said["headers"]}
        reply = PeerReply(said["status"], answered, b"".join(received))
        hold_to_description(self.cloud.application, method, path, reply.status, reply.headers, reply.body)
        return reply

    async def get(self, path: str, **more: Any) -> Any:
        reply = await self.ask("GET", path, **more)
        assert reply.status == 200, (reply.status, reply.body)
        return reply.json()

    async def make(self, as_: Context = MEMBER, **more: Any) -> str:
        reply = await self.ask("POST", "/images", {**RAW, **more}, as_=as_)
        assert reply.status == 201, reply.body
        return str(reply.json()["id"])

    async def upload(
        self, image_id: str, data: Any, *, as_: Context = MEMBER, to: str = "file", **headers: str
    ) -> PeerReply:
        sent = {"content-type": OCTETS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.ask("PUT", f"/images/{image_id}/{to}", data, as_=as_, headers=sent)

    async def active(self, data: bytes = b"x" * 3000, as_: Context = MEMBER, **more: Any) -> str:
        image_id = await self.make(as_, **more)
        reply = await self.upload(image_id, data, as_=as_)
        assert reply.status == 204, reply.body
        return image_id

    async def patch(self, image_id: str, *changes: Mapping[str, Any], as_: Context = MEMBER) -> PeerReply:
        return await self.ask(
            "PATCH", f"/images/{image_id}", list(changes), as_=as_, headers={"content-type": PATCH}
        )

    async def import_(self, image_id: str, method: Any, *, as_: Context = MEMBER, **more: Any) -> PeerReply:
        wanted = {"name": method} if isinstance(method, str) else method
        headers = more.pop("headers", None)
        body = {"method": wanted, **more}
        return await self.ask("POST", f"/images/{image_id}/import", body, as_=as_, headers=headers)

    async def task(self, image_id: str) -> Any:
        """The image's latest task, once it has ended."""

        async def ended() -> Any:
            task = (await self.get(f"/images/{image_id}/tasks"))["tasks"][-1]
            return task if task["status"] in ("success", "failure") else None

        return await until(ended)

    def files(self) -> set[str]:
        """All that lies in stores, on the stage and in the cache."""
        return {f"{path.parent.name}/{path.name}" for path in self.folder.rglob("*") if path.is_file()}

    async def empty(self) -> bool:
        return not self.files()


def broken_off(data: bytes) -> Iterator[bytes]:
    """What a client sends that goes away before the end."""
    yield from (data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000))
    raise ClientGone


@dataclass
class WebServer:
    """Serves what is put into `pages` by path: bytes, or an address to go on to."""

    pages: dict[str, bytes | str] = field(default_factory=dict)
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n")[0].split(" ")
        self.asked.append(path)
        page = self.pages.get(path)
        if page is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        elif isinstance(page, str):
            line = f"HTTP/1.1 302 Found\r\nlocation: {page}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            writer.write(line.encode())
        else:
            length = len(page) + (1 if path.endswith("/cut") else 0)
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n".encode())
            if method == "GET":
                writer.write(page)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def web_server() -> AsyncIterator[WebServer]:
    web = WebServer()
    server = await asyncio.start_server(web.answer, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    async with server:
        yield web


@asynccontextmanager
async def image_cloud(
    folder: Path,
    *,
    loopback: bool = True,
    more: Mapping[str, Any] | None = None,
    stores: Iterable[Store] = (),
    **settings: Any,
) -> AsyncIterator[Images]:
    """Two stores of files, `file` before `second`, and `web`, which is only read from; after them `stores`."""
    networks = ("127.0.0.0/8", "::1/128") if loopback else ()
    chosen = Settings(**{"import_allowed_networks": networks, "show_locations": True, **settings})
    fetcher = HttpFetcher(Guard.of(chosen.import_allowed_ports, chosen.import_allowed_networks))
    shelves = [
        Shelf(FileStore(folder / "first", "file"), "the first", 10),
        Shelf(FileStore(folder / "second", "second"), "the second", 5),
        Shelf(HttpStore("web", fetcher)),
        *map(Shelf, stores),
    ]
    state = ImageState(
        Shelves(shelves, "file"),
        stage=FileStore(folder / "stage", "stage"),
        cache=FileStore(folder / "cache", "cache"),
        fetcher=fetcher,
        settings=chosen,
        converter=QemuImg(),
        **(more or {}),
    )
    await state.start()
    try:
        async with serving(service, programs=programs, state=state) as cloud:
            yield Images(cloud, state, folder)
    finally:
        await state.close()
