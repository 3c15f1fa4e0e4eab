"""Groups of endpoints, and which projects see which endpoints (OS-EP-FILTER)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

import msgspec
from sqlalchemy import Row, Table

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Name, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import BadRequest, NotFound
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.catalog import Endpoint, Interface
from pileus.services.identity.api.common import changed, collection, given, self_link
from pileus.services.identity.api.project import Project
from pileus.services.identity.catalog_model import (
    endpoint_groups,
    project_endpoint_groups,
    project_endpoints,
)
from pileus.services.identity.model import endpoints, projects
from pileus.services.identity.store import endpoint_filter

BASE = "/OS-EP-FILTER"
Filters = Annotated[
    dict[Literal["interface", "service_id", "region_id"], Annotated[str, msgspec.Meta(max_length=255)]],
    msgspec.Meta(min_length=1),
]


class EndpointGroup(
    Resource,
    member="endpoint_group",
    collection="endpoint_groups",
    path=f"{BASE}/endpoint_groups",
    id_param="endpoint_group_id",
    table=endpoint_groups,
):
    id: str = field(read_only, sort)
    name: Name = field(create, update, filter, sort, required=True)
    description: str | None = field(create, update, default=None)
    criteria: Filters = field(create, update, required=True, wire="filters", column="filters")
    links: dict[str, Any] = field(render=self_link("OS-EP-FILTER/endpoint_groups"))

    default_sort = (("id", "asc"),)


def _checked(call: Call, tx: Tx, body: Any) -> dict[str, Any]:
    values = given(body)
    if "criteria" in values:
        values["filters"] = values.pop("criteria")
    interface = values.get("filters", {}).get("interface")
    if interface is not None and interface not in get_args(Interface):
        raise BadRequest(f"Invalid input for field filters.interface: {interface!r} is no interface.")
    changed(call, tx)
    return values


@EndpointGroup.create(policy="identity:create_endpoint_group")
def create_endpoint_group(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a group of all endpoints, now and later, that the filters fit."""
    return rows.add(tx, endpoint_groups, {**_checked(call, tx, body), "id": new_hex()})


@EndpointGroup.update(policy="identity:update_endpoint_group", method="PATCH")
def update_endpoint_group(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a group; new filters take the place of the old."""
    rows.change(tx, endpoint_groups, row.id, **_checked(call, tx, body))
    return rows.existing(tx, endpoint_groups, row.id)


@EndpointGroup.delete(policy="identity:delete_endpoint_group")
def delete_endpoint_group(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a group; projects no longer see endpoints by it."""
    changed(call, tx)
    rows.remove(tx, endpoint_groups, row.id)


EndpointGroup.show(policy="identity:get_endpoint_group")
EndpointGroup.list(policy="identity:list_endpoint_groups")


@EndpointGroup.member_route(
    "GET", "/endpoints", policy="identity:list_endpoints_associated_with_endpoint_group", answers=[Endpoint]
)
def list_endpoints_in_group(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The endpoints of a group."""
    show = Endpoint.view(call)
    return collection(call, "endpoints", [show(each) for each in endpoint_filter.in_group(tx, row)])


@EndpointGroup.member_route(
    "GET", "/projects", policy="identity:list_projects_associated_with_endpoint_group", answers=[Project]
)
def list_projects_of_group(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The projects that see endpoints by a group."""
    show = Project.view(call)
    return collection(
        call, "projects", [show(each) for each in endpoint_filter.projects_of_group(tx, row.id)]
    )


routes = Routes()


def _found(tx: Tx, table: Table, noun: str, key: str) -> Row[Any]:
    row = rows.get(tx, table, key)
    if row is None:
        raise NotFound(f"Could not find {noun}: {key}.")
    return row


def _project(call: Call, tx: Tx) -> Row[Any]:
    return _found(tx, projects, "project", call.params["project_id"])


@routes.add(
    "GET",
    f"{BASE}/projects/{{project_id}}/endpoints",
    policy="identity:list_endpoints_for_project",
    answers=[Endpoint],
)
def list_endpoints_of_project(call: Call, tx: Tx) -> dict[str, Any]:
    """The endpoints that a project was given; with none, it sees all."""
    show = Endpoint.view(call)
    seen = endpoint_filter.seen_by(tx, _project(call, tx).id)
    return collection(call, "endpoints", [show(row) for row in seen])


@routes.add(
    "GET",
    f"{BASE}/projects/{{project_id}}/endpoint_groups",
    policy="identity:list_endpoint_groups_for_project",
    answers=[EndpointGroup],
)
def list_groups_of_project(call: Call, tx: Tx) -> dict[str, Any]:
    """The groups by which a project sees endpoints."""
    show = EndpointGroup.view(call)
    groups = endpoint_filter.groups_of(tx, _project(call, tx).id)
    return collection(call, "endpoint_groups", [show(row) for row in groups])


@routes.add(
    "GET",
    f"{BASE}/endpoints/{{endpoint_id}}/projects",
    policy="identity:list_projects_for_endpoint",
    answers=[Project],
)
def list_projects_of_endpoint(call: Call, tx: Tx) -> dict[str, Any]:
    """The projects that were given an endpoint."""
    show = Project.view(call)
    row = _found(tx, endpoints, "endpoint", call.params["endpoint_id"])
    return collection(
        call, "projects", [show(each) for each in endpoint_filter.projects_of_endpoint(tx, row.id)]
    )


class LinkAnswer(msgspec.Struct):
    """That a project was given a group of endpoints."""

    project_endpoint_group: dict[str, Any]


def _links(path: str, noun: str, target: Table, table: Table, rules: dict[str, str], shown: int) -> None:
    """PUT, GET, HEAD and DELETE of what a project was given: an endpoint, or a group of them."""

    def link(call: Call, tx: Tx) -> dict[str, str]:
        project = _project(call, tx)
        other = _found(tx, target, noun, call.params[f"{noun}_id"])
        return {"project_id": project.id, f"{noun}_id": other.id}

    def give(call: Call, tx: Tx) -> None:
        """Lets a project see it."""
        endpoint_filter.link(tx, table, link(call, tx))
        changed(call, tx)

    def check(call: Call, tx: Tx) -> Reply:
        """Whether a project was given it."""
        wanted = link(call, tx)
        if not endpoint_filter.is_linked(tx, table, wanted):
            raise _not_given(noun, wanted)
        if shown == 204:
            return Reply(204)
        links = {"self": call.root_url + call.path}
        return Reply.json({f"project_{noun}": {**wanted, "links": links}})

    def take(call: Call, tx: Tx) -> None:
        """A project no longer sees it, unless in another way."""
        wanted = link(call, tx)
        if not endpoint_filter.unlink(tx, table, wanted):
            raise _not_given(noun, wanted)
        changed(call, tx)

    declared: list[tuple[str, str, int, Callable[..., Any]]] = [
        ("PUT", "add", 204, give),
        ("GET", "check", shown, check),
        ("HEAD", "check", shown, check),
        ("DELETE", "remove", 204, take),
    ]
    for method, verb, status, handler in declared:
        answers = LinkAnswer if status == 200 else None
        routes.add(method, path, policy=f"identity:{rules[verb]}", status=status, answers=answers)(handler)


def _not_given(noun: str, wanted: dict[str, str]) -> NotFound:
    return NotFound(f"Project {wanted['project_id']} was not given {noun} {wanted[f'{noun}_id']}.")


_links(
    f"{BASE}/projects/{{project_id}}/endpoints/{{endpoint_id}}",
    "endpoint",
    endpoints,
    project_endpoints,
    {
        "add": "add_endpoint_to_project",
        "check": "check_endpoint_in_project",
        "remove": "remove_endpoint_from_project",
    },
    204,
)
_links(
    f"{BASE}/endpoint_groups/{{endpoint_group_id}}/projects/{{project_id}}",
    "endpoint_group",
    endpoint_groups,
    project_endpoint_groups,
    {
        "add": "add_endpoint_group_to_project",
        "check": "get_endpoint_group_in_project",
        "remove": "remove_endpoint_group_from_project",
    },
    200,
)
