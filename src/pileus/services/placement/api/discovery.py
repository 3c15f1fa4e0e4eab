"""What versions there are."""

from __future__ import annotations

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.http.reply import Reply
from pileus.services.placement.api.common import answer
from pileus.services.placement.versions import V

routes = Routes()


class Version(msgspec.Struct):
    id: str
    min_version: str
    max_version: str
    status: str
    links: list[dict[str, str]]


class VersionsAnswer(msgspec.Struct):
    versions: list[Version]


@routes.add("GET", "/", policy=ANYONE, answers=VersionsAnswer)
async def versions(call: Call) -> Reply:
    """The lowest and the newest version."""
    known = Version(
        id="v1.0",
        min_version=str(V.lowest()),
        max_version=str(V.newest()),
        status="CURRENT",
        # Relative, as upstream has it: clients go on where they are.
        links=[{"rel": "self", "href": ""}],
    )
    return answer(call, VersionsAnswer([known]), call.runtime.clock.now())
