"""What images need of the identity service: limits, and where other regions' image services are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.kernel.clock import Clock
from pileus.kernel.context import service_user
from pileus.kernel.http.caller import Peer
from pileus.services.image.limits import NAMES

_SELF = service_user("image")
KEPT_SECONDS = 5.0


class IdentityLimits:
    """Registered limits and those of projects (Identity API v3, unified limits), remembered for a moment."""

    def __init__(self, identity: Peer, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._known: dict[str, tuple[float, Mapping[str, int]]] = {}

    async def of_project(self, project_id: str) -> Mapping[str, int]:
        until, found = self._known.get(project_id, (0.0, {}))
        if self._clock.monotonic() >= until:
            found = await self._ask(project_id)
            if len(self._known) > 1000:
                self._known.clear()
            self._known[project_id] = (self._clock.monotonic() + KEPT_SECONDS, found)
        return found

    async def _ask(self, project_id: str) -> Mapping[str, int]:
        services = await self._list("services", type="image")
        if not services:
            return {}
        service_id = services[0]["id"]
        registered = await self._list("registered_limits", service_id=service_id)
        limits = {each["resource_name"]: each["default_limit"] for each in registered}
        if not limits:
            return {}
        for each in await self._list("limits", service_id=service_id, project_id=project_id):
            if each.get("project_id") == project_id:
                limits[each["resource_name"]] = each["resource_limit"]
        return {name: limits[name] for name in NAMES if name in limits}

    async def _list(self, collection: str, **query: str) -> list[Any]:
        reply = await self._identity.request("GET", f"/{collection}", context=_SELF, query=query)
        if reply.status == 404:  # an identity service without limits
            return []
        found: list[Any] = reply.expect(200).json()[collection]
        return found


class Catalog:
    """Endpoints, as administrators see them."""

    def __init__(self, identity: Peer) -> None:
        self._identity = identity

    async def image_endpoint(self, region: str, interface: str) -> str | None:
        services = await self._list("services", type="image")
        for service in services:
            query = {"service_id": service["id"], "interface": interface, "region_id": region}
            for endpoint in await self._list("endpoints", **query):
                if endpoint["region_id"] == region and endpoint["interface"] == interface:
                    return str(endpoint["url"]).rstrip("/")
        return None

    async def _list(self, collection: str, **query: str) -> list[Any]:
        reply = await self._identity.request("GET", f"/{collection}", context=_SELF, query=query)
        # What is no region or interface at all may be a 400.
        found: list[Any] = reply.json()[collection] if reply.ok else []
        return found
