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


def configure(level: str = "info", *, json: bool = True) -> None:
    """Sets up all logging of the process, which goes to its standard error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if json:
        render: Any = _to_json
        factory: Any = structlog.BytesLoggerFactory(_Gathered(sys.stderr.buffer))  # type: ignore[arg-type]
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
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if "request_id" not in event and (said := request_id.get()):
        event["request_id"] = said
    return structlog.processors.format_exc_info(logger, method, event) if "exc_info" in event else event


def _to_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    return _encode(event)
