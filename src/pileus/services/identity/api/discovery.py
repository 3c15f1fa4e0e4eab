"""What versions there are, and where."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.http.reply import JSON, Reply, encode_json
from pileus.services.identity import json_home

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


def _wants_json_home(call: Call) -> bool:
    """Whether the client would rather have JSON Home than the versions."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in (call.header("accept") or "").split(",")]
    return json_home.MEDIA_TYPE in kinds and JSON not in kinds


def _home(prefix: str) -> Reply:
    return Reply(200, encode_json(json_home.document(prefix)), {"content-type": json_home.MEDIA_TYPE})


@root_routes.add("GET", "/", policy=ANYONE)
def versions(call: Call, tx: Tx) -> Reply:
    """All versions, with status 300 as Keystone answers; or JSON Home."""
    if _wants_json_home(call):
        return _home("/v3")
    return Reply.json({"versions": {"values": [_v3(call)]}}, 300)


@routes.add("GET", "/", policy=ANYONE)
def version(call: Call, tx: Tx) -> Reply:
    """This version; or JSON Home."""
    return _home("") if _wants_json_home(call) else Reply.json({"version": _v3(call)})
