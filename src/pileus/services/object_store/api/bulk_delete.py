"""Many objects and containers, deleted with one request (Swift's documentation, "Bulk delete")."""

from __future__ import annotations

import asyncio
from urllib.parse import quote, unquote_to_bytes

from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, BadRequest, NotFound, PreconditionFailed, TooLarge
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.api import container as containers
from pileus.services.object_store.api import outcome, write
from pileus.services.object_store.api.outcome import Outcome
from pileus.services.object_store.name import MAX_CONTAINER, MAX_OBJECT, Name, check_container, check_object

MAX_DELETES = 10_000
MAX_FAILURES = 1000
MAX_LINE = 3 * (MAX_CONTAINER + MAX_OBJECT + 2)
"""Bytes; each may be written as three."""
AT_ONCE = 16
"""Deletions under way at one time, which then share the disk's syncs."""
DELETED, NOT_FOUND = "Number Deleted", "Number Not Found"


def new_outcome() -> Outcome:
    return Outcome("delete", {DELETED: 0, NOT_FOUND: 0})


async def bulk_delete(call: Call, account: str) -> Reply:
    """Deletes what the body's lines name, each as it stands in a URL."""
    outcome.form(call)
    result = new_outcome()
    wanted: list[bytes] = []
    try:
        body = await call.body(MAX_DELETES * MAX_LINE)
        wanted = [line for line in (each.strip() for each in body.split(b"\n")) if line]
        if len(wanted) > MAX_DELETES:
            raise TooLarge(f"Maximum Bulk Deletes: {MAX_DELETES} per request")
    except TooLarge as error:
        wanted = []
        result.refuse(error)
    return await outcome.reply(call, _delete_all(call, account, wanted, result))


async def _delete_all(call: Call, account: str, wanted: list[bytes], result: Outcome) -> Outcome:
    """In order, as far as a container must come after what is in it."""
    waiting: list[tuple[str, Name]] = []
    for line in wanted:
        shown = quote(line, safe="%/")
        try:
            name = _name(account, line)
        except ApiError as error:
            result.fail(shown, error)
            continue
        if not name.object or len(waiting) == AT_ONCE:
            await _gather(call, waiting, result)
            waiting = []
        waiting.append((shown, name))
        if len(result.errors) > MAX_FAILURES:
            result.refuse(BadRequest("Max delete failures exceeded"))
            return result
    await _gather(call, waiting, result)
    if result.status == 200 and not any(result.counts.values()):
        result.refuse(BadRequest("Invalid bulk delete."))
    return result


def _name(account: str, line: bytes) -> Name:
    if len(line) > MAX_LINE:
        raise BadRequest("The name is too long.")
    try:
        text = unquote_to_bytes(line).decode()
    except UnicodeDecodeError:
        raise PreconditionFailed("The name is not UTF-8.") from None
    container, _, object_ = text.lstrip("/").partition("/")
    if not container or "\0" in text:
        raise PreconditionFailed("The line names nothing.")
    check_container(container)
    check_object(object_)
    return Name(account, container, object_)


async def _gather(call: Call, wanted: list[tuple[str, Name]], result: Outcome) -> None:
    async def one(shown: str, name: Name) -> None:
        try:
            if name.object:
                if not await write.delete(call, name):
                    raise NotFound("There is no such object.")
            else:
                await containers.delete(call, name)
        except NotFound:
            result.counts[NOT_FOUND] += 1
        except ApiError as error:
            result.fail(shown, error)
        else:
            result.counts[DELETED] += 1

    await asyncio.gather(*(one(*each) for each in wanted))
