"""Where features that cut across operations take part in them: checksums, encryption, object lock, tags.

Each is a list of functions that are called in order; a file of such a feature adds its own when it is imported, and
`s3/__init__.py` imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from pileus.services.object_store.content import Content
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import xml
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.versioning import Found

What = Literal["object", "part", "upload"]
"""An object, a part of one, or a multipart upload that begins, whose bytes come later."""


class CompletePart(NamedTuple):
    """A part as it was stored, and what the client says of it."""

    number: int
    name: Name
    etag: str
    size_bytes: int
    said: xml.Node


class Upload:
    """Bytes on their way in: an object, or a part of one."""

    __slots__ = (
        "begun",
        "body",
        "elements",
        "headers",
        "length",
        "md5",
        "name",
        "request",
        "source",
        "system",
        "trailers",
    )

    def __init__(
        self,
        request: Request,
        name: Name,
        body: AsyncIterator[bytes],
        length: int | None,
        trailers: dict[str, str],
    ) -> None:
        self.request = request
        self.name = name
        self.body = body
        """May be wrapped; an error that a wrapper raises at the end keeps the object from being stored."""
        self.length = length
        """Of the bytes that are stored; None where it is not known before."""
        self.md5 = ""
        """That the stored bytes must have, in hexadecimal digits, where the client says it."""
        self.trailers = trailers
        """By lower-case name; complete when the body has ended."""
        self.system: dict[str, str] = {}
        """What is to be kept with the object, by lower-case name; may still be filled when the body ends."""
        self.begun: ObjectMetadata | None = None
        """Of a part: what was kept when its upload began."""
        self.source: Content | None = None
        """What is copied."""
        self.headers: dict[str, str] = {}
        """More headers of the answer."""
        self.elements: list[tuple[str, xml.Value]] = []
        """More of the answer to a copy, which is a document."""


Taking = Callable[[Upload, What], Awaitable[None] | None]
TAKING: list[Taking] = []
"""Before an upload is stored. What need not wait returns nothing."""

Describing = Callable[[Request, Content, dict[str, str]], None]
DESCRIBING: list[Describing] = []
"""Before an object is given: may add headers, by what is kept with it or with the bucket. HEAD asks, too."""

Giving = Callable[[Request, Content, dict[str, str]], Awaitable[Content] | None]
GIVING: list[Giving] = []
"""After that: may give the content in another form; what leaves it as it is returns nothing. Copies ask, too."""


class Completion:
    """A multipart upload whose parts become an object."""

    __slots__ = ("elements", "headers", "kept", "parts", "request", "system")

    def __init__(self, request: Request, kept: ObjectMetadata, parts: Sequence[CompletePart]) -> None:
        self.request = request
        self.kept = kept
        """What was kept when the upload began."""
        self.parts = parts
        self.system: dict[str, str] = {}
        """More that is to be kept with the object."""
        self.headers: dict[str, str] = {}
        self.elements: list[tuple[str, xml.Value]] = []
        """More of the answer."""


Completing = Callable[[Completion], Awaitable[None]]
COMPLETING: list[Completing] = []
"""Before the parts of an upload become an object: raise S3Error where they must not."""

Guard = Callable[[Request, Name, Found], Awaitable[None]]
GUARDS: list[Guard] = []
"""Before a version of the named object is removed for good or overwritten: raise S3Error where it must stay."""


Making = Callable[[Request], dict[str, str]]
MAKING: list[Making] = []
"""What a request that makes a bucket wants of it, as metadata of the container."""


Describe = Callable[[Content], list[tuple[str, xml.Value]]]
CHECKSUMS: list[Describe] = []
"""Elements of `GetObjectAttributes` that tell an object's checksums."""

StatusCheck = Callable[[Request, str], None]
STATUS_CHECKS: list[StatusCheck] = []
"""Before a bucket's versioning becomes `Enabled` or `Suspended`: raise S3Error where it may not."""


async def taking(upload: Upload, what: What) -> None:
    for each in TAKING:
        if (waiting := each(upload, what)) is not None:
            await waiting


async def completing(completion: Completion) -> None:
    for each in COMPLETING:
        await each(completion)


async def giving(request: Request, content: Content, headers: dict[str, str]) -> Content:
    if content.kept.system or request.metadata:
        for describe in DESCRIBING:
            describe(request, content, headers)
    for each in GIVING:
        if (waiting := each(request, content, headers)) is not None:
            content = await waiting
    return content


def checksum(content: Content) -> list[tuple[str, xml.Value]]:
    return [element for each in CHECKSUMS for element in each(content)]


async def guard(request: Request, name: Name, found: Found) -> None:
    for each in GUARDS:
        await each(request, name, found)


def making(request: Request) -> dict[str, str]:
    return {name: value for each in MAKING for name, value in each(request).items()}
