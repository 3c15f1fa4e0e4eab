"""Forms of browsers, read as they come (RFC 7578): fields and files in order, in constant memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pileus.kernel.errors import BadRequest

if TYPE_CHECKING:
    from multipart import MultipartSegment

MAX_FIELD_BYTES = 64 * 1024
MAX_PARTS = 1000
MAX_BOUNDARY = 70
"""Characters (RFC 2046, section 5.1.1)."""


def malformed(why: str) -> BadRequest:
    return BadRequest(f"The form can't be read: {why}.", kind="MalformedPOSTRequest")


class Part:
    """A field or a file; what is not read of it is skipped when the next one is asked for."""

    def __init__(self, form: Form, segment: MultipartSegment) -> None:
        self.name = segment.name or ""
        self.filename = segment.filename
        """As the client says; None of a field."""
        self.content_type: str | None = segment.header("content-type")
        self._form = form

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come. 400 where the form breaks off."""
        while (chunk := await self._form.chunk()) is not None:
            yield chunk

    async def read(self, limit: int = MAX_FIELD_BYTES) -> str:
        """A field's value; 400 where it is longer than `limit` bytes, or no text."""
        found = bytearray()
        async for chunk in self.chunks():
            found += chunk
            if len(found) > limit:
                raise BadRequest(
                    f"The form's field {self.name[:64]!r} is longer than {limit} bytes.",
                    kind="MaxPostPreDataLengthExceededError",
                )
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise malformed(f"the field {self.name[:64]!r} is not UTF-8") from None


class Form:
    """A body of `multipart/form-data`: `async for part in form`."""

    def __init__(self, content_type: str | None, body: AsyncIterator[bytes]) -> None:
        """400 where the content type is another, or names no boundary."""
        from multipart import parse_options_header

        kind, options = parse_options_header(content_type or "")
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data":
            raise malformed("its Content-Type must be multipart/form-data")
        if not (0 < len(boundary) <= MAX_BOUNDARY and boundary.isascii() and boundary.isprintable()):
            raise malformed(f"its boundary must have 1 to {MAX_BOUNDARY} characters")
        self._events = _events(boundary, body)
        self._inside = False

    async def chunk(self) -> bytes | None:
        """The next bytes of the part that is being read; None at its end."""
        event = await anext(self._events, None) if self._inside else None
        if isinstance(event, (bytes, bytearray)):
            return bytes(event)
        self._inside = False
        return None

    def __aiter__(self) -> Form:
        return self

    async def __anext__(self) -> Part:
        while await self.chunk() is not None:
            pass
        segment = await anext(self._events)
        assert segment is not None
        assert not isinstance(segment, (bytes, bytearray))
        self._inside = True
        return Part(self, segment)


async def _events(
    boundary: str, body: AsyncIterator[bytes]
) -> AsyncIterator[MultipartSegment | bytes | bytearray | None]:
    """Heads of parts, each followed by its bytes and by None."""
    from multipart import MultipartError, PushMultipartParser

    parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
    try:
        async for chunk in body:
            for event in parser.parse(chunk):
                yield event
            if parser.closed:
                return
        parser.close()
    except MultipartError as error:
        raise malformed(str(error)) from error
