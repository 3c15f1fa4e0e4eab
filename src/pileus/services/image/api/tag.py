"""Tags of images, one by one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.image import store
from pileus.services.image.api.image import Image, check_tags, image_target

routes = Routes()
_ONE = "/images/{image_id}/tags/{tag}"


def _image(call: Call, tx: Tx) -> Row[Any]:
    row = Image.load(call, tx, call.params["image_id"])
    call.enforce("modify_image", image_target(row))
    return row


@routes.add("PUT", _ONE, policy=AUTHENTICATED, status=204)
def add_tag(call: Call, tx: Tx) -> None:
    """Gives an image a tag."""
    row, tag = _image(call, tx), call.params["tag"]
    if len(tag) > 255 or "\0" in tag:
        raise BadRequest("A tag has at most 255 characters, and no NUL among them.")
    wanted = sorted({*row.tags, tag})
    check_tags(wanted, call.runtime.state.settings.max_tags)
    store.change(tx, row.id, {"tags": wanted})


@routes.add("DELETE", _ONE, policy=AUTHENTICATED, status=204)
def remove_tag(call: Call, tx: Tx) -> None:
    """Takes a tag from an image."""
    row, tag = _image(call, tx), call.params["tag"]
    if tag not in row.tags:
        raise NotFound(f"Image {row.id} has no tag {tag}.")
    store.change(tx, row.id, {"tags": [each for each in row.tags if each != tag]})
