"""What versions there are, and where."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.http.reply import Reply

routes, root_routes = Routes(), Routes(root=True)
NEWEST_MINOR = 18


def _versions(call: Call) -> dict[str, Any]:
    href = f"{call.root_url}/image/v2/"
    return {
        "versions": [
            {
                "id": f"v2.{minor}",
                "status": "CURRENT" if minor == NEWEST_MINOR else "SUPPORTED",
                "links": [{"rel": "self", "href": href}],
            }
            for minor in range(NEWEST_MINOR, -1, -1)
        ]
    }


@root_routes.add("GET", "/", policy=ANYONE)
async def multiple_choices(call: Call) -> Reply:
    """All versions, with status 300 as Glance answers."""
    return Reply.json(_versions(call), 300)


@root_routes.add("GET", "/versions", policy=ANYONE)
@routes.add("GET", "/", policy=ANYONE)
async def versions(call: Call) -> dict[str, Any]:
    """All versions."""
    return _versions(call)
