"""Archives, unpacked into objects as they come (Swift's documentation, "Extract archive")."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, BadRequest, PreconditionFailed, TooLarge, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.lib.tar_stream import KINDS, ArchiveError, Member, members
from pileus.services.object_store import metadata, versions
from pileus.services.object_store.api import container as containers
from pileus.services.object_store.api import outcome, write
from pileus.services.object_store.api.outcome import Outcome
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name, check_container, check_object
from pileus.services.object_store.receive import GIB
from pileus.services.object_store.state import ObjectStoreState

MAX_CONTAINERS = 10_000
MAX_FAILURES = 1000
CREATED = "Number Files Created"
_ATTRIBUTES = ("SCHILY.xattr.user.", "LIBARCHIVE.xattr.user.")


async def extract_archive(call: Call, target: Name) -> Reply:
    """Unpacks below the path: each file of the archive becomes an object. The archive must have come before it answers."""
    shape, headers = outcome.form(call)
    result = Outcome("extract", {CREATED: 0}, status=201)
    kind = (call.arg("extract-archive") or "").lower().strip(".")
    try:
        if kind not in KINDS:
            raise BadRequest("Unsupported archive format")
        await _extract(call, target, kind, result)
        if not result.counts[CREATED] and not result.errors:
            raise BadRequest("Invalid Tar File: No Valid Files")
    except ArchiveError as error:
        result.refuse(BadRequest(f"Invalid Tar File: {error}"))
    except ApiError as error:
        result.refuse(error)
    return Reply(200, result.encode(shape), headers)


async def _extract(call: Call, target: Name, kind: str, result: Outcome) -> None:
    made: set[str] = set()
    async for member in members(call.stream(), kind):
        if not member.is_file:
            continue
        inside = member.name.removeprefix("./").strip().lstrip("/")
        path = "/".join(filter(None, (target.container, target.object.rstrip("/"), inside)))
        container, _, object_ = path.partition("/")
        if not object_:
            continue  # it would be in no container
        try:
            await _put(call, Name(target.account, container, object_), member, made)
        except ApiError as error:
            result.fail(quote(path, errors="surrogateescape"), error)
            if isinstance(error, Unauthorized):
                raise
            if len(result.errors) >= MAX_FAILURES:
                raise BadRequest("Too many failures; the rest of the archive was not looked at.") from error
        else:
            result.counts[CREATED] += 1


async def _put(call: Call, name: Name, member: Member, made: set[str]) -> None:
    state: ObjectStoreState = call.runtime.state
    try:
        name.path.encode()
    except UnicodeEncodeError:
        raise PreconditionFailed("The name is not UTF-8.") from None
    if "\0" in name.path:
        raise PreconditionFailed("The name has a NUL character.")
    check_container(name.container)
    check_object(name.object)
    if member.size_bytes > state.settings.max_file_size_gib * GIB:
        raise TooLarge("Your request is too large.")
    if name.container not in made and await state.container(name.account, name.container) is None:
        if len(made) >= MAX_CONTAINERS:
            raise BadRequest(f"More than {MAX_CONTAINERS} containers to create from the archive.")
        made.add(name.container)
        await containers.make(call, name)
    info = await write.allow(call, name)
    await write.check_quota(state, name, info, member.size_bytes)
    await versions.keep(state, name, info.metadata)
    now = state.now()
    headers, own_type = _of_attributes(member.attributes)
    kept = ObjectMetadata(
        content_type=own_type or write.content_type(call, name),
        etag="",
        headers={**write.kept_headers(call, now), **metadata.user_headers(headers, "x-object-meta-")},
    )
    await write.store(state, name, now, kept, member.chunks, member.size_bytes)


def _of_attributes(attributes: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """Headers and content type that a file's extended attributes stand for."""
    headers, content_type = {}, None
    for name, value in attributes.items():
        for prefix in _ATTRIBUTES:
            if name == f"{prefix}mime_type":
                content_type = value
            elif name.startswith(f"{prefix}meta."):
                key = f"x-object-meta-{name.removeprefix(prefix + 'meta.').lower()}"
                headers[key] = value.encode("utf-8", "surrogateescape").decode("latin-1")
    return headers, content_type
