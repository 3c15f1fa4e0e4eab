"""Structured logs: one JSON object a line, or readable text on a terminal; every line with its request's id."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

from pileus.kernel.api.call import request_id

_encode = msgspec.json.Encoder(enc_hook=str).encode


def configure(level: str = "info", *, json: bool = True, stream: TextIO | None = None) -> None:
    """Sets up all logging of the process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    target = stream or sys.stderr
    render: Any = _to_json if json else structlog.dev.ConsoleRenderer(colors=target.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_request_id,
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=target, force=True)


def _add_request_id(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    said = request_id.get()
    if said and "request_id" not in event:
        event["request_id"] = said
    return event


def _to_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    return _encode(event).decode()
