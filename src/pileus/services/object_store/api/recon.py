"""How this server does (Swift's documentation, "Cluster Telemetry and Monitoring")."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import NotFound
from pileus.kernel.http.reply import JSON, Reply, encode_json
from pileus.services.object_store.state import ObjectStoreState

routes = Routes(base="")
Told = dict[str, Any] | list[dict[str, Any]] | float
"""Each check has its own words, and `time` is a number."""


@routes.add("GET", "/recon/{check}", policy=ANYONE, answers=Told)
@routes.add("GET", "/recon/{check}/{part}", policy=ANYONE, answers=Told)
async def recon(call: Call) -> Reply:
    """Of the system, its disks and its rings; of the walks over accounts, containers or objects."""
    state: ObjectStoreState = call.runtime.state
    found = state.recon.answer(*call.path.strip("/").split("/")[1:])
    if found is None:
        raise NotFound("There is no such check.")
    return Reply(200, encode_json(found), {"content-type": JSON})
