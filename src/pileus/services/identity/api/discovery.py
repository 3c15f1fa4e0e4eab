"""What versions there are, and where."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.http.reply import Reply

routes = Routes()
root_routes = Routes(root=True)


def _v3(call: Call) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": call.base_url + "/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


@root_routes.add("GET", "/", policy=ANYONE)
def versions(call: Call, tx: Tx) -> Reply:
    """All versions, with status 300 as Keystone answers."""
    return Reply.json({"versions": {"values": [_v3(call)]}}, 300)


@routes.add("GET", "/", policy=ANYONE)
def version(call: Call, tx: Tx) -> dict[str, Any]:
    """This version."""
    return {"version": _v3(call)}
