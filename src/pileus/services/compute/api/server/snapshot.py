"""Making an image of a server: `createImage`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import Row

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import ApiError, Forbidden
from pileus.kernel.http.reply import Reply
from pileus.services.compute.api.server.actions import check_state, check_unlocked
from pileus.services.compute.api.server.image import BASE
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.domain import Task
from pileus.services.compute.events import announce
from pileus.services.compute.links import member_links
from pileus.services.compute.model import snapshots
from pileus.services.compute.quotas import QUOTAS
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V
from pileus.services.compute.work.snapshot import ACTION, SnapshotProgram

_OWN = frozenset(
    ["image_type", "instance_uuid", "user_id", "base_image_ref", "image_state", "image_location", "owner_id"]
)
_NEVER_PASSED_ON = ("img_signature", "cache_in_nova", "bittorrent")
"""How names of properties begin that are true of the base image alone (upstream's non_inheritable_image_properties)."""


class CreateImage(Body):
    name: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")] = field(required=True)
    metadata: dict[
        Annotated[str, Meta(min_length=1, max_length=255)], Annotated[str, Meta(max_length=255)]
    ] = field()


class ImageAnswer(msgspec.Struct):
    image_id: str


CREATE_IMAGE = "os_compute_api:servers:create_image"


@Server.action(
    "createImage", policy=CREATE_IMAGE, body=CreateImage, answers=ImageAnswer, since=V.IMAGE_ID_IN_BODY
)
@Server.action(
    "createImage", policy=CREATE_IMAGE, body=CreateImage, answers=NOTHING, until=V.IMAGE_ID_IN_BODY.previous
)
async def create_image(call: Call, row: Row[Any], body: Any) -> Reply:
    """Makes an image of what is on a server's root disk; the server runs on."""
    whole = await call.runtime.db.read(
        _admitted, call, row.id, {} if body.metadata is UNSET else body.metadata
    )
    image = await _new_image(call, whole, body.name.strip(), {} if body.metadata is UNSET else body.metadata)
    try:
        await call.runtime.db.write(_begin, call, row.id, image["id"])
    except ApiError:
        await call.runtime.needs.images.delete(call.context, image["id"])
        raise
    if call.has(V.IMAGE_ID_IN_BODY):
        return Reply.json(ImageAnswer(image["id"]), 202)
    return Reply(202, headers={"location": member_links(call, "images", image["id"])[0]["href"]})


def _admitted(tx: Tx, call: Call, server_id: str, metadata: dict[str, str]) -> Row[Any]:
    row = store.get(tx, server_id)
    check_unlocked(call, row)
    check_state(row, "createImage")
    most = QUOTAS.limits(tx, row.project_id)["metadata_items"]
    if 0 <= most < len(metadata):
        raise Forbidden(f"Image metadata limit exceeded: there can't be more than {most} entries.")
    return row


async def _new_image(call: Call, row: Row[Any], name: str, metadata: dict[str, str]) -> dict[str, Any]:
    base = msgspec.json.decode(row.image)
    inherited = {
        key: value
        for key, value in (base.get("properties") or {}).items()
        if not key.startswith(_NEVER_PASSED_ON) and key not in _OWN
    }
    own = {
        "image_type": "snapshot",
        "instance_uuid": row.id,
        "user_id": call.context.user_id or row.user_id,
        "base_image_ref": row.image_id or "",
        "image_location": "snapshot",
        "image_state": "available",
        "owner_id": row.project_id,
    }
    values = {
        "name": name,
        "visibility": "private",
        "min_ram": base.get("min_ram") or 0,
        "min_disk": max(base.get("min_disk") or 0, row.disk_gib),
        "disk_format": base.get("disk_format") or "raw",
        "container_format": base.get("container_format") or "bare",
    }
    said = {key: value for key, value in metadata.items() if key not in BASE}  # attributes are no properties
    image: dict[str, Any] = await call.runtime.needs.images.create(
        call.context, {**inherited, **own, **said, **values}
    )
    return image


def _begin(tx: Tx, call: Call, server_id: str, image_id: str) -> None:
    row = store.get(tx, server_id)
    check_state(row, "createImage")
    store.update(tx, row.id, task_state=Task.SNAPSHOT_PENDING, task_since=tx.now)
    snapshot = rows.add(tx, snapshots, {"image_id": image_id, "server_id": row.id})
    actions.begin(tx, row.id, ACTION, call.context, row.project_id, call.request_id)
    announce(call.runtime.events, tx, "snapshot.start", row._asdict(), call.request_id, image_id=image_id)
    call.runtime.work.begin(tx, SnapshotProgram, snapshot.id, request_id=call.request_id)
