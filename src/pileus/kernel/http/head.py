"""Heads of HTTP/1 messages: a request's by llhttp (through httptools), an answer's put together.

Only the head is llhttp's, and bodies in chunks; bodies of a known length pass it by, as there is nothing to parse.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

from pileus.kernel.http.reason import reason

MAX_HEADERS = 200
MAX_HEAD_BYTES = 64 * 1024
Headers = Iterable[tuple[bytes, bytes]]
ASGI = {"version": "3.0", "spec_version": "2.4"}
_LENGTH_DIGITS = 20
"""Those of 2**64, beyond which llhttp refuses; Python refuses to read thousands of zeros."""
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_HOST = re.compile(rb"(\[[\w:.%~-]+\]|[\w.~!$&'()*+,;=%-]*)(:[0-9]*)?")
"""RFC 3986, 3.2.2, and zones of IPv6 addresses (RFC 6874). It may be empty."""
_ABSOLUTE = re.compile(rb"https?://([^/]+)(/.*)?", re.IGNORECASE)


class BadHead(Exception):
    """What came is no request that can be served; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class BadAnswer(Exception):
    """An application's answer can't be sent as it is, or is not what it announced."""


class Request:
    """A request's head, and its body where that comes in chunks. Fed by llhttp, whose names of events these are."""

    __slots__ = (
        "chunks",
        "expects_continue",
        "headers",
        "is_beyond",
        "is_chunked",
        "is_complete",
        "is_whole",
        "keep_alive",
        "length",
        "method",
        "parser",
        "path",
        "query",
        "target",
        "unfruitful",
        "version",
    )

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length = 0
        """Bytes of the body; not known where it is chunked."""
        self.is_chunked = False
        self.expects_continue = False
        self.is_complete = False
        """Whether the head is."""
        self.is_whole = False
        """Whether the last chunk has come."""
        self.is_beyond = False
        """Whether something came right behind it, which llhttp has eaten."""
        self.chunks: list[bytes] = []
        self.unfruitful = 0
        """Bytes since the last that were of the body: chunks' extensions and trailers."""
        self.parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        """None when it is not needed any more: the two hold each other, and only a garbage collection would find them."""

    def on_message_begin(self) -> None:
        self.is_beyond = self.is_whole

    def on_url(self, url: bytes) -> None:
        if not self.is_complete:
            self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_complete:
            return  # a trailer: nobody here has a use for it
        name, value = name.lower(), value.rstrip(b" \t")
        if len(self.headers) == MAX_HEADERS:
            raise BadHead(f"more than {MAX_HEADERS} headers", 431)
        self.headers.append((name, value))
        if name == b"content-length":
            if len(value) > _LENGTH_DIGITS:
                raise BadHead("the length of the body has too many digits")
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.is_chunked = True
            if value.lower() != b"chunked":
                raise BadHead("no other transfer encoding than chunked is known", 501)
        elif name == b"expect":
            self.expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self.is_complete = True
        # llhttp knows it no longer when the message is complete.
        assert self.parser is not None
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self.is_whole:
            self.chunks.append(body)

    def on_message_complete(self) -> None:
        self.is_whole = True

    def feed_head(self, data: bytes) -> None:
        """`data` is all up to the first empty line, which ends it. Raises BadHead."""
        parser = self.parser
        assert parser is not None
        if not data.isascii():
            line, end, rest = data.partition(b"\r\n")
            # Clients of old send a path's UTF-8 as it is.
            data = _NOT_ASCII.sub(lambda found: b"%%%02X" % ord(found[0]), line) + end + rest
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            # Nothing is offered to upgrade to, and a request that asks for it is one like any other (RFC 9110, 7.8).
            if self.is_chunked:
                raise BadHead("a request with a body in chunks can't ask for another protocol") from error
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ if isinstance(error.__context__, BadHead) else error from None
        except httptools.HttpParserInvalidMethodError as error:
            raise BadHead("there is no such method", 501) from error
        except httptools.HttpParserError as error:
            raise BadHead(str(error) or "not HTTP") from error
        if not self.is_complete or self.chunks:
            raise BadHead("not the head of a request")
        method = parser.get_method()
        self.method = method.decode("ascii")
        self.version = parser.get_http_version()
        if self.version not in ("1.0", "1.1"):
            raise BadHead("only HTTP/1.0 and 1.1 are spoken here", 505)
        # llhttp knows RTSP and ICE, too, and lets more than one space pass.
        if not data.startswith(b"%b %b HTTP/" % (method, self.target)):
            raise BadHead("not the first line of a request")
        if self.method == "CONNECT":
            raise BadHead("there are no tunnels to be had here", 501)
        if self.is_chunked and self.version == "1.0":
            raise BadHead("HTTP/1.0 has no bodies in chunks")
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1:
            raise BadHead("there is more than one Host")
        if not hosts and self.version == "1.1":
            raise BadHead("there is no Host, and HTTP/1.1 has one in every request")
        self.path, _, self.query = self.target.partition(b"?")
        if not self.path.startswith(b"/") and (self.target != b"*" or self.method != "OPTIONS"):
            hosts = [self._resolve()]
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise BadHead("the Host is no host and port")
        if b"#" in self.target:
            raise BadHead("the part of a URL behind # is not for the server: in a name it is %23")
        if not self.is_chunked:
            self.parser = None

    def _resolve(self) -> bytes:
        """Of a target in absolute form, as proxies are asked: its host, whatever Host says (RFC 9112, 3.2.2)."""
        found = _ABSOLUTE.fullmatch(self.path)
        if found is None:
            raise BadHead("the target of the request is no path")
        host: bytes = found[1]
        self.path = found[2] or b"/"
        self.headers = [(b"host", host), *(header for header in self.headers if header[0] != b"host")]
        return host

    def feed_chunks(self, data: bytes) -> list[bytes]:
        """What `data` has of the body's bytes. Raises BadHead."""
        assert self.parser is not None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.is_whole:
                raise BadHead(f"not a body in chunks: {error}") from error
            self.is_beyond = True
        chunks, self.chunks = self.chunks, []
        self.unfruitful = 0 if chunks else self.unfruitful + len(data)
        if self.is_whole:
            self.parser = None
        elif self.unfruitful > MAX_HEAD_BYTES:
            raise BadHead(f"more than {MAX_HEAD_BYTES} bytes of a body in chunks are none of the body")
        return chunks

    def scope(self, client: Any, server: Any) -> dict[str, Any]:
        """As ASGI has it. Bytes of the path that are not UTF-8 become U+FFFD."""
        raw = self.path
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": self.version,
            "scheme": "http",
            "method": self.method,
            "path": (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8", "replace"),
            "raw_path": raw,
            "query_string": self.query,
            "root_path": "",
            "headers": self.headers,
            "client": client,
            "server": server,
        }


_LINES: dict[int, bytes] = {}
"""What answers begin with, by status."""
_date = (0, b"")


def header_lines(headers: Headers) -> bytes:
    """As they go out. Raises BadAnswer."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    return _sound(b"".join(lines), len(lines))


def header_lines_of(headers: Mapping[str, str]) -> bytes:
    """The same of text; characters beyond Latin-1 become question marks. Raises BadAnswer."""
    lines = "\r\n".join(map(": ".join, headers.items()))
    return _sound(f"{lines}\r\n".encode("latin-1", "replace") if headers else b"", len(headers))


def _sound(lines: bytes, count: int) -> bytes:
    # What goes into headers may be a client's own: no line of its making gets between ours.
    if lines.count(b"\n") != count or lines.count(b"\r") != count or b"\0" in lines:
        raise BadAnswer("a header has a line break or a NUL")
    return lines


def answer_head(status: int, lines: bytes, *more: bytes) -> bytes:
    """`lines` are the application's headers, `more` those that the server adds, each without its end."""
    return b"\r\n".join((_status_line(status), *more, _date_line(), lines)) + b"\r\n"


def _status_line(status: int) -> bytes:
    line = _LINES.get(status)
    if line is None:
        known = status in HTTPStatus._value2member_map_
        line = _LINES[status] = f"HTTP/1.1 {status} {reason(status) if known else 'Unknown'}".encode()
    return line


def _date_line() -> bytes:
    global _date
    now = int(time.time())
    if now != _date[0]:
        _date = now, b"date: " + formatdate(now, usegmt=True).encode()
    return _date[1]
