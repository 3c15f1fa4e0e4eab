"""Containers."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kernel.api.answer import NOTHING, PAGE, WHATEVER
from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import (
    access,
    container_sync,
    following,
    metadata,
    symlinks,
    usage,
    versioning,
    versions,
)
from pileus.services.object_store.api import listing, outcome, version_listing
from pileus.services.object_store.listings import (
    AccountLeaving,
    ContainerInfo,
    Metadata,
    NoSuchContainer,
    NotEmpty,
)
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.policies import StoragePolicy
from pileus.services.object_store.state import ObjectStoreState

routes = Routes()
ALSO = (
    "container-read",
    "container-write",
    "container-sync-to",
    "container-sync-key",
    "versions-location",
    "history-location",
    "container-rfc-compliant-etags",
)
"""Headers beside `X-Container-Meta-*`, without `x-`, that a container keeps."""
PRIVATE = (
    "x-container-read",
    "x-container-write",
    "x-container-sync-to",
    "x-container-sync-key",
    "x-container-meta-temp-url-key",
    "x-container-meta-temp-url-key-2",
)
"""Shown to the account's owner only."""


def gone() -> NotFound:
    return NotFound("The resource could not be found.")


def _described(state: ObjectStoreState, info: ContainerInfo, *, owner: bool) -> dict[str, str]:
    shown = {
        name: value
        for name, value in info.metadata.items()
        if (owner or name not in PRIVATE) and not name.startswith(metadata.SYSTEM)
    }
    return {
        **shown,
        "x-container-object-count": str(info.objects),
        "x-container-bytes-used": str(info.bytes_used),
        "x-timestamp": info.created.normal,
        "last-modified": info.set_at.http,
        "x-storage-policy": state.policies.name_of(info.policy),
        "accept-ranges": "bytes",
        **(
            {"x-versions-enabled": str(versioning.status(info.metadata) == "Enabled")}
            if versioning.status(info.metadata)
            else {}
        ),
    }


@routes.add(
    "HEAD",
    "/{account}/{container}",
    policy=ANYONE,
    status=204,
    also=dict.fromkeys((200, 206, 301, 304), NOTHING),
)
async def head_container(call: Call) -> Reply:
    """A container's metadata and counts."""
    name = parse(call.path)
    owner = await access.require(call, name, "list")
    state: ObjectStoreState = call.runtime.state
    info = await usage.of_container(state, name)
    if info is None:
        raise gone()
    headers = _described(state, info, owner=owner is not None)
    return Reply(204, headers={**headers, "content-type": listing.MEDIA_TYPES[listing.form(call)]})


@routes.add(
    "GET",
    "/{account}/{container}",
    policy=ANYONE,
    answers=(*listing.forms(listing.ObjectEntry), PAGE),
    also={204: NOTHING, 206: WHATEVER, 301: NOTHING, 304: NOTHING},
)
async def list_objects(call: Call) -> Reply:
    """A container's objects."""
    name = parse(call.path)
    owner = await access.require(call, name, "list")
    asked = listing.ask(call)
    state: ObjectStoreState = call.runtime.state
    info = await usage.of_container(state, name)
    if "versions" in call.query and info is not None:
        listing.require_json(call)
        listed = await version_listing.list_versions(call, name, asked)
        return listing.answer(listed, "json", _described(state, info, owner=owner is not None))
    shape = listing.form(call)
    body = await state.list_objects(name, asked, shape)
    if info is None or body is None:
        raise gone()
    if shape != "plain":
        body = symlinks.shown_json(body) if shape == "json" else symlinks.shown_xml(body)
    return listing.answer(body, shape, _described(state, info, owner=owner is not None))


def _clean(call: Call) -> dict[str, str]:
    headers = dict(call.headers)
    for acl in ("x-container-read", "x-container-write"):
        if headers.get(acl):
            headers[acl] = metadata.clean_acl(acl, headers[acl])
    for what in ("bytes", "count"):
        limit = headers.get(f"x-container-meta-quota-{what}", "")
        if limit and not (limit.isascii() and limit.isdigit()):
            raise BadRequest(f"Invalid {what} quota.")
    return versions.one_place(headers)


def asked_policy(state: ObjectStoreState, name: str | None) -> StoragePolicy | None:
    """What `X-Storage-Policy` names. 400 where that is none, or none for new containers."""
    if not name:
        return None
    policy = state.policies.named(name)
    if policy is None:
        raise BadRequest(f"Invalid X-Storage-Policy {name!r}")
    if policy.deprecated:
        raise BadRequest(f"Storage Policy {policy.name!r} is deprecated")
    return policy


async def _require_policy(state: ObjectStoreState, name: Name, policy: StoragePolicy | None) -> None:
    """409 where the container is there, and has another."""
    if policy is None:
        return
    info = await state.listings.container(name.account, name.container)
    if info is not None and info.policy != policy.index:
        has = state.policies.name_of(info.policy)
        raise Conflict(f"The container's storage policy is {has}; it keeps that as long as it is there.")


async def _set(
    call: Call, name: Name, *, make: bool, owner: bool, policy: StoragePolicy | None = None
) -> bool:
    state: ObjectStoreState = call.runtime.state
    headers = _clean(call)
    if headers.get(following.TO):
        container_sync.destination(state.settings.container_sync, headers[following.TO], call.root_url)
    if not owner:
        private = {*PRIVATE, *(each.replace("x-", "x-remove-", 1) for each in PRIVATE)}
        headers = {each: value for each, value in headers.items() if each not in private}
    index = (policy or state.policies.default).index

    def change(old: Metadata) -> Metadata:
        return metadata.changed(old, headers, "container", ALSO)

    enabled = _versions_asked(headers, await state.container(name.account, name.container))
    try:
        made = await state.listings.set_container(
            name.account, name.container, state.now(), change, make=make, policy=index
        )
    except AccountLeaving:
        raise Forbidden(
            "The account was deleted recently; it can be used again when all that it had is gone."
        ) from None
    state.forget(name.account, name.container)
    if enabled is not None:
        info = await state.container(name.account, name.container)
        if info is not None:
            await versioning.set_status(state, name, info, "Enabled" if enabled else "Suspended")
    await _follow(state, name, headers)
    return made


async def _follow(state: ObjectStoreState, name: Name, headers: dict[str, str]) -> None:
    """Where the request set or took away whom the container follows."""
    if not any(
        f"{start}container-sync-{each}" in headers for start in ("x-", "x-remove-") for each in ("to", "key")
    ):
        return
    info = await state.listings.container(name.account, name.container)
    follows = info is not None and following.TO in info.metadata and container_sync.KEY in info.metadata
    if follows or state.following.follows(name):
        (state.following.follow if follows else state.following.forget)(name)
        await state.settle()


def _versions_asked(headers: Mapping[str, str], info: ContainerInfo | None) -> bool | None:
    """What `X-Versions-Enabled` says; 400 where the container keeps older versions in the other way."""
    said = headers.get("x-versions-enabled")
    if said is None:
        return None
    enabled = read_bool("X-Versions-Enabled", said)
    kept = {} if info is None else info.metadata
    locations = ("x-versions-location", "x-history-location")
    if enabled and any(headers.get(each) or each in kept for each in locations):
        raise BadRequest("A container has X-Versions-Enabled, or X-Versions-Location, or X-History-Location.")
    return enabled


@routes.add(
    "PUT",
    "/{account}/{container}",
    policy=ANYONE,
    status=201,
    answers=NOTHING,
    also={202: NOTHING, 200: outcome.ANSWERS},
)
async def create_container(call: Call) -> Reply:
    """Makes a container; of one that is there, the metadata are set."""
    made = await make(call, parse(call.path))
    return Reply(201 if made else 202, headers={"content-type": listing.MEDIA_TYPES["plain"]})


async def make(call: Call, name: Name) -> bool:
    """The container, as the request's headers say; whether there was none before."""
    owner = await access.require_account(call, name)
    state: ObjectStoreState = call.runtime.state
    policy = asked_policy(state, call.header("x-storage-policy"))
    await _require_policy(state, name, policy)
    made = await _set(call, name, make=True, owner=owner, policy=policy)
    await _require_policy(state, name, policy)  # another request may have made it in between
    return made


@routes.add(
    "POST",
    "/{account}/{container}",
    policy=ANYONE,
    status=204,
    also={200: outcome.ANSWERS, 201: PAGE, 303: PAGE},
)
async def update_container(call: Call) -> Reply:
    """Sets and removes a container's metadata."""
    name = parse(call.path)
    owner = await access.require_account(call, name)
    try:
        await _set(call, name, make=False, owner=owner)
    except NoSuchContainer:
        raise gone() from None
    return Reply(204, headers={"content-type": listing.MEDIA_TYPES["plain"]})


@routes.add("DELETE", "/{account}/{container}", policy=ANYONE, status=204, also={200: outcome.ANSWERS})
async def delete_container(call: Call) -> Reply:
    """Deletes an empty container."""
    await delete(call, parse(call.path))
    return Reply(204, headers={"content-type": listing.MEDIA_TYPES["plain"]})


async def delete(call: Call, name: Name) -> None:
    """404 where there is none, 409 where something is in it."""
    await access.require_account(call, name)
    state: ObjectStoreState = call.runtime.state
    try:
        await versioning.drop(state, name)
        await state.listings.delete_container(name.account, name.container)
    except NoSuchContainer:
        raise gone() from None
    except NotEmpty:
        raise Conflict("There was a conflict when trying to complete your request.") from None
    finally:
        state.forget(name.account, name.container)
