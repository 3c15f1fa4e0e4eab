"""Versions, resources and extensions: what clients ask before they ask for anything."""

from __future__ import annotations

from typing import Any, Final

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


def _version(call: Call) -> dict[str, Any]:
    return {
        "id": "v2.0",
        "status": "CURRENT",
        "links": [{"rel": "self", "href": call.base_url + "/"}],
    }


@root.add("GET", "", policy=ANYONE)
async def versions(call: Call) -> dict[str, Any]:
    """Lists the versions of the API: there is one."""
    return {"versions": [_version(call)]}


@routes.add("GET", "", policy=AUTHENTICATED)
def resources(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists the collections."""
    return {
        "resources": [
            {
                "name": name,
                "collection": f"{name}s",
                "links": [{"rel": "self", "href": f"{call.base_url}/{name.replace('_', '-')}s"}],
            }
            for name in _COLLECTIONS
        ]
    }


@routes.add("GET", "/extensions", policy=AUTHENTICATED)
def list_extensions(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists what goes beyond the core of the API."""
    return {"extensions": [_shown(each) for each in EXTENSIONS]}


@routes.add("GET", "/extensions/{alias}", policy=AUTHENTICATED)
def show_extension(call: Call, tx: Tx) -> dict[str, Any]:
    """Shows one extension; 404 where it is not served."""
    alias = call.params["alias"]
    for each in EXTENSIONS:
        if each.alias == alias:
            return {"extension": _shown(each)}
    raise NotFound(f"Extension with alias {alias} does not exist", kind="ExtensionNotFound")


@routes.add("GET", "/service-providers", policy="get_service_provider")
def list_providers(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists what provides routers: the network engine, and nothing to choose from."""
    name = state_of(call).capabilities.engine
    return {"service_providers": [{"service_type": "L3_ROUTER_NAT", "name": name, "default": True}]}


def _shown(extension: Extension) -> dict[str, Any]:
    return {
        "alias": extension.alias,
        "name": extension.name,
        "description": extension.description,
        "updated": extension.updated,
        "links": [],
    }
