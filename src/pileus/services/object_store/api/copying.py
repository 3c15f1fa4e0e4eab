"""Objects, copied inside the store."""

from __future__ import annotations

from urllib.parse import quote

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import BadRequest, PreconditionFailed
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import access, conditions, content, symlinks, versions
from pileus.services.object_store.api import part, versioned
from pileus.services.object_store.api.container import gone
from pileus.services.object_store.api.manifest import require_segments
from pileus.services.object_store.api.read import OBJECT, open_object, open_version, reader
from pileus.services.object_store.api.write import (
    allow,
    check_quota,
    created,
    kept_headers,
    plain_type,
    store,
)
from pileus.services.object_store.content import Content
from pileus.services.object_store.metadata import IS_NULL, RESTORED, UPLOAD, ObjectMetadata
from pileus.services.object_store.name import Name, from_header, parse, parse_reference
from pileus.services.object_store.state import ObjectStoreState

routes = Routes()
_NOT_COPIED = (UPLOAD, RESTORED, IS_NULL)


def _account(call: Call, header: str, own: str) -> str:
    said = call.header(header)
    named = from_header(said) if said else own
    if not named or "/" in named or "\0" in named:
        raise PreconditionFailed("Account name must not contain slashes")
    return named


async def copy_into(call: Call, target: Name) -> Reply:
    """A PUT with `X-Copy-From`: the source's bytes under the path's name."""
    if (call.header("content-length") or "0") != "0":
        raise BadRequest("Copy requests require a zero byte body")
    account = _account(call, "x-copy-from-account", target.account)
    source = Name(account, *parse_reference(from_header(call.header("x-copy-from") or ""), "X-Copy-From"))
    return await _copy(call, source, target)


@routes.add("COPY", OBJECT, policy=ANYONE, status=201, answers=NOTHING)
async def copy_object(call: Call) -> Reply:
    """Copies the path's object to where `Destination` says."""
    source = parse(call.path)
    destination = call.header("destination")
    if destination is None:
        raise PreconditionFailed("Destination header required")
    account = _account(call, "destination-account", source.account)
    target = Name(account, *parse_reference(from_header(destination), "Destination"))
    return await _copy(call, source, target)


async def _copy(call: Call, source: Name, target: Name) -> Reply:
    state: ObjectStoreState = call.runtime.state
    await access.require(call, source, "read")
    as_manifest = call.arg("multipart-manifest") == "get"
    as_link = call.arg("symlink") == "get"
    permit = None if as_link else reader(call, source)
    version_id = versioned.asked(call, await state.container(source.account, source.container))
    if version_id is None:
        found = await open_object(state, source, raw=as_manifest or as_link, permit=permit)
    else:
        found = await open_version(state, source, version_id, raw=as_manifest or as_link, permit=permit)
    if found is None:
        raise gone()
    told = {} if found.version_id is None else {"x_copied_from_version_id": found.version_id}
    content.require_readable(found)
    info = await allow(call, target)
    offset, length = await _part(call, found)
    if as_manifest and found.kept.large_etag is not None:
        await require_segments(call, target, b"".join([chunk async for chunk in found.read(offset, length)]))
    await check_quota(state, target, info, length)
    await versions.keep(state, target, info.metadata)
    now = state.now()
    kept = _kept(call, source, target, found, kept_headers(call, now), as_manifest=as_manifest)
    stored = await store(state, target, now, kept, found.read(offset, length), length)
    await versioned.tell(call, target, info)
    return created(
        stored.etag,
        now,
        x_copied_from=quote(f"{source.container}/{source.object}"),
        x_copied_from_account=quote(source.account),
        x_copied_from_last_modified=found.changed.http,
        **told,
        **{
            name.replace("-", "_"): value
            for name, value in kept.headers.items()
            if name.startswith("x-object-meta-")
        },
    )


async def _part(call: Call, found: Content) -> tuple[int, int]:
    """Offset and length of what is copied: all of it, the one `Range` that the request names, or the part of a large object
    whose number it has."""
    if (one := await part.asked(call, found, {})) is not None:
        return one
    parts = conditions.ranges(call.header("range"), found.size_bytes)
    if parts is None:
        return 0, found.size_bytes
    if len(parts) > 1 or (found.kept.large_etag is not None and not found.is_large):
        raise BadRequest("Of an object's bytes one range can be copied, and none of a manifest.")
    return parts[0]


def _kept(
    call: Call, source: Name, target: Name, found: Content, given: dict[str, str], *, as_manifest: bool
) -> ObjectMetadata:
    """The source's metadata with the request's over them; only those with `X-Fresh-Metadata`."""
    fresh = (call.header("x-fresh-metadata") or "").lower() in ("1", "t", "true", "yes", "on", "y")
    old = {} if fresh else dict(found.kept.headers)
    if not as_manifest:
        old.pop("x-object-manifest", None)
    large = found.kept.large_etag if as_manifest else None
    said = call.header("content-type")
    return ObjectMetadata(
        content_type=plain_type(said) if said else found.kept.content_type,
        etag="",
        headers={**old, **given},
        large_etag=large,
        large_bytes=found.kept.large_bytes if large else 0,
        system=_system(call, found, source, target) if large or symlinks.of(found.kept) is not None else {},
    )


def _system(call: Call, found: Content, source: Name, target: Name) -> dict[str, str]:
    """A copy of a manifest lists the same segments, but they are not its own."""
    account = _account(call, symlinks.ACCOUNT, target.account) if symlinks.ACCOUNT in call.headers else None
    kept = symlinks.for_copy(found.kept, source, target, account)
    return {name: value for name, value in kept.items() if name not in _NOT_COPIED}
