"""SSE-C: bytes encrypted with a key that the customer brings along each time, and that is not kept.

AES-256 in counter mode. Each object and each part has a counter of its own; of the key only a hash with that is kept, to
tell another key from it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from hashlib import md5
from typing import NamedTuple

from pileus.services.object_store import content as contents
from pileus.services.object_store.content import Content
from pileus.services.object_store.encryption import BodyCipher, through
from pileus.services.object_store.large import segments, slo
from pileus.services.object_store.metadata import CUSTOMER_KEY
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import hooks
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request

HEADER = "x-amz-server-side-encryption-customer-"
SOURCE_HEADER = "x-amz-copy-source-server-side-encryption-customer-"
_EACH = ("algorithm", "key", "key-md5")
_NAMES, _SOURCE_NAMES = (frozenset(prefix + each for each in _EACH) for prefix in (HEADER, SOURCE_HEADER))
KEY_BYTES, COUNTER_BYTES = 32, 16


class CustomerKey(NamedTuple):
    key: bytes
    md5: str
    """Base64, as the client said it."""

    def headers(self) -> dict[str, str]:
        return {f"{HEADER}algorithm": "AES256", f"{HEADER}key-md5": self.md5}


def of_headers(headers: Mapping[str, str], prefix: str = HEADER) -> CustomerKey | None:
    """400 where the three headers are not all there, or don't fit together."""
    names = _SOURCE_NAMES if prefix == SOURCE_HEADER else _NAMES
    if names.isdisjoint(headers):
        return None
    algorithm, key, said = (headers.get(prefix + each) for each in _EACH)
    if algorithm != "AES256":
        raise S3Error(
            "InvalidEncryptionAlgorithmError",
            "The encryption request you specified is not valid. The only valid value is AES256.",
        )
    if key is None or said is None:
        raise S3Error(
            "InvalidArgument",
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate "
            "secret key and its MD5.",
        )
    try:
        found = base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != KEY_BYTES:
        raise S3Error("InvalidArgument", "The secret key was invalid for the specified algorithm.")
    if base64.b64encode(md5(found, usedforsecurity=False).digest()).decode() != said:
        raise S3Error(
            "InvalidArgument", "The calculated MD5 hash of the key did not match the hash that was provided."
        )
    return CustomerKey(found, said)


def _check(key: bytes, counter: bytes) -> str:
    return base64.b64encode(hmac.digest(key, b"s3-customer-key" + counter, "sha256")).decode()


def _stored(key: CustomerKey, counter: bytes) -> str:
    return f"{base64.b64encode(counter).decode()} {_check(key.key, counter)}"


def _counter(stored: str) -> bytes:
    return base64.b64decode(stored.partition(" ")[0])


def _require_same(key: CustomerKey, stored: str) -> None:
    counter, check = stored.split(" ")
    if not hmac.compare_digest(_check(key.key, base64.b64decode(counter)), check):
        raise S3Error("AccessDenied", "Access Denied: the object is encrypted with another key.")


def take(upload: hooks.Upload, what: hooks.What) -> None:
    """Encrypts what comes, where the request brings a key."""
    upload.system.pop(CUSTOMER_KEY, None)
    key = of_headers(upload.request.headers)
    wanted = upload.begun.system.get(CUSTOMER_KEY) if upload.begun is not None else None
    if key is None:
        if wanted is not None:
            raise S3Error(
                "InvalidRequest",
                "The multipart upload initiate requested encryption. Subsequent part requests must include the "
                "appropriate encryption parameters.",
            )
        return
    if what == "part":
        if wanted is None:
            raise S3Error(
                "InvalidRequest",
                "The multipart upload initiate did not request encryption. Please resend the request without "
                "specifying encryption parameters.",
            )
        _require_same(key, wanted)
    counter = os.urandom(COUNTER_BYTES)
    upload.system[CUSTOMER_KEY] = _stored(key, counter)
    upload.headers.update(key.headers())
    body, upload.md5 = _with_md5(upload.body, upload.md5), ""
    upload.body = through(BodyCipher(key.key, counter), body)


async def _with_md5(body: AsyncIterator[bytes], wanted: str) -> AsyncIterator[bytes]:
    """The client means the MD5 of what it sends; what is stored has another."""
    digest = md5(usedforsecurity=False)
    async for chunk in body:
        if wanted:
            digest.update(chunk)
        yield chunk
    if wanted and digest.hexdigest() != wanted:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")


def give(request: Request, content: Content, headers: dict[str, str]) -> Awaitable[Content] | None:
    """Decrypts; 400 where the object needs a key or none, 403 where it is another key."""
    is_source = "x-amz-copy-source" in request.headers
    key = of_headers(request.headers, SOURCE_HEADER if is_source else HEADER)
    stored = content.kept.system.get(CUSTOMER_KEY)
    if stored is None:
        if key is not None:
            raise S3Error("InvalidRequest", "The encryption parameters are not applicable to this object.")
        return None
    if key is None:
        raise S3Error(
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided "
            "to retrieve the object.",
        )
    _require_same(key, stored)
    headers.update(key.headers())
    return _decrypted_whole(request, content, key, stored)


async def _decrypted_whole(request: Request, content: Content, key: CustomerKey, stored: str) -> Content:
    if content.manifest is None:
        return _decrypted(content, key, stored)
    parts = slo.segments(request.account, await content.manifest())

    async def open_part(name: Name) -> Content | None:
        version = await request.state.find(name)
        if version is None:
            return None
        part = contents.plain(request.state, name, version)
        return _decrypted(part, key, part.kept.system[CUSTOMER_KEY])

    return content._replace(
        whole=None, file=None, read=lambda offset, length: segments.read(parts, open_part, offset, length)
    )


def _decrypted(content: Content, key: CustomerKey, stored: str) -> Content:
    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return through(BodyCipher(key.key, _counter(stored), offset), content.read(offset, length))

    return content._replace(whole=None, file=None, read=read)


hooks.TAKING.append(take)
hooks.GIVING.append(give)
