"""Members: the projects that an image is shared with, and what they say to it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, TooLarge
from pileus.services.image import store
from pileus.services.image.api.image import Image, image_target

routes = Routes()
_ALL, _ONE = "/images/{image_id}/members", "/images/{image_id}/members/{member_id}"


class NewMember(msgspec.Struct):
    member: str


class MemberStatus(msgspec.Struct):
    status: Literal["pending", "accepted", "rejected"]


class MemberAnswer(msgspec.Struct):
    image_id: str
    member_id: str
    status: Literal["pending", "accepted", "rejected"]
    created_at: str
    updated_at: str
    schema: str


class MembersAnswer(msgspec.Struct):
    members: list[MemberAnswer]
    schema: str


def _shown(call: Call, row: Row[Any]) -> dict[str, Any]:
    time = call.runtime.service.dialect.time
    return {
        "image_id": row.image_id,
        "member_id": row.member_id,
        "status": row.status,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "schema": "/v2/schemas/member",
    }


def _image(call: Call, tx: Tx) -> Row[Any]:
    return Image.load(call, tx, call.params["image_id"])


def _member(call: Call, tx: Tx, image: Row[Any]) -> Row[Any]:
    row = store.member(tx, image.id, call.params["member_id"])
    if row is None:
        raise NotFound(f"Image {image.id} is not shared with {call.params['member_id']}.")
    return row


@routes.add("POST", _ALL, policy=AUTHENTICATED, body=NewMember, answers=MemberAnswer)
def add_member(call: Call, tx: Tx, body: NewMember) -> dict[str, Any]:
    """Shares an image with a project."""
    image = _image(call, tx)
    call.enforce("add_member", image_target(image))
    if image.visibility != "shared":
        raise Forbidden(
            f"Only shared images have members; the visibility of image {image.id} is {image.visibility}."
        )
    if not body.member or len(body.member) > 255:
        raise BadRequest("Member can't be empty, and has at most 255 characters.")
    most = call.runtime.state.settings.max_members
    if len(store.members_of(tx, image.id)) >= most:
        raise TooLarge(f"An image has at most {most} members.")
    try:
        store.add_member(tx, image.id, body.member)
    except Duplicate as error:
        raise Conflict(f"Image {image.id} is shared with {body.member} already.") from error
    row = store.member(tx, image.id, body.member)
    assert row is not None
    return _shown(call, row)


@routes.add("GET", _ALL, policy=AUTHENTICATED, answers=MembersAnswer)
def list_members(call: Call, tx: Tx) -> dict[str, Any]:
    """The members of an image; a member sees itself alone."""
    image = _image(call, tx)
    mine = image.project_id == call.context.project_id or call.context.is_admin
    if image.visibility != "shared" and not mine:
        raise NotFound(f"No members of image {image.id} found.")
    call.enforce("get_members", image_target(image, call.context.project_id))
    rows = [row for row in store.members_of(tx, image.id) if mine or row.member_id == call.context.project_id]
    return {"members": [_shown(call, row) for row in rows], "schema": "/v2/schemas/members"}


@routes.add("GET", _ONE, policy=AUTHENTICATED, answers=MemberAnswer)
def show_member(call: Call, tx: Tx) -> dict[str, Any]:
    """One member."""
    image = _image(call, tx)
    if (
        call.context.project_id not in (image.project_id, call.params["member_id"])
        and not call.context.is_admin
    ):
        raise NotFound(f"Image {image.id} is not shared with {call.params['member_id']}.")
    row = _member(call, tx, image)
    call.enforce("get_member", image_target(image, row.member_id))
    return _shown(call, row)


@routes.add("PUT", _ONE, policy=AUTHENTICATED, body=MemberStatus, answers=MemberAnswer)
def set_status(call: Call, tx: Tx, body: MemberStatus) -> dict[str, Any]:
    """A member accepts or rejects an image."""
    image = _image(call, tx)
    row = _member(call, tx, image)
    call.enforce("modify_member", image_target(image, row.member_id))
    store.set_member(tx, image.id, row.member_id, body.status)
    return _shown(call, _member(call, tx, image))


@routes.add("DELETE", _ONE, policy=AUTHENTICATED, status=204)
def remove_member(call: Call, tx: Tx) -> None:
    """No longer shares an image with a project."""
    image = _image(call, tx)
    call.enforce("delete_member", image_target(image))
    if not store.remove_member(tx, image.id, call.params["member_id"]):
        raise NotFound(f"Image {image.id} is not shared with {call.params['member_id']}.")
