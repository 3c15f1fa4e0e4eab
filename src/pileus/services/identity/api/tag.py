"""Tags of projects."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.common import MOST_TAGS, Tags, check_mutable, check_tags
from pileus.services.identity.api.project import project_target
from pileus.services.identity.store import project

routes = Routes()
_ALL, _ONE = "/projects/{project_id}/tags", "/projects/{project_id}/tags/{value}"


class TagsBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /v3/projects/{id}/tags`."""

    tags: Tags


def _admitted(call: Call, tx: Tx, rule: str) -> Row[Any]:
    row = project.get(tx, call.params["project_id"])
    call.enforce(f"identity:{rule}", project_target(row) if row is not None else {})
    if row is None:
        raise NotFound(f"Could not find project: {call.params['project_id']}.")
    return row


def _mutable(call: Call, tx: Tx, rule: str) -> Row[Any]:
    row = _admitted(call, tx, rule)
    check_mutable(row)
    return row


class TagsAnswer(msgspec.Struct):
    tags: list[str]
    links: dict[str, Any]


def _shown(call: Call, tags: list[str]) -> dict[str, Any]:
    return {"tags": tags, "links": {"self": call.root_url + call.path, "previous": None, "next": None}}


@routes.add("GET", _ALL, policy=AUTHENTICATED, answers=TagsAnswer)
def list_tags(call: Call, tx: Tx) -> dict[str, Any]:
    """A project's tags."""
    return _shown(call, _admitted(call, tx, "list_project_tags").tags)


@routes.add("PUT", _ALL, policy=AUTHENTICATED, body=TagsBody, answers=TagsAnswer)
def set_tags(call: Call, tx: Tx, body: TagsBody) -> dict[str, Any]:
    """Sets all of a project's tags."""
    row = _mutable(call, tx, "update_project_tags")
    check_tags(body.tags)
    tags = sorted(body.tags)
    project.change(tx, row.id, {"tags": tags})
    return _shown(call, tags)


@routes.add("DELETE", _ALL, policy=AUTHENTICATED, status=204)
def clear_tags(call: Call, tx: Tx) -> None:
    """Takes all of a project's tags away."""
    project.change(tx, _mutable(call, tx, "delete_project_tags").id, {"tags": []})


@routes.add("GET", _ONE, policy=AUTHENTICATED, status=204)
@routes.add("HEAD", _ONE, policy=AUTHENTICATED, status=204)
def has_tag(call: Call, tx: Tx) -> Reply:
    """Whether a project has a tag."""
    if call.params["value"] not in _admitted(call, tx, "get_project_tag").tags:
        raise NotFound(f"Could not find project tag: {call.params['value']}.")
    return Reply(204)


@routes.add("PUT", _ONE, policy=AUTHENTICATED, status=201)
def add_tag(call: Call, tx: Tx) -> None:
    """Gives a project a tag."""
    row = _mutable(call, tx, "create_project_tag")
    value = call.params["value"]
    if len(value) > 255 or "," in value:
        raise BadRequest("A tag has at most 255 characters, and neither a comma nor a slash.")
    tags = sorted({*row.tags, value})
    if len(tags) > MOST_TAGS:
        raise BadRequest(f"A project has at most {MOST_TAGS} tags.")
    project.change(tx, row.id, {"tags": tags})


@routes.add("DELETE", _ONE, policy=AUTHENTICATED, status=204)
def remove_tag(call: Call, tx: Tx) -> None:
    """Takes a tag from a project."""
    row = _mutable(call, tx, "delete_project_tag")
    if call.params["value"] not in row.tags:
        raise NotFound(f"Could not find project tag: {call.params['value']}.")
    project.change(tx, row.id, {"tags": [tag for tag in row.tags if tag != call.params["value"]]})
