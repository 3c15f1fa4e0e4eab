"""Where features that cut across operations take part in them: checksums, encryption, object lock, tags.

Each is a list of functions that are called in order; a file of such a feature adds its own when it is imported, and
`s3/__init__.py` imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from pileus.services.object_store.content import Content
from pileus.services.object_store.driver import Version
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3.request import Request


class Upload:
    """Bytes on their way in: an object, or a part of one."""

    __slots__ = ("body", "headers", "length", "name", "request", "system", "trailers")

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
        self.trailers = trailers
        """By lower-case name; complete when the body has ended."""
        self.system: dict[str, str] = {}
        """What is to be kept with the object, by lower-case name; may still be filled when the body ends."""
        self.headers: dict[str, str] = {}
        """More headers of the answer."""


Taking = Callable[[Upload, Literal["object", "part"]], Awaitable[None]]
TAKING: list[Taking] = []
"""Before an upload is stored."""

Giving = Callable[[Request, Content, dict[str, str]], Awaitable[Content]]
GIVING: list[Giving] = []
"""Before an object is given: may add headers, and give the content in another form. HEAD and copies ask, too."""

Guard = Callable[[Request, Name, Version], Awaitable[None]]
GUARDS: list[Guard] = []
"""Before a version is removed for good or overwritten: raise S3Error where it must stay."""


Making = Callable[[Request], dict[str, str]]
MAKING: list[Making] = []
"""What a request that makes a bucket wants of it, as metadata of the container."""


async def taking(upload: Upload, what: Literal["object", "part"]) -> None:
    for each in TAKING:
        await each(upload, what)


async def giving(request: Request, content: Content, headers: dict[str, str]) -> Content:
    for each in GIVING:
        content = await each(request, content, headers)
    return content


async def guard(request: Request, name: Name, version: Version) -> None:
    for each in GUARDS:
        await each(request, name, version)


def making(request: Request) -> dict[str, str]:
    return {name: value for each in MAKING for name, value in each(request).items()}
