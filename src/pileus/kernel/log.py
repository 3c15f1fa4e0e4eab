"""Structured logs: one JSON object a line, or readable text on a terminal; every line with its request's id."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
import structlog

from pileus.kernel.api.call import request_id

_encode = msgspec.json.Encoder(enc_hook=str).encode
_log = structlog.get_logger("pileus.api")


class _Answered(msgspec.Struct):
    """The line of a request, written by itself: structlog's way costs three times as much, and each request pays."""

    method: str
    path: str
    status: int
    ms: float
    request_id: str
    timestamp: datetime
    event: str = "request"
    level: str = "info"


_lines: _Gathered | None = None
"""Where requests' lines go; None: structlog's way."""


def answered(method: str, path: str, status: int, ms: float, said: str) -> None:
    """A request was answered; `said` is its id."""
    if _lines is None:
        _log.info("request", method=method, path=path, status=status, ms=ms, request_id=said)
    else:
        _lines.write(_encode(_Answered(method, path, status, ms, said, datetime.now(UTC))) + b"\n")
        _lines.flush()


def configure(level: str = "info", *, json: bool = True) -> None:
    """Sets up all logging of the process, which goes to its standard error."""
    global _lines
    _lines = None
    number = logging.getLevelNamesMapping()[level.upper()]
    if json:
        gathered = _Gathered(sys.stderr.buffer)
        render: Any = _to_json
        factory: Any = structlog.BytesLoggerFactory(gathered)  # type: ignore[arg-type]
        _lines = gathered if number <= logging.INFO else None
    else:
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        factory = structlog.WriteLoggerFactory(sys.stderr)
    structlog.configure(
        processors=[_complete, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, force=True)


class _Gathered:
    """What one turn of the event loop says goes out with one system call."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: deque[bytes] = deque()
        """Of all threads: none is lost while another thread writes them out."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """On which the next writing waits."""
        atexit.register(self._write_out)

    def write(self, line: bytes) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        loop = asyncio._get_running_loop()
        if loop is None:
            self._write_out()
        elif loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._write_out)

    def _write_out(self) -> None:
        self._loop = None
        lines = []
        with suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        self._file.write(b"".join(lines))
        self._file.flush()


def _complete(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds what every line has. One function, where structlog has four: each request writes a line."""
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = datetime.now(UTC)
    if "request_id" not in event and (said := request_id.get()):
        event["request_id"] = said
    return structlog.processors.format_exc_info(logger, method, event) if "exc_info" in event else event


def _to_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    return _encode(event)
