"""Versions, resources and extensions: what clients ask before they ask for anything."""

from __future__ import annotations

from typing import Final

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE, AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import NotFound
from pileus.services.network.extensions import EXTENSIONS, Extension
from pileus.services.network.state import state_of

root = Routes(root=True)
routes = Routes()

_COLLECTIONS: Final = (
    "network",
    "subnet",
    "port",
    "router",
    "floatingip",
    "security_group",
    "security_group_rule",
)


class Version(msgspec.Struct):
    id: str
    status: str
    links: list[dict[str, str]]


class VersionsAnswer(msgspec.Struct):
    versions: list[Version]


class Collection(msgspec.Struct):
    name: str
    collection: str
    links: list[dict[str, str]]


class CollectionsAnswer(msgspec.Struct):
    resources: list[Collection]


class ExtensionsAnswer(msgspec.Struct):
    extensions: tuple[Extension, ...]


class ExtensionAnswer(msgspec.Struct):
    extension: Extension


class Provider(msgspec.Struct):
    service_type: str
    name: str
    default: bool


class ProvidersAnswer(msgspec.Struct):
    service_providers: list[Provider]


@root.add("GET", "", policy=ANYONE)
async def versions(call: Call) -> VersionsAnswer:
    """Lists the versions of the API: there is one."""
    return VersionsAnswer([Version("v2.0", "CURRENT", [{"rel": "self", "href": call.base_url + "/"}])])


@routes.add("GET", "", policy=AUTHENTICATED)
def resources(call: Call, tx: Tx) -> CollectionsAnswer:
    """Lists the collections."""
    return CollectionsAnswer(
        [
            Collection(
                name=name,
                collection=f"{name}s",
                links=[{"rel": "self", "href": f"{call.base_url}/{name.replace('_', '-')}s"}],
            )
            for name in _COLLECTIONS
        ]
    )


@routes.add("GET", "/extensions", policy=AUTHENTICATED)
def list_extensions(call: Call, tx: Tx) -> ExtensionsAnswer:
    """Lists what goes beyond the core of the API."""
    return ExtensionsAnswer(EXTENSIONS)


@routes.add("GET", "/extensions/{alias}", policy=AUTHENTICATED)
def show_extension(call: Call, tx: Tx) -> ExtensionAnswer:
    """Shows one extension; 404 where it is not served."""
    alias = call.params["alias"]
    for each in EXTENSIONS:
        if each.alias == alias:
            return ExtensionAnswer(each)
    raise NotFound(f"Extension with alias {alias} does not exist", kind="ExtensionNotFound")


@routes.add("GET", "/service-providers", policy="get_service_provider")
def list_providers(call: Call, tx: Tx) -> ProvidersAnswer:
    """Lists what provides routers: the network engine, and nothing to choose from."""
    name = state_of(call).capabilities.engine
    return ProvidersAnswer([Provider("L3_ROUTER_NAT", name, default=True)])
