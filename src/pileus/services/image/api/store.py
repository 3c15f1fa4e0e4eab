"""Stores, as far as images are taken out of one."""

from __future__ import annotations

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import Conflict, Forbidden, NotFound
from pileus.services.image import store
from pileus.services.image.api.image import Image, emit, image_target
from pileus.services.image.domain import Status
from pileus.services.image.state import ImageState

routes = Routes()


@routes.add("DELETE", "/stores/{store}/{image_id}", policy=AUTHENTICATED, status=204)
def delete_from_store(call: Call, tx: Tx) -> None:
    """Takes an image out of one of its stores."""
    state: ImageState = call.runtime.state
    name = call.params["store"]
    if name not in state.shelves.by_name:
        raise Conflict(
            f"The selected store {name} is not available; there are {', '.join(state.shelves.by_name)}."
        )
    row = Image.load(call, tx, call.params["image_id"])
    call.enforce("delete_image_location", image_target(row))
    if row.status != Status.ACTIVE or row.task_id is not None:
        raise Conflict(
            f"It's not allowed to remove image data from a store while the image is {row.status}"
            f"{', and a task works on it' if row.task_id else ''}."
        )
    left = [each for each in row.locations if each["store"] != name]
    if len(left) == len(row.locations):
        raise NotFound(f"Image {row.id} is not stored in store {name}.")
    if not left:
        raise Forbidden(
            "Cannot delete image data from the only store containing it. Consider deleting the image."
        )
    copies = sum(map(state.shelves.owned, left))
    emit(call, tx, "update", store.change(tx, row.id, {"locations": left, "copies": copies}))
    call.runtime.work.wake(tx, row.id)  # its strand takes away what no location names
