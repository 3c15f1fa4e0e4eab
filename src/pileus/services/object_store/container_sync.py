"""Containers that follow others, in another cloud perhaps (Swift's documentation, "Container to container synchronization").

Clouds that share a realm's key trust each other; whoever sets a container's key says what may come into it. What is to be
sent is in `following.py`. A change is sent with its own time, so in whatever order changes come, and however often, the
newest is what both sides have.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import structlog

from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest, Unauthorized
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import content, symlinks, versioning
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.following import (
    ACCOUNT,
    CHANGES,
    FOLLOWED,
    NEW,
    TO,
    Realm,
    SyncSettings,
    moment_of,
)
from pileus.services.object_store.large import slo
from pileus.services.object_store.listings import Metadata
from pileus.services.object_store.name import Name, as_text
from pileus.services.object_store.rows import rows
from pileus.services.object_store.state import ObjectStoreState

log = structlog.get_logger("pileus.object_store")
KEY = "x-container-sync-key"
AUTH = "x-container-sync-auth"


class Remote(Protocol):
    """How another cloud is reached."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> int:
        """The status. Raises OSError where nobody answered."""


def signature(key: str, method: str, path: str, timestamp: str, nonce: str, user_key: str) -> str:
    """As Swift's realms have it: HMAC-SHA1, hexadecimal."""
    text = f"{method}\n{path}\n{timestamp}\n{nonce}\n{user_key}"
    return hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), "sha1").hexdigest()


def _realm(settings: SyncSettings, name: str) -> Realm | None:
    return next((realm for own, realm in settings.realms.items() if own.lower() == name.lower()), None)


def destination(settings: SyncSettings, text: str, own_url: str) -> tuple[str, Realm | None]:
    """The address of the container that `//REALM/CLUSTER/ACCOUNT/CONTAINER` names, or that is one itself, at a host
    that is allowed. 400 where it is neither."""
    text = as_text(text)
    if settings.allowed_hosts and not text.startswith("//"):
        return _allowed(settings, text), None
    parts = text.split("/", 5)
    if not text.startswith("//") or len(parts) != 6 or not all(parts[2:]) or "/" in parts[5]:
        raise BadRequest(f"X-Container-Sync-To {text!r} must be //REALM/CLUSTER/ACCOUNT/CONTAINER.")
    realm = _realm(settings, parts[2])
    clusters = {} if realm is None else {name.lower(): url for name, url in realm.clusters.items()}
    if realm is None or parts[3].lower() not in clusters:
        raise BadRequest(f"X-Container-Sync-To {text!r}: no such realm, or no such cluster in it.")
    url = clusters[parts[3].lower()] or f"{own_url}/v1"
    return f"{url.rstrip('/')}/{quote(unquote(parts[4]))}/{quote(unquote(parts[5]))}", realm


def _allowed(settings: SyncSettings, text: str) -> str:
    try:
        url = urlsplit(text.rstrip("/"))
        host = url.hostname
    except ValueError:
        raise BadRequest(f"X-Container-Sync-To {text!r} is no address.") from None
    if url.scheme not in ("http", "https"):
        raise BadRequest(
            f'Invalid scheme {url.scheme!r} in X-Container-Sync-To, must be "//", "http", or "https".'
        )
    if not url.path:
        raise BadRequest("Path required in X-Container-Sync-To")
    if url.query or url.fragment or ";" in url.path:
        raise BadRequest("Params, queries, and fragments not allowed in X-Container-Sync-To")
    if host not in settings.allowed_hosts or url.username is not None:
        raise BadRequest(f"Invalid host {host!r} in X-Container-Sync-To")
    return text.rstrip("/")


def is_sent(call: Call) -> bool:
    """Whether another cloud's container sends the request, or who says so."""
    if AUTH in call.headers:
        return True
    state: ObjectStoreState = call.runtime.state
    return KEY in call.headers and "x-timestamp" in call.headers and bool(_allowed_hosts(state))


def _allowed_hosts(state: ObjectStoreState) -> tuple[str, ...]:
    return state.settings.container_sync.allowed_hosts


def require(call: Call, name: Name, container: Metadata) -> Timestamp | None:
    """When what another cloud sends was done there; None where it is no such request. 401 where it is not signed as it
    must be."""
    if not is_sent(call):
        return None
    said = call.header(AUTH)
    state: ObjectStoreState = call.runtime.state
    if said is None:
        return _by_key(call, container)
    realm_name, _, rest = said.partition(" ")
    nonce, _, given = rest.partition(" ")
    realm, user_key = _realm(state.settings.container_sync, realm_name), container.get(KEY)
    moment = call.header("x-timestamp") or ""
    keys = [] if realm is None else [key for key in (realm.key, realm.key2) if key]
    path = quote(f"/v1/{name.path}")
    for key in keys if user_key and nonce else ():
        known = signature(key, call.method, path, moment, nonce, user_key or "")
        if hmac.compare_digest(known.encode(), given.strip().encode("utf-8", "replace")):
            try:
                return Timestamp.parse(moment)
            except ValueError:
                break
    raise _invalid()


def _by_key(call: Call, container: Metadata) -> Timestamp:
    known, given = container.get(KEY, ""), call.header(KEY) or ""
    if not known or not hmac.compare_digest(known.encode(), given.encode("utf-8", "replace")):
        raise _invalid()
    try:
        return Timestamp.parse(call.header("x-timestamp") or "")
    except ValueError:
        raise _invalid() from None


def _invalid() -> Unauthorized:
    return Unauthorized("X-Container-Sync-Auth header not valid; contact cluster operator for support.")


def _leads(container: Metadata) -> bool:
    return bool(container.get(TO) and container.get(KEY))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


class ContainerSync:
    """The daemon."""

    name = "container-sync"

    def __init__(self, state: ObjectStoreState, remote: Remote, own_url: str) -> None:
        self._state = state
        self._remote = remote
        self._own_url = own_url
        self.every_seconds = state.settings.container_sync.interval_seconds
        self.per_second = state.settings.container_sync.per_second

    async def walk(self, walk: Walk) -> None:
        await self._state.following.refresh()
        await self._begin()
        async for row in rows(self._state.listings, ACCOUNT, CHANGES, walk.since):
            name = Name(*row["name"].split("/", 2))
            try:
                is_done = await self._send(name, row)
            except (OSError, DeviceError) as error:
                log.warning("a change could not be sent", path=name.path, cause=str(error))
                is_done = False
            if is_done:
                self._state.following.done(CHANGES, row, moment_of(row))
            walk.count(**{"sent" if is_done else "failed": 1})
            await walk.step(row["name"])

    async def _begin(self) -> None:
        """What was in a container before it followed another is a change, too; so is what came until all proxies knew."""
        state = self._state
        known_before = state.now().seconds - (2 * self.every_seconds if state.is_shared else 0.0)
        async for row in rows(state.listings, ACCOUNT, FOLLOWED):
            if row["content_type"] != NEW:
                continue
            account, _, container = row["name"].partition("/")
            async for each in rows(state.listings, account, container):
                path = f"{account}/{container}/{each['name']}"
                state.following.change(path, moment_of(each), deleted=False)
            if moment_of(row).seconds <= known_before:
                state.following.done(FOLLOWED, row, moment_of(row), keep=True)

    async def _send(self, name: Name, row: Mapping[str, Any]) -> bool:
        """Whether nothing is left to be done."""
        state = self._state
        info = await state.container(name.account, name.container)
        if info is None or not _leads(info.metadata):
            state.forget(name.account, name.container)  # what was remembered may be from before it followed
            info = await state.container(name.account, name.container)
        if info is None or not _leads(info.metadata):
            return True
        try:
            url, realm = destination(state.settings.container_sync, info.metadata[TO], self._own_url)
        except BadRequest as error:
            raise OSError(error.message) from error
        where = f"{url}/{quote(name.object)}"
        path = "/v1/" + where.split("/v1/", 1)[-1]
        at, version = name, await (await state.device_of(name)).find(state.key(name))
        if version is None or version.deleted:
            moment = moment_of(row) if version is None else version.changed
            signed = self._signed(realm, "DELETE", path, moment, info.metadata[KEY])
            return await self._remote.send("DELETE", where, signed, None) in (204, 404, 409)
        if versioning.link_of(version) is not None:
            found = await versioning.find(state, name, info.metadata, None)
            if found is None or found.is_marker:
                return True  # another change, which is to come
            at, version = found.at, found.version
        own = content.plain(state, at, version)
        kept, body, size = own.kept, own.read(0, own.size_bytes), own.size_bytes
        if state.has_expired(kept):
            return True
        if kept.large_etag is not None:
            where += "?multipart-manifest=put"
            manifest = slo.as_given(b"".join([chunk async for chunk in body]))
            body, size = _once(manifest), len(manifest)
        link = symlinks.of(kept)
        headers = {
            **kept.headers,
            **({} if link is None else link.headers()),
            **self._signed(realm, "PUT", path, version.changed, info.metadata[KEY]),
            "content-type": kept.content_type,
            "content-length": str(size),
            **({"etag": kept.etag} if kept.large_etag is None else {}),
        }
        return await self._remote.send("PUT", where, headers, body) in (201, 202, 409)

    def _signed(
        self, realm: Realm | None, method: str, path: str, moment: Timestamp, user_key: str
    ) -> dict[str, str]:
        if realm is None:
            return {"x-timestamp": moment.normal, KEY: user_key}
        nonce = secrets.token_hex(16)
        name = next(own for own, each in self._state.settings.container_sync.realms.items() if each is realm)
        proof = signature(realm.key, method, path, moment.normal, nonce, user_key)
        return {"x-timestamp": moment.normal, AUTH: f"{name} {nonce} {proof}"}
