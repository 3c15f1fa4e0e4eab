"""The cache: copies of images that a node keeps at hand."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.image import cache_store, store
from pileus.services.image.api.image import Image
from pileus.services.image.domain import Status
from pileus.services.image.state import ImageState
from pileus.services.image.work import CacheProgram

routes = Routes()
GIB = 2**30


def _node(call: Call) -> str:
    state: ImageState = call.runtime.state
    return state.node


class Copy(msgspec.Struct, kw_only=True):
    """An image that is cached; times in seconds since 1970."""

    image_id: str
    hits: int
    last_accessed: float
    last_modified: float
    size: int


class CacheAnswer(msgspec.Struct):
    cached_images: list[Copy]
    queued_images: list[str]


class Pruned(msgspec.Struct):
    total_files_pruned: int
    total_bytes_pruned: int


class NodesAnswer(msgspec.Struct):
    cached_nodes: list[str]


@routes.add("GET", "/cache", policy="cache_list")
def show_cache(call: Call, tx: Tx) -> CacheAnswer:
    """What this node has copies of, and what it is about to copy."""
    entries = cache_store.of_node(tx, _node(call))
    return CacheAnswer(
        cached_images=[_shown(entry) for entry in entries if entry.size_bytes is not None],
        queued_images=[entry.image_id for entry in entries if entry.size_bytes is None],
    )


def _shown(entry: Row[Any]) -> Copy:
    return Copy(
        image_id=entry.image_id,
        hits=entry.hits,
        last_accessed=entry.accessed_at.timestamp(),
        last_modified=entry.created_at.timestamp(),
        size=entry.size_bytes,
    )


@routes.add("PUT", "/cache/{image_id}", policy="cache_image", status=202)
def queue_image(call: Call, tx: Tx) -> None:
    """Has this node copy an image."""
    row = Image.load(call, tx, call.params["image_id"])
    if row.status != Status.ACTIVE:
        raise BadRequest(f"Only active images can be cached; image {row.id} is {row.status}.")
    if cache_store.find(tx, _node(call), row.id) is None:
        entry_id = cache_store.queue(tx, _node(call), row.id)
        call.runtime.work.begin(tx, CacheProgram, entry_id, request_id=call.request_id)


@routes.add("DELETE", "/cache/{image_id}", policy="cache_delete", status=204)
def forget_image(call: Call, tx: Tx) -> None:
    """Gives up this node's copy of an image."""
    image_id = call.params["image_id"]
    entry = None if "\0" in image_id else cache_store.find(tx, _node(call), image_id)
    if entry is not None:
        _forget(call, tx, entry)
    elif "\0" in image_id or store.living(tx, image_id) is None:
        raise NotFound(f"Image {image_id} not found.")


@routes.add("DELETE", "/cache", policy="cache_delete", status=204)
def clear_cache(call: Call, tx: Tx) -> None:
    """Gives up all copies of this node, or all that it is about to make."""
    target = (call.header("x-image-cache-clear-target") or "").lower()
    if target not in ("", "cache", "queue"):
        raise BadRequest("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.")
    for entry in cache_store.of_node(tx, _node(call)):
        if target in ("", "queue" if entry.size_bytes is None else "cache"):
            _forget(call, tx, entry)


@routes.add("POST", "/cache/clean", policy="cache_clean")
def clean_cache(call: Call, tx: Tx) -> None:
    """Gives up copies of images that are no more."""
    for entry in cache_store.of_node(tx, _node(call)):
        row = store.living(tx, entry.image_id)
        if row is None or (entry.size_bytes is not None and entry.size_bytes != row.size_bytes):
            _forget(call, tx, entry)


@routes.add("POST", "/cache/prune", policy="cache_prune")
def prune_cache(call: Call, tx: Tx) -> Pruned:
    """Gives up those copies that were not used for longest, until the rest fits."""
    entries = [each for each in cache_store.of_node(tx, _node(call)) if each.size_bytes is not None]
    state: ImageState = call.runtime.state
    used, most = sum(each.size_bytes for each in entries), state.settings.cache_max_gib * GIB
    files = freed = 0
    for entry in entries:
        if used - freed <= most:
            break
        _forget(call, tx, entry)
        files, freed = files + 1, freed + entry.size_bytes
    return Pruned(total_files_pruned=files, total_bytes_pruned=freed)


@routes.add("GET", "/cache/nodes/{image_id}", policy="list_cached_nodes")
def list_nodes(call: Call, tx: Tx) -> NodesAnswer:
    """The nodes that have a copy of an image."""
    row = Image.load(call, tx, call.params["image_id"])
    entries = cache_store.of_image(tx, row.id)
    return NodesAnswer([each.node for each in entries if each.size_bytes is not None])


def _forget(call: Call, tx: Tx, entry: Row[Any]) -> None:
    """Gone from lists at once, from the disk soon."""
    cache_store.delete(tx, entry.id)
    call.runtime.work.destroy(tx, entry.id, request_id=call.request_id)
