"""What versions there are, and where."""

from __future__ import annotations

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes

routes, root_routes = Routes(), Routes(root=True)
NEWEST_MINOR = 18


class Version(msgspec.Struct):
    id: str
    status: str
    links: list[dict[str, str]]


class VersionsAnswer(msgspec.Struct):
    versions: list[Version]


def _versions(call: Call) -> VersionsAnswer:
    href = f"{call.root_url}/image/v2/"
    return VersionsAnswer(
        [
            Version(
                id=f"v2.{minor}",
                status="CURRENT" if minor == NEWEST_MINOR else "SUPPORTED",
                links=[{"rel": "self", "href": href}],
            )
            for minor in range(NEWEST_MINOR, -1, -1)
        ]
    )


@root_routes.add("GET", "/", policy=ANYONE, status=300)
async def multiple_choices(call: Call) -> VersionsAnswer:
    """All versions, with status 300 as Glance answers."""
    return _versions(call)


@root_routes.add("GET", "/versions", policy=ANYONE)
@routes.add("GET", "/", policy=ANYONE)
async def versions(call: Call) -> VersionsAnswer:
    """All versions."""
    return _versions(call)
