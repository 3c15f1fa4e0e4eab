"""Projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec import UNSET
from msgspec.json import encode
from sqlalchemy import ColumnElement, Row, Text, and_, bindparam, func, not_, or_, type_coerce

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.fields import create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import (
    BY_NAME,
    Options,
    ProjectName,
    Tags,
    changed,
    check_mutable,
    check_tags,
    described,
    given,
    home_domain,
    is_asked,
    listed_domain,
    merged_extra,
    merged_options,
    same_domain,
    self_link,
    stripped,
)
from pileus.services.identity.api.domain import change_domain, erase_domain, insert_domain
from pileus.services.identity.api.hierarchy import check_switch, family, place
from pileus.services.identity.model import projects
from pileus.services.identity.store import limit, project, user

Show: TypeAlias = Callable[[Row[Any]], dict[str, Any]]

_IS_PROJECT = projects.c.is_domain.is_(False)
_LISTED = _IS_PROJECT & (projects.c.domain_id == bindparam("listed_domain_id"))


def _is_domain_filter(call: Call, values: list[str]) -> ColumnElement[bool]:
    return projects.c.is_domain.is_(read_bool("is_domain", values[-1]))


def _has(tag: str) -> ColumnElement[bool]:
    # Both databases find a text by its exact letters this way; LIKE ignores their case in SQLite.
    text = type_coerce(projects.c.tags, Text)
    return text != func.replace(text, encode(tag).decode(), "")


def _tag_filter(
    join: Callable[..., ColumnElement[bool]], *, wanted: bool
) -> Callable[[Call, list[str]], ColumnElement[bool]]:
    """All or any of the tags, or the opposite of that (API working group's guideline on tags)."""

    def clause(call: Call, values: list[str]) -> ColumnElement[bool]:
        found = join(*(_has(tag) for tag in values[-1].split(",")))
        return found if wanted else not_(found)

    return clause


def _lies_in(call: Call, row: Row[Any]) -> str | None:
    """A domain lies in none; to our tables it lies in itself."""
    return None if row.is_domain else row.domain_id


class Project(Resource, member="project", collection="projects", table=projects, extras="extra"):
    id: str = field(read_only, filter, sort)
    name: ProjectName = field(create, update, filter, sort, required=True)
    domain_id: str | None = field(create, update, filter, column="domain_id", render=_lies_in)
    parent_id: str | None = field(create, update, filter)
    description: str | None = field(create, update, default="")
    enabled: bool = field(create, update, filter, default=True)
    is_domain: bool = field(create, update, default=False)
    tags: Tags = field(create, update, default=[])
    options: Options = field(create, update, default={})
    links: dict[str, Any] = field(render=self_link("projects"))

    default_sort = BY_NAME
    filters = {
        "is_domain": _is_domain_filter,
        "tags": _tag_filter(and_, wanted=True),
        "tags-any": _tag_filter(or_, wanted=True),
        "not-tags": _tag_filter(and_, wanted=False),
        "not-tags-any": _tag_filter(or_, wanted=False),
    }

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        if call.context.domain_id is not None:
            return _LISTED, {"listed_domain_id": call.context.domain_id}
        return None if "is_domain" in call.query else (_IS_PROJECT, {})

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return project_target(row)


def project_target(row: Row[Any]) -> dict[str, Any]:
    """What policy sees of a project."""
    return {"target.project.id": row.id, "target.project.domain_id": None if row.is_domain else row.domain_id}


def _new_target(call: Call, body: Any) -> Mapping[str, Any]:
    domain_id = body.domain_id if body.domain_id is not UNSET else home_domain(call)
    return {"target.project.domain_id": domain_id, "target.project.id": None}


@Project.create(policy="identity:create_project", target=_new_target)
def create_project(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a project below its parent, which is its domain where none is named."""
    values = described(stripped(given(body)))
    check_tags(values["tags"])
    if values["is_domain"]:
        if values.get("parent_id") or values.get("domain_id"):
            raise BadRequest("A project that is a domain lies in no domain and has no parent.")
        return insert_domain(tx, new_hex(), values)
    domain_id, parent_id = place(call, tx, values.get("domain_id"), values.get("parent_id"))
    values.update(id=new_hex(), domain_id=domain_id, parent_id=parent_id)
    try:
        return project.insert(tx, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


def _twice(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store project - it is not permitted to have two projects "
        f"named {name} in the same domain."
    )


@Project.update(policy="identity:update_project", method="PATCH")
def update_project(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a project; disabling one voids the tokens for it."""
    values = {**described(stripped(given(body, "domain_id", "extra"))), "extra": merged_extra(row, body)}
    check_tags(values.get("tags", []))
    if values.pop("is_domain", row.is_domain) != row.is_domain:
        raise BadRequest("Update of `is_domain` is not allowed.")
    if values.pop("parent_id", row.parent_id) != row.parent_id:
        raise Forbidden("Update of `parent_id` is not allowed.")
    if row.is_domain:
        return change_domain(call, tx, row, values)
    same_domain(row, body)
    check_mutable(row, values)
    if "options" in values:
        values["options"] = merged_options(row, values["options"])
    check_switch(tx, row, values.get("enabled", row.enabled))
    if values.get("enabled") is False and row.enabled:
        user.revoke(tx, project_id=row.id)
    changed(call, tx)
    try:
        return project.change(tx, row.id, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


@Project.delete(policy="identity:delete_project")
def delete_project(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a project without children; or, disabled, one that is a domain, with all that is in it."""
    check_mutable(row)
    if row.is_domain:
        erase_domain(call, tx, row)
        return
    if project.children(tx, row.id):
        raise Forbidden(f"Cannot delete the project {row.id} since it is not a leaf in the hierarchy.")
    changed(call, tx)
    project.delete(tx, row.id)


@Project.show(policy="identity:get_project")
def show_project(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """One project, with its family where asked for, and its limits."""
    show = Project.view(call)
    if is_asked(call, "include_limits"):
        show = _with_limits(call, tx, show)
    return {"project": {**show(row), **family(call, tx, row, show)}}


def _with_limits(call: Call, tx: Tx, show: Show) -> Show:
    from pileus.services.identity.api.limit import Limit

    show_limit = Limit.view(call)
    return lambda row: {**show(row), "limits": [show_limit(each) for each in limit.of_owner(tx, row.id)]}


Project.list(policy="identity:list_projects", target=listed_domain)
