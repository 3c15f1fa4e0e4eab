"""What versions there are, and where."""

from __future__ import annotations

import msgspec

from pileus.kernel.api.answer import Media
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.http.reply import JSON, Reply, encode_json
from pileus.services.identity import json_home

routes = Routes()
root_routes = Routes(root=True)


class Version(msgspec.Struct, rename="kebab"):
    id: str
    status: str
    updated: str
    links: list[dict[str, str]]
    media_types: list[dict[str, str]]


class VersionAnswer(msgspec.Struct):
    version: Version


class Versions(msgspec.Struct):
    values: list[Version]


class VersionsAnswer(msgspec.Struct):
    versions: Versions


HOME = Media(json_home.MEDIA_TYPE, {"type": "object", "required": ["resources"]})


def _v3(call: Call) -> Version:
    return Version(
        id="v3.14",
        status="stable",
        updated="2020-04-07T00:00:00Z",
        links=[{"rel": "self", "href": call.base_url + "/"}],
        media_types=[{"base": JSON, "type": "application/vnd.openstack.identity-v3+json"}],
    )


def _wants_json_home(call: Call) -> bool:
    """Whether the client would rather have JSON Home than the versions."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in (call.header("accept") or "").split(",")]
    return json_home.MEDIA_TYPE in kinds and JSON not in kinds


def _home(prefix: str) -> Reply:
    return Reply(200, encode_json(json_home.document(prefix)), {"content-type": json_home.MEDIA_TYPE})


@root_routes.add("GET", "/", policy=ANYONE, status=300, answers=VersionsAnswer, also={200: HOME})
def versions(call: Call, tx: Tx) -> Reply:
    """All versions, with status 300 as Keystone answers; or JSON Home."""
    if _wants_json_home(call):
        return _home("/v3")
    return Reply.json(VersionsAnswer(Versions([_v3(call)])), 300)


@routes.add("GET", "/", policy=ANYONE, answers=(VersionAnswer, HOME))
def version(call: Call, tx: Tx) -> Reply:
    """This version; or JSON Home."""
    return _home("") if _wants_json_home(call) else Reply.json(VersionAnswer(_v3(call)))
