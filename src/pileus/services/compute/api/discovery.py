"""What the API says of itself: versions at its root."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.services.compute.versions import V

root = Routes(root=True)
versioned = Routes()


class Version(msgspec.Struct, rename="kebab", kw_only=True):
    id: str
    status: str
    version: str
    min_version: str = msgspec.field(name="min_version")
    updated: str
    links: list[dict[str, str]]
    media_types: list[dict[str, str]] | UnsetType = UNSET


class VersionsAnswer(msgspec.Struct):
    versions: list[Version]


class VersionAnswer(msgspec.Struct):
    version: Version


def _version(call: Call, name: str) -> Version:
    current = name == "v2.1"
    return Version(
        id=name,
        status="CURRENT" if current else "SUPPORTED",
        version=str(V.newest()) if current else "",
        min_version=str(V.lowest()) if current else "",
        updated="2013-07-23T11:33:21Z" if current else "2011-01-21T11:33:21Z",
        links=[{"rel": "self", "href": f"{call.root_url}/compute/{name.removesuffix('.0')}/"}],
    )


@root.add("GET", "", policy=ANYONE)
def list_versions(call: Call, tx: Tx) -> VersionsAnswer:
    """Lists the API's versions; v2.0 is upstream's name for the same API without microversions."""
    return VersionsAnswer([_version(call, "v2.0"), _version(call, "v2.1")])


@versioned.add("GET", "", policy=ANYONE)
def show_version(call: Call, tx: Tx) -> VersionAnswer:
    """Shows the version."""
    return _described(call, "v2.1")


@root.add("GET", "/v2", policy=ANYONE)
def show_old_version(call: Call, tx: Tx) -> VersionAnswer:
    """Shows the version without microversions."""
    return _described(call, "v2.0")


def _described(call: Call, name: str) -> VersionAnswer:
    version = _version(call, name)
    version.links.append(
        {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
    )
    version.media_types = [
        {"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={name[1:]}"}
    ]
    return VersionAnswer(version)
