"""Multipart uploads that have begun: where they and their parts are kept.

An upload is an entry in a hidden list, with what the object will have. Its parts are objects in the container
`BUCKET+segments`, as Swift's own S3 has them, so that the object is a static large object which Swift can read.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import NamedTuple

from pileus.services.object_store import hidden, metadata, turns, versioning
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Ask, NoSuchContainer, NotEmpty
from pileus.services.object_store.metadata import SEGMENTS, ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import receive
from pileus.services.object_store.s3 import leavings, objects, storing
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.listing import Row, decode_rows
from pileus.services.object_store.s3.request import Request

_ID = re.compile(r"^[0-9a-f]{32}$")


class Begun(NamedTuple):
    id: str
    kept: ObjectMetadata
    version: Version


def place_of(request: Request, upload_id: str) -> Name:
    where = hidden.shadow("uploads", request.name)
    return where._replace(object=hidden.entry(request.key, upload_id))


async def begin(request: Request, kept: ObjectMetadata) -> str:
    """Returns the new upload's id; ids of one key are in the order of time."""
    assert request.info is not None
    state = request.state
    await hidden.make(state, "uploads", request.name, request.info)
    segments = request.bucket + SEGMENTS
    if await state.container(request.account, segments) is None:
        await state.listings.set_container(
            request.account, segments, state.now(), dict, make=True, policy=request.info.policy
        )
        state.forget(request.account, segments)
    now = state.now()
    upload_id = f"{now.units:015x}{secrets.token_hex(9)[:17]}"
    await receive(state, place_of(request, upload_id), now, kept, versioning.nothing(), 0)
    return upload_id


def asked(request: Request) -> str:
    """What `uploadId` says. 404 where no upload can have such an id."""
    upload_id = request.arg("uploadId") or ""
    if not _ID.match(upload_id):
        raise no_such_upload(upload_id)
    return upload_id


async def find(request: Request) -> Begun:
    """What `uploadId` names. 404 where it has not begun, or is over."""
    upload_id = asked(request)
    version = await request.state.find(place_of(request, upload_id))
    if version is None:
        raise no_such_upload(upload_id)
    return Begun(upload_id, metadata.decode(version.metadata), version)


def no_such_upload(upload_id: str) -> S3Error:
    return S3Error(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        details={"UploadId": upload_id},
    )


def part_name(request: Request, upload_id: str, number: int) -> Name:
    return Name(request.account, request.bucket + SEGMENTS, f"{request.key}/{upload_id}/{number:05d}")


async def parts(
    request: Request, upload_id: str, *, after: int = 0, limit: int = objects.MAX_PARTS
) -> dict[int, Row]:
    """By number, in order."""
    first = part_name(request, upload_id, after)
    asked = Ask(prefix=first.object[:-5], marker=first.object, limit=limit)
    body = await request.state.list_objects(first, asked, "json")
    return {int(row.name[-5:]): row for row in decode_rows(body or b"[]")}


async def end(request: Request, upload_id: str) -> None:
    await versioning.remove(request.state, place_of(request, upload_id))


async def abort(request: Request, upload_id: str) -> None:
    """Nothing is left of it. A part that is still coming removes itself. 404 where the upload is completed already."""
    state, at = request.state, place_of(request, upload_id)
    async with turns.turn(state, at, state.now(), is_needed=False):
        if (done := await leavings.completed(state, request.name, upload_id)) is not None:
            await leavings.leave(state, done)
            raise no_such_upload(upload_id)
        await leavings.leave(state, leavings.Note(request.name, upload_id))
        await end(request, upload_id)
        found = await parts(request, upload_id)
        await storing.remove_all(request, [part_name(request, upload_id, number) for number in found])


async def listed(
    request: Request, *, prefix: str = "", after: str = "", limit: int = 1000
) -> list[tuple[str, str, str, str]]:
    """Key, id, time and place in the list of those that have begun, from a place on."""
    where = hidden.shadow("uploads", request.name)
    asked = Ask(prefix=hidden.escaped(prefix), marker=after, limit=limit)
    body = await request.state.list_objects(where, asked, "json")
    return [(*hidden.read(row.name), row.last_modified, row.name) for row in decode_rows(body or b"[]")]


async def drop(request: Request) -> None:
    """Of a bucket that is gone: what was still coming, and where it was."""
    while found := await listed(request):
        for key, upload_id, _, _ in found:
            begun = Request.inside(request.state, request.name._replace(object=key), request.info)
            with suppress(S3Error):
                await abort(begun, upload_id)
    await remove_places(request)


async def remove_places(request: Request) -> None:
    """Of a bucket that is gone: where uploads and their parts were."""
    where = hidden.shadow("uploads", request.name)
    for account, container in (where[:2], (request.account, request.bucket + SEGMENTS)):
        try:
            await request.state.listings.delete_container(account, container)
        except (NoSuchContainer, NotEmpty):
            pass  # what Swift put or left there is its own
        finally:
            request.state.forget(account, container)
