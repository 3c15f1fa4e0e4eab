"""What accounts and containers hold, their older versions among it.

As Swift counts: a container's bytes are those of all versions, its objects those that a list shows; an account's objects
are all that are stored, so that a link counts beside the version that it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.services.object_store import hidden
from pileus.services.object_store.listings import AccountInfo, Ask, ContainerInfo, Form, Usage
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

_XML = re.compile(rb"(<name>[^<]*</name><count>\d+</count><bytes>)(\d+)")
_XML_NAME = re.compile(rb"<name>([^<]*)</name>")


async def of_container(state: ObjectStoreState, name: Name) -> ContainerInfo | None:
    info = await state.listings.container(name.account, name.container)
    if info is None:
        return None
    versions = await state.listings.container(*hidden.shadow("versions", name)[:2])
    return info if versions is None else info._replace(bytes_used=info.bytes_used + versions.bytes_used)


async def of_account(state: ObjectStoreState, account: str) -> AccountInfo | None:
    info = await state.listings.account(account)
    if info is None:
        return None
    versions = await state.listings.account(hidden.account("versions", account))
    if versions is None:
        return info
    return info._replace(
        objects=info.objects + versions.objects,
        bytes_used=info.bytes_used + versions.bytes_used,
        policies={
            index: _with(usage, versions.policies.get(index)) for index, usage in info.policies.items()
        },
    )


def _with(usage: Usage, versions: Usage | None) -> Usage:
    if versions is None:
        return usage
    return usage._replace(
        objects=usage.objects + versions.objects, bytes_used=usage.bytes_used + versions.bytes_used
    )


async def list_containers(state: ObjectStoreState, account: str, ask: Ask, form: Form) -> bytes | None:
    """As `Listings.list_containers`."""
    body = await state.listings.list_containers(account, ask, form)
    if not body or form == "plain":
        return body
    below = await state.listings.list_containers(hidden.account("versions", account), Ask(limit=1), "plain")
    if not below:
        return body
    if form == "json":
        listed: list[dict[str, Any]] = msgspec.json.decode(body)
        versions = await _versions(state, account, [each["name"] for each in listed if "name" in each])
        for each in listed:
            if "name" in each:
                each["bytes"] += versions.get(each["name"], 0)
        return msgspec.json.encode(listed)
    names = [_plain(each.decode()) for each in _XML_NAME.findall(body)]
    versions = await _versions(state, account, names)

    def counted(found: re.Match[bytes]) -> bytes:
        name = _XML_NAME.match(found[1])
        assert name is not None  # the pattern begins with it
        return found[1] + b"%d" % (int(found[2]) + versions.get(_plain(name[1].decode()), 0))

    return _XML.sub(counted, body)


def _plain(escaped: str) -> str:
    return escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


async def _versions(state: ObjectStoreState, account: str, names: list[str]) -> Mapping[str, int]:
    """Bytes of versions by container, of those from the first of the names to the last."""
    found: dict[str, int] = {}
    if not names:
        return found
    marker, last = "", max(names)
    while True:
        asked = Ask(marker=marker, limit=10_000)
        body = await state.listings.list_containers(hidden.account("versions", account), asked, "json")
        page: list[dict[str, Any]] = msgspec.json.decode(body or b"[]")
        found |= {each["name"]: each["bytes"] for each in page}
        if len(page) < asked.limit or page[-1]["name"] >= last:
            return found
        marker = page[-1]["name"]
