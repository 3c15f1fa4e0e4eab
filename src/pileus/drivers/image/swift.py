"""Images in a container of an object store with Swift's API.

Image `ID` is a static large object of that name (Object Storage API, "Large objects"); its segments are `ID/ATTEMPT/NUMBER`
beside it. Segments go out as they come in, so memory does not depend on their size, and what breaks off within one is
never there. The manifest, written last, makes an image visible; what a killed process left is found under `ID/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from pileus.drivers.image.keystone import Account, Session
from pileus.drivers.image.remote import MIB, Answer, Client, PartSizes, RemoteStore
from pileus.kernel.clock import Clock
from pileus.services.image.driver import StoreError
from pileus.services.image.store_settings import StoreSettings

T = TypeVar("T")
DEFAULT_SEGMENT_MIB = 200
MOST_SEGMENT_BYTES = 5 * 2**30
"""What a single object may have."""
GROW_AFTER = 100
"""A manifest names a thousand segments at most: of the default size, growing, that is a TiB."""
AT_ONCE = 10
ATTEMPT = "x-object-meta-image-attempt"
AHEAD = 2
"""Chunks of a segment that wait to be sent."""


class _Listed(msgspec.Struct):
    name: str = ""
    subdir: str = ""
    """What stands for several names instead."""


class _Deleted(msgspec.Struct):
    errors: list[Any] = msgspec.field(name="Errors", default_factory=list)


class _Segment:
    """One object on its way out: `send` gets its bytes as they come."""

    def __init__(self, room: int, send: Callable[[AsyncIterator[bytes]], Any]) -> None:
        self.room = room
        self.size = 0
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(AHEAD)
        self._sending = asyncio.ensure_future(send(self._stream()))

    async def _stream(self) -> AsyncIterator[bytes]:
        while chunk := await self._chunks.get():
            yield chunk

    async def write(self, chunk: bytes) -> None:
        await self._hand(chunk)
        self.size += len(chunk)
        self.room -= len(chunk)

    async def finish(self) -> Answer:
        await self._hand(b"")
        answer: Answer = await self._sending
        return answer

    async def _hand(self, chunk: bytes) -> None:
        handing = asyncio.ensure_future(self._chunks.put(chunk))
        try:
            await asyncio.wait((handing, self._sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            handing.cancel()
        if self._sending.done():
            self._sending.result()  # raises what went wrong

    async def abort(self) -> None:
        self._sending.cancel()
        with suppress(asyncio.CancelledError, StoreError):
            await self._sending


class SwiftWriter:
    def __init__(self, store: SwiftStore, object_id: str, attempt: str) -> None:
        self._store = store
        self._id = object_id
        self._attempt = attempt
        self._segments: list[dict[str, Any]] = []
        self._segment: _Segment | None = None

    async def write(self, chunk: bytes) -> None:
        while chunk:
            if self._segment is None:
                if not self._segments:
                    await self._store.ensure_container()
                self._segment = self._begun()
            room = self._segment.room
            await self._segment.write(chunk[:room])
            chunk = chunk[room:]
            if not self._segment.room:
                await self._end_segment()

    def _begun(self) -> _Segment:
        number = len(self._segments)
        name = f"{self._id}/{self._attempt}/{number:08}"
        self._segments.append({"path": f"/{self._store.container}/{name}"})
        return _Segment(self._store.sizes.of(number), lambda body: self._store.put(name, body))

    async def _end_segment(self) -> None:
        if self._segment is None:
            return
        answer = await self._segment.finish()
        said = {"size_bytes": self._segment.size, "etag": answer.headers.get("etag", "").strip('"')}
        self._segments[-1] |= said
        self._segment = None

    async def finish(self) -> None:
        await self._end_segment()
        if not self._segments:
            await self._store.ensure_container()
        replaced = await self._store.attempt_of(self._id)
        headers = {ATTEMPT: self._attempt}
        if self._segments:
            manifest = msgspec.json.encode(self._segments)
            await self._store.put(self._id, manifest, headers, query="?multipart-manifest=put")
        else:
            await self._store.put(self._id, b"", headers)
        if replaced and replaced != self._attempt:
            await self._store.clear(f"{self._id}/{replaced}/")

    async def abort(self) -> None:
        if self._segment is not None:
            await self._segment.abort()
        if self._segments:
            await self._store.clear(f"{self._id}/{self._attempt}/")


class SwiftStore(RemoteStore):
    kind = "swift"

    def __init__(self, name: str, settings: StoreSettings, clock: Clock) -> None:
        super().__init__(name, Client(name, settings.cacert))
        self.container = settings.container
        self._settings = settings
        segment_bytes = (settings.large_object_chunk_size or DEFAULT_SEGMENT_MIB) * MIB
        self.sizes = PartSizes(segment_bytes, GROW_AFTER, MOST_SEGMENT_BYTES)
        self._account = Account(name, settings, self.client, clock)

    @property
    def properties(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "auth_address": self._settings.auth_address,
            "chunk_size": self.sizes.first_bytes,
        }

    def url(self, object_id: str) -> str:
        """Names no credentials: only this store reads it."""
        auth = urlsplit(self._settings.auth_address)
        where = f"{auth.netloc}{auth.path.rstrip('/')}"
        return f"swift+{auth.scheme}://{where}/{quote(self.container)}/{object_id}"

    async def writer(self, object_id: str, attempt: str) -> SwiftWriter:
        return SwiftWriter(self, object_id, attempt)

    async def remove(self, object_id: str) -> None:
        # Segments first: who is about to write a manifest then can't, and one that came before them is gone after.
        await self.clear(f"{object_id}/")
        shown = await self._ask("HEAD", object_id)
        if shown.status == 404:
            return
        is_large = shown.headers.get("x-static-large-object", "").lower() == "true"
        await self._delete(object_id, with_segments=is_large)

    async def list_objects(self) -> list[str]:
        return [each async for each in self._names({"delimiter": "/"})]

    async def ensure_container(self) -> None:
        """Raises StoreError where there is none and none is to be made. The token has been tried then, too: what is
        sent as it comes can't be sent again."""
        shown = await self._ask("HEAD")
        if shown.status == 404:
            if not self._settings.create_container_on_put:
                raise StoreError(f"Store {self.name} has no container {self.container}; make it there.")
            shown = await self._ask("PUT")
        if not shown.ok:
            raise self.client.failure(shown)

    async def put(
        self,
        name: str,
        body: bytes | AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> Answer:
        sent = {"content-type": "application/octet-stream", **(headers or {})}
        answer = await self._ask("PUT", name, query, sent, body)
        if not answer.ok:
            raise self.client.failure(answer, answer.body[:200].decode("utf-8", "replace").strip())
        return answer

    async def attempt_of(self, object_id: str) -> str | None:
        """Which attempt an image is of."""
        return (await self._ask("HEAD", object_id)).headers.get(ATTEMPT)

    async def clear(self, prefix: str) -> None:
        """Deletes all whose names begin so."""
        names = [each async for each in self._names({"prefix": prefix})]
        for at in range(0, len(names), AT_ONCE):
            await asyncio.gather(*(self._delete(name) for name in names[at : at + AT_ONCE]))

    async def _names(self, query: Mapping[str, str]) -> AsyncIterator[str]:
        marker = ""
        while True:
            asked = "?" + urlencode({"format": "json", **query, "marker": marker})
            answer = await self._ask("GET", "", asked)
            if answer.status == 404:
                return
            if not answer.ok:
                raise self.client.failure(answer)
            page = self._decoded(answer.body or b"[]", list[_Listed])
            if not page:
                return
            for each in page:
                if each.name:
                    yield each.name
            marker = page[-1].name or page[-1].subdir

    async def _delete(self, name: str, *, with_segments: bool = False) -> None:
        query = "?multipart-manifest=delete" if with_segments else ""
        answer = await self._ask("DELETE", name, query, {"accept": "application/json"})
        if answer.status == 404:
            return
        if not answer.ok or (with_segments and self._decoded(answer.body, _Deleted).errors):
            raise self.client.failure(answer, answer.body[:200].decode("utf-8", "replace").strip())

    def _decoded(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(f"Store {self.name} does not answer as an object store does.") from error

    async def _ask(
        self,
        method: str,
        name: str = "",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> Answer:
        """Of an object, or of the container. A token that is refused is replaced once."""
        session = await self._account.session()
        for _ in range(2):
            sent = {"x-auth-token": session.token, **(headers or {})}
            answer = await self.client.ask(method, self._url(session, name) + query, sent, body)
            if answer.status != 401 or not isinstance(body, bytes):
                break
            session = await self._account.session(refused=session)
        return answer

    @asynccontextmanager
    async def opened(
        self, method: str, object_id: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        session = await self._account.session()
        sent = {"x-auth-token": session.token, **headers}
        async with self.client.open(method, self._url(session, object_id), sent) as found:
            if found[0].status != 401:
                yield found
                return
        session = await self._account.session(refused=session)
        sent["x-auth-token"] = session.token
        async with self.client.open(method, self._url(session, object_id), sent) as found:
            yield found

    def _url(self, session: Session, name: str) -> str:
        container = f"{session.url}/{quote(self.container, safe='')}"
        return f"{container}/{quote(name)}" if name else container
