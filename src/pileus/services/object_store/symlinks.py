"""Objects that stand for another (Swift's documentation, "Symlink").

A static one names the etag that its target must have; a dynamic one is whatever is there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from pileus.kernel.errors import ApiError, BadRequest, Conflict, PreconditionFailed
from pileus.services.object_store import metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name, from_header, parse_reference
from pileus.services.object_store.state import ObjectStoreState

MAX_HOPS = 2
TARGET, ACCOUNT, ETAG = "x-symlink-target", "x-symlink-target-account", "x-symlink-target-etag"
CONTENT_TYPE = "application/symlink"
_TOO_MANY = f"Too many levels of symbolic links, maximum allowed is {MAX_HOPS}"
_SYSTEM = "symlink"
_MARK = "; symlink="
"""In a list's etag: what a link's entry says of its target follows, as a query."""
_XML = re.compile(rb"(<hash>[^<;]*);[^<]*(</hash>)")

Permit = Callable[[Name], Awaitable[Any]]
"""Raises where the caller may not read what is named."""


class Link(NamedTuple):
    target: Name
    etag: str = ""
    """Of a static one."""
    size_bytes: int = 0
    """Of a static one's target, as it was."""
    slo_etag: str = ""
    """Of a static one's target, where that is a static large object."""

    @property
    def path(self) -> str:
        """In a URL."""
        return quote(f"/v1/{self.target.path}")

    def headers(self) -> dict[str, str]:
        """As `?symlink=get` shows them."""
        shown = {
            TARGET: quote(f"{self.target.container}/{self.target.object}"),
            ACCOUNT: quote(self.target.account),
        }
        if self.etag:
            shown |= {ETAG: self.etag, "x-symlink-target-bytes": str(self.size_bytes)}
        return shown

    def system(self, etag: str) -> dict[str, str]:
        """What is kept with the object, whose own etag is given."""
        said = {"path": self.target.path, "etag": self.etag, "bytes": str(self.size_bytes)}
        kept = urlencode(said | ({"slo_etag": self.slo_etag} if self.slo_etag else {}))
        return {_SYSTEM: kept, metadata.LISTED_ETAG: f"{etag}{_MARK}{kept}"}


def _read(kept: str) -> Link:
    said = dict(parse_qsl(kept, keep_blank_values=True))
    target = Name(*said["path"].split("/", 2))
    return Link(target, said["etag"], int(said["bytes"]), said.get("slo_etag", ""))


def of(kept: ObjectMetadata) -> Link | None:
    """The link that an object is."""
    system = kept.system.get(_SYSTEM)
    return None if system is None else _read(system)


def asked(headers: Mapping[str, str], own: Name) -> Link | None:
    """What a PUT's headers ask for. 400 and 412 where it can't be."""
    named = headers.get(TARGET)
    if named is None:
        if ETAG in headers or ACCOUNT in headers:
            raise BadRequest(f"{ETAG} and {ACCOUNT} are for symlinks: {TARGET} is missing.")
        return None
    if headers.get("content-length", "0") != "0":
        raise BadRequest("Symlink requests require a zero byte body")
    if headers.get("x-copy-from") or headers.get("x-object-manifest"):
        raise BadRequest("A symlink can be neither a copy nor a manifest.")
    account = from_header(headers[ACCOUNT]) if headers.get(ACCOUNT) else own.account
    if "/" in account or "\0" in account or not account:
        raise PreconditionFailed("Account name must not contain slashes")
    target = Name(account, *parse_reference(from_header(named), "X-Symlink-Target"))
    if target == own:
        raise BadRequest("Symlink cannot target itself")
    return Link(target, headers.get(ETAG, "").strip().strip('"'))


async def follow(
    state: ObjectStoreState, name: Name, version: Version | None, permit: Permit
) -> tuple[Name, Version | None]:
    """The object at the end of the links, if there is one. 409 where there are too many, or it is not what a link means.

    Errors say where the last link leads.
    """
    hops = 0
    expected: list[str] = []
    where: dict[str, str] = {}
    while version is not None:
        kept = metadata.decode(version.metadata)
        link = of(kept)
        if link is None or not link.etag:
            if wrong := [etag for etag in expected if etag != kept.etag]:
                raise Conflict(_differs(kept.etag, wrong[0]), headers=where)
            expected = []
        if link is None:
            break
        hops += 1
        if hops > MAX_HOPS:
            raise Conflict(_TOO_MANY, headers={"content-location": link.path})
        if link.etag:
            expected.append(link.etag)
        name, where = link.target, {"content-location": link.path}
        try:
            await permit(name)
        except ApiError as error:
            error.headers.update(where)
            raise
        version = await state.find(name)
    return name, version


async def fix(state: ObjectStoreState, link: Link, permit: Permit) -> tuple[Link, str]:
    """A static link with what its target is now, beyond static links that it may be, and the target's content type. 409
    where that is not as the link says."""
    name = link.target
    for _ in range(MAX_HOPS + 1):
        await permit(name)
        found = await state.find(name)
        if found is None:
            raise Conflict("X-Symlink-Target does not exist")
        kept = metadata.decode(found.metadata)
        if (inner := of(kept)) is not None and inner.etag:
            name = inner.target
            continue
        if kept.etag != link.etag:
            raise Conflict(_differs(kept.etag, link.etag))
        size = metadata.size(kept, found.size_bytes)
        return link._replace(size_bytes=size, slo_etag=kept.large_etag or ""), kept.content_type
    raise Conflict(_TOO_MANY)


def _differs(etag: str, wanted: str) -> str:
    return f"Object Etag {etag!r} does not match X-Symlink-Target-Etag header {wanted!r}"


def for_copy(kept: ObjectMetadata, source: Name, target: Name, account: str | None) -> dict[str, str]:
    """What a copy of a link keeps: one into the link's own account leads into the copy's, unless the request names one."""
    link = of(kept)
    if link is None or (account is None and link.target.account != source.account):
        return dict(kept.system)
    link = link._replace(target=link.target._replace(account=account or target.account))
    return dict(kept.system) | link.system(kept.etag)


def shown_json(body: bytes) -> bytes:
    """A list whose links say where they lead, and whose large objects what etag they have."""
    if metadata.MORE.encode() not in body:
        return body
    entries: list[dict[str, Any]] = msgspec.json.decode(body)
    for each in entries:
        own, mark, large = each.get("hash", "").partition(metadata.S3_ETAG)
        if mark:
            each |= {"hash": own, "slo_etag": f'"{large.rpartition("-")[0]}"'}
        own, mark, kept = each.get("hash", "").partition(_MARK)
        if mark:
            link = _read(kept)
            each |= {"hash": own, "symlink_path": link.path}
            if link.etag:
                each |= {"symlink_etag": link.etag, "symlink_bytes": link.size_bytes}
            if link.slo_etag:
                each["slo_etag"] = f'"{link.slo_etag}"'
    return msgspec.json.encode(entries)


def shown_xml(body: bytes) -> bytes:
    """A list in which links are as other objects."""
    return _XML.sub(rb"\1\2", body) if metadata.MORE.encode() in body else body
