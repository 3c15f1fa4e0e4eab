"""Structured logs: one JSON object a line, or readable text on a terminal; every line with its request's id."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from pileus.kernel.api.call import request_id

_encode = msgspec.json.Encoder(enc_hook=str).encode


def configure(level: str = "info", *, json: bool = True) -> None:
    """Sets up all logging of the process, which goes to its standard error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if json:
        render: Any = _to_json
        factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
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


def _complete(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds what every line has. One function, where structlog has four: each request writes a line."""
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if "request_id" not in event and (said := request_id.get()):
        event["request_id"] = said
    return structlog.processors.format_exc_info(logger, method, event) if "exc_info" in event else event


def _to_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    return _encode(event)
