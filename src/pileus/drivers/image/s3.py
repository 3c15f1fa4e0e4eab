"""Images in a bucket of an object store with S3's API, an object of its id each.

What is larger than a part goes up as a multipart upload, a part held in memory at a time; it is seen when it is completed.
What a killed process left is found among the bucket's uploads under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from pileus.drivers.image.remote import MIB, Answer, Client, PartSizes, RemoteStore
from pileus.kernel.clock import Clock
from pileus.lib import s3_signature, xml_document
from pileus.lib.aws_signature import V4, signing_key
from pileus.lib.xml_document import Element, XmlError
from pileus.services.image.driver import StoreError, StoreFull
from pileus.services.image.store_settings import StoreSettings

DEFAULT_PART_MIB = 10
MOST_PART_BYTES = 5 * 2**30
GROW_AFTER = 500
"""An upload has ten thousand parts at most: of the default size, growing, that is a TiB."""
DEFAULT_REGION = "us-east-1"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_FULL = frozenset({"QuotaExceeded", "EntityTooLarge", "XMinioStorageFull"})


class S3Writer:
    def __init__(self, store: S3Store, object_id: str) -> None:
        self._store = store
        self._id = object_id
        self._upload = ""
        self._etags: list[str] = []
        self._held: list[bytes] = []
        self._room = store.sizes.of(0)
        self._sending: asyncio.Task[str] | None = None

    async def write(self, chunk: bytes) -> None:
        while chunk:
            if not self._room:
                await self._send()
            taken = chunk[: self._room]
            self._held.append(taken)
            self._room -= len(taken)
            chunk = chunk[len(taken) :]

    async def _send(self) -> None:
        """Begins to send the part that is full; the one before it has gone then."""
        if not self._upload:
            self._upload = await self._store.begin(self._id)
        await self._sent()
        body, self._held = b"".join(self._held), []
        number = len(self._etags) + 1
        self._sending = asyncio.ensure_future(self._store.put_part(self._id, self._upload, number, body))
        self._room = self._store.sizes.of(number)

    async def _sent(self) -> None:
        if self._sending is not None:
            sending, self._sending = self._sending, None
            self._etags.append(await sending)

    async def finish(self) -> None:
        if not self._upload:
            await self._store.put(self._id, b"".join(self._held))
            return
        if self._held:
            await self._send()
        await self._sent()
        await self._store.complete(self._id, self._upload, self._etags)

    async def abort(self) -> None:
        if self._sending is not None:
            # Let it end: a part that comes after the upload was given up might stay.
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._upload:
            await self._store.give_up(self._id, self._upload)


class S3Store(RemoteStore):
    kind = "s3"

    def __init__(self, name: str, settings: StoreSettings, clock: Clock) -> None:
        super().__init__(name, Client(name, settings.cacert))
        self._settings = settings
        self._clock = clock
        self._region = settings.region or DEFAULT_REGION
        host = urlsplit(settings.host)
        self._scheme = host.scheme
        is_aws = (host.hostname or "").endswith(".amazonaws.com")
        is_virtual = settings.bucket_url_format == "virtual" or (
            settings.bucket_url_format == "auto" and is_aws
        )
        self._netloc = f"{settings.bucket}.{host.netloc}" if is_virtual else host.netloc
        self._path = host.path.rstrip("/") + ("" if is_virtual else f"/{settings.bucket}")
        part_bytes = (settings.large_object_chunk_size or DEFAULT_PART_MIB) * MIB
        self.sizes = PartSizes(part_bytes, GROW_AFTER, MOST_PART_BYTES)

    @property
    def properties(self) -> Mapping[str, Any]:
        return {
            "s3_store_host": self._settings.host,
            "s3_store_bucket": self._settings.bucket,
            "s3_store_large_object_chunk_size": self.sizes.first_bytes,
        }

    def url(self, object_id: str) -> str:
        """Names no credentials: only this store reads it."""
        return f"s3+{self._scheme}://{self._netloc}{self._path}/{object_id}"

    async def writer(self, object_id: str, attempt: str) -> S3Writer:
        return S3Writer(self, object_id)

    async def remove(self, object_id: str) -> None:
        # Uploads first: one that is completed meanwhile is then found under its name.
        for upload in await self._uploads(object_id):
            await self.give_up(object_id, upload)
        answer = await self._ask("DELETE", object_id)
        if not answer.ok and answer.status != 404:
            raise self._failure(answer)

    async def list_objects(self) -> list[str]:
        found: list[str] = []
        query = {"list-type": "2"}
        while True:
            answer = await self._ask("GET", query=query)
            if answer.status == 404:
                return []
            page = self._read(answer, "ListBucketResult")
            found += [each.value("Key") or "" for each in page.children("Contents")]
            if page.value("IsTruncated") != "true":
                return found
            query = {"list-type": "2", "continuation-token": page.value("NextContinuationToken") or ""}

    async def begin(self, object_id: str) -> str:
        """The id of a new upload."""
        answer = await self._made("POST", object_id, {"uploads": ""})
        return self._read(answer, "InitiateMultipartUploadResult").value("UploadId") or ""

    async def put(self, object_id: str, body: bytes) -> None:
        answer = await self._made("PUT", object_id, {}, body)
        if not answer.ok:
            raise self._failure(answer)

    async def put_part(self, object_id: str, upload: str, number: int, body: bytes) -> str:
        """Its etag."""
        query = {"partNumber": str(number), "uploadId": upload}
        answer = await self._ask("PUT", object_id, query, body)
        if not answer.ok:
            raise self._failure(answer)
        return answer.headers.get("etag", "")

    async def complete(self, object_id: str, upload: str, etags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{xml_document.text(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = await self._ask("POST", object_id, {"uploadId": upload}, body)
        # Where it took long, the status was sent before the outcome was known.
        self._read(answer, "CompleteMultipartUploadResult")

    async def give_up(self, object_id: str, upload: str) -> None:
        answer = await self._ask("DELETE", object_id, {"uploadId": upload})
        if not answer.ok and answer.status != 404:
            raise self._failure(answer)

    async def _uploads(self, object_id: str) -> list[str]:
        """Those under way for an object."""
        found: list[str] = []
        query = {"uploads": "", "prefix": object_id}
        while True:
            answer = await self._ask("GET", query=query)
            if answer.status == 404:
                return []
            page = self._read(answer, "ListMultipartUploadsResult")
            for each in page.children("Upload"):
                if each.value("Key") == object_id:
                    found.append(each.value("UploadId") or "")
            if page.value("IsTruncated") != "true":
                return found
            marks = {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
            query |= {name: page.value(told) or "" for name, told in marks.items()}

    async def _made(self, method: str, object_id: str, query: Mapping[str, str], body: bytes = b"") -> Answer:
        """Asks again where it was the bucket that was missing, and it could be made."""
        answer = await self._ask(method, object_id, query, body)
        if answer.status != 404:
            return answer
        if not self._settings.create_bucket_on_put:
            raise StoreError(f"Store {self.name} has no bucket {self._settings.bucket}; make it there.")
        place = f"<LocationConstraint>{xml_document.text(self._region)}</LocationConstraint>"
        wanted = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>"
        made = await self._ask("PUT", body=b"" if self._region == DEFAULT_REGION else wanted.encode())
        if not made.ok and made.status != 409:  # another process was quicker
            raise self._failure(made)
        return await self._ask(method, object_id, query, body)

    def _read(self, answer: Answer, root: str) -> Element:
        if not answer.ok:
            raise self._failure(answer)
        try:
            return xml_document.read(answer.body.lstrip(), root)
        except XmlError:
            raise self._failure(answer) from None

    def _failure(self, answer: Answer) -> StoreError:
        try:
            error = xml_document.read(answer.body.lstrip(), "Error")
        except XmlError:
            return self.client.failure(answer)
        code = error.value("Code") or ""
        if code in _FULL:
            return StoreFull(f"There is no room left in store {self.name} ({code}).")
        return self.client.failure(answer, f"{code}: {error.value('Message') or ''}".rstrip(": ."))

    async def _ask(
        self,
        method: str,
        object_id: str = "",
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        payload = _UNSIGNED if self._scheme == "https" else await _digest(body)
        url, headers = self._signed(method, object_id, query or {}, {}, payload)
        return await self.client.ask(method, url, headers, body)

    @asynccontextmanager
    async def opened(
        self, method: str, object_id: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        url, sent = self._signed(method, object_id, {}, headers, s3_signature.EMPTY_SHA256)
        async with self.client.open(method, url, sent) as found:
            yield found

    def _signed(
        self,
        method: str,
        object_id: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        payload: str,
    ) -> tuple[str, dict[str, str]]:
        """The address, and the headers with a signature of version 4."""
        path = f"{self._path}/{object_id}" if object_id else self._path or "/"
        raw_query = urlencode(query, quote_via=quote)
        moment = self._clock.now().strftime("%Y%m%dT%H%M%SZ")
        sent = {"host": self._netloc, "x-amz-content-sha256": payload, "x-amz-date": moment}
        signed = sorted(sent)
        canonical = s3_signature.canonical_request(
            method,
            s3_signature.canonical_path(path),
            s3_signature.canonical_query(raw_query),
            sent,
            signed,
            payload,
        )
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        key = signing_key(self._settings.secret_key, moment[:8], self._region, "s3")
        text = s3_signature.string_to_sign(moment, scope, canonical)
        signature = s3_signature.signature_4(s3_signature.signer(key), text)
        credential = f"{self._settings.access_key}/{scope}"
        sent["authorization"] = (
            f"{V4} Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={signature}"
        )
        url = f"{self._scheme}://{self._netloc}{s3_signature.canonical_path(path)}"
        return f"{url}?{raw_query}" if raw_query else url, {**sent, **headers}


async def _digest(body: bytes) -> str:
    if len(body) < MIB:
        return sha256(body).hexdigest()
    return (await asyncio.to_thread(sha256, body)).hexdigest()
