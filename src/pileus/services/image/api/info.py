"""What this cloud can do for images: ways of importing, stores, limits."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.services.image import limits, store
from pileus.services.image.state import ImageState

routes = Routes()


class ImportMethods(msgspec.Struct):
    value: list[str]
    description: str = "Import methods available."
    type: Literal["array"] = "array"


class ImportAnswer(msgspec.Struct, rename="kebab"):
    import_methods: ImportMethods


@routes.add("GET", "/info/import", policy=AUTHENTICATED)
async def import_info(call: Call) -> ImportAnswer:
    """The ways of importing that this cloud has."""
    state: ImageState = call.runtime.state
    return ImportAnswer(ImportMethods(list(state.settings.import_methods)))


def _stores(state: ImageState, *, detail: bool) -> list[dict[str, Any]]:
    found = []
    for name, shelf in state.shelves.by_name.items():
        shown: dict[str, Any] = {"id": name}
        if shelf.description:
            shown["description"] = shelf.description
        if name == state.shelves.default:
            shown["default"] = "true"
        if shelf.store.read_only:
            shown["read-only"] = "true"
        shown["weight"] = shelf.weight
        if detail:
            shown |= {"type": shelf.store.kind, "properties": dict(shelf.store.properties)}
        found.append(shown)
    return found


class StoresAnswer(msgspec.Struct):
    stores: list[dict[str, Any]]


class UsageAnswer(msgspec.Struct):
    usage: dict[str, dict[str, int]]


@routes.add("GET", "/info/stores", policy=AUTHENTICATED, answers=StoresAnswer)
async def stores_info(call: Call) -> dict[str, Any]:
    """The stores that this cloud has."""
    return {"stores": _stores(call.runtime.state, detail=False)}


@routes.add("GET", "/info/stores/detail", policy="stores_info_detail", answers=StoresAnswer)
async def stores_detail(call: Call) -> dict[str, Any]:
    """The stores that this cloud has, and where their data is."""
    return {"stores": _stores(call.runtime.state, detail=True)}


@routes.add("GET", "/info/usage", policy=AUTHENTICATED, answers=UsageAnswer)
async def usage(call: Call) -> dict[str, Any]:
    """What the caller's project has of images, and how much it may have."""
    await limits.look_up(call)
    used = await call.runtime.db.read(store.usage, call.project_id)
    return {"usage": limits.shown(call.gathered["limits"], used)}
