"""Answers to one request that does many things: 200 at once, and what came of it in the body.

Source: Swift's documentation, "Bulk operations". A long silence would break connections, so blanks are sent meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from pileus.kernel.api.answer import Media
from pileus.kernel.api.call import Call
from pileus.kernel.clock import Clock
from pileus.kernel.errors import ApiError
from pileus.kernel.http.reason import reason
from pileus.kernel.http.reply import JSON, Reply, encode_json
from pileus.services.object_store.api import listing
from pileus.services.object_store.listings import Form

BLANK_SECONDS = 10.0
ANSWERS = (
    listing.PLAIN,
    Media(
        JSON,
        {
            "type": "object",
            "properties": {
                "Response Status": {"type": "string"},
                "Response Body": {"type": "string"},
                "Errors": {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
                },
            },
            "required": ["Response Status", "Response Body", "Errors"],
            "additionalProperties": {"type": ["integer", "string"]},
        },
    ),
    listing.XML,
)


def status_line(status: int) -> str:
    """`404 Not Found`."""
    return f"{status} {reason(status)}"


@dataclass
class Outcome:
    """What is told; its counts under the names that the API has for them."""

    root: str
    """Of the answer as XML."""
    counts: dict[str, int] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    status: int = 200
    body: str = ""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """What it was about, as it stands in a URL, and the status line."""

    def fail(self, what: str, error: ApiError) -> None:
        """The whole of it has failed then, if with less of a reason than the cloud's own."""
        self.errors.append((what, status_line(error.status)))
        self.status = 502 if error.status >= 500 or self.status == 502 else 400

    def refuse(self, error: ApiError) -> None:
        """It ends here."""
        self.status, self.body = error.status, error.message

    def encode(self, form: Form) -> bytes:
        values: dict[str, Any] = {
            **self.counts,
            **self.more,
            "Response Status": status_line(self.status),
            "Response Body": self.body,
        }
        if form == "json":
            return encode_json({**values, "Errors": self.errors})
        if form == "xml":
            tags = [(name.replace(" ", "_").lower(), value) for name, value in sorted(values.items())]
            lines = [
                f"<{self.root}>",
                *(f"<{tag}>{escape(str(value))}</{tag}>" for tag, value in tags),
                "<errors>",
                *(
                    f"<object><name>{escape(what)}</name><status>{why}</status></object>"
                    for what, why in self.errors
                ),
                "</errors>",
                f"</{self.root}>",
            ]
        else:
            lines = [f"{name}: {value}" for name, value in sorted(values.items())]
            lines += ["Errors:", *(f"{what}, {why}" for what, why in self.errors)]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def form(call: Call) -> tuple[Form, dict[str, str]]:
    """In which form the client wants the answer, and the header that says so."""
    shape = listing.form(call)
    return shape, {"content-type": listing.MEDIA_TYPES[shape].partition(";")[0]}


async def reply(call: Call, work: Coroutine[Any, Any, Outcome], status: int = 200) -> Reply:
    """The answer at once if the work is short; else blanks until it is done."""
    shape, headers = form(call)
    task, done = _started(work)
    try:
        if await call.runtime.clock.wait(done, BLANK_SECONDS):
            return Reply(status, task.result().encode(shape), headers)
    except BaseException:
        task.cancel()
        raise
    return Reply(status, headers=headers, stream=_blanks(call.runtime.clock, task, done, shape))


async def begun(call: Call, work: Coroutine[Any, Any, Outcome], status: int) -> Reply:
    """The answer begins before anything is done."""
    shape, headers = form(call)
    task, done = _started(work)
    return Reply(status, headers=headers, stream=_blanks(call.runtime.clock, task, done, shape))


def _started(work: Coroutine[Any, Any, Outcome]) -> tuple[asyncio.Task[Outcome], asyncio.Event]:
    """The work under way, and what tells that it has ended."""
    task, done = asyncio.create_task(work), asyncio.Event()
    task.add_done_callback(lambda _: done.set())
    return task, done


async def _blanks(
    clock: Clock, task: asyncio.Task[Outcome], done: asyncio.Event, shape: Form
) -> AsyncGenerator[bytes, None]:
    try:
        yield b" "
        while not await clock.wait(done, BLANK_SECONDS):
            yield b" "
        yield b"\r\n\r\n" + task.result().encode(shape)
    finally:
        task.cancel()
