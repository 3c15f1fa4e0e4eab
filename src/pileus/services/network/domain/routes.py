"""Extra routes of routers. Pure; errors are the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pileus.kernel.errors import BadRequest
from pileus.services.network.domain import subnet

MOST: Final = 30


def checked_routes(wanted: Iterable[Mapping[str, str]], connected: Sequence[Any]) -> list[dict[str, str]]:
    """Routes in their usual form; 400 where a next hop is not on a subnet that the router is on, or is
    itself."""
    routes = subnet.checked_routes(wanted, "routes")
    if len(routes) > MOST:
        raise BadRequest(
            f"Unable to complete operation. The number of routes exceeds the maximum {MOST}.",
            kind="RoutesExhausted",
        )
    own = {each.ip_address for each in connected}
    for route in routes:
        hop = route["nexthop"]
        if hop in own:
            raise _invalid(route, "the nexthop is used by router")
        if not any(subnet.contains(each.cidr, hop) for each in connected):
            raise _invalid(route, "the nexthop is not connected with router")
    return routes


def plain_routes(wanted: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Routes in their usual form, wherever they lead."""
    return subnet.checked_routes(wanted, "routes")


def uses(routes: Iterable[Mapping[str, str]], cidr: str) -> str | None:
    """The first destination whose next hop is on the subnet."""
    return next((each["destination"] for each in routes if subnet.contains(cidr, each["nexthop"])), None)


def _invalid(route: Mapping[str, str], why: str) -> BadRequest:
    return BadRequest(
        f"Invalid format for routes: {route['destination']} via {route['nexthop']}, {why}.",
        kind="InvalidRoutes",
    )
