"""Projects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, Text, bindparam, type_coerce

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.fields import create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import (
    BY_NAME,
    ProjectName,
    changed,
    check_mutable,
    described,
    given,
    home_domain,
    listed_domain,
    merged_extra,
    merged_options,
    same_domain,
    self_link,
)
from pileus.services.identity.api.domain import change_domain, erase_domain, insert_domain
from pileus.services.identity.model import projects
from pileus.services.identity.store import project, user

_IS_PROJECT = projects.c.is_domain.is_(False)
_LISTED = _IS_PROJECT & (projects.c.domain_id == bindparam("listed_domain_id"))


def _is_domain_filter(call: Call, values: list[str]) -> ColumnElement[bool]:
    return projects.c.is_domain.is_(read_bool("is_domain", values[-1]))


def _tag_filter(call: Call, values: list[str]) -> ColumnElement[bool]:
    clause: ColumnElement[bool] = projects.c.id.is_not(None)
    for tag in values[-1].split(","):
        clause &= type_coerce(projects.c.tags, Text).contains(f'"{tag}"', autoescape=True)
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
    is_domain: bool = field(create, default=False)
    tags: list[str] = field(create, update, default=[])
    options: dict[str, Any] = field(create, update, default={})
    links: dict[str, Any] = field(render=self_link("projects"))

    default_sort = BY_NAME
    filters = {"is_domain": _is_domain_filter, "tags": _tag_filter}

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
    values = described(given(body))
    if values["is_domain"]:
        if values.get("parent_id") or values.get("domain_id"):
            raise BadRequest("A project that is a domain lies in no domain and has no parent.")
        return insert_domain(tx, new_hex(), values)
    parent_id = values.get("parent_id")
    parent = project.get(tx, parent_id) if parent_id else None
    if parent_id and parent is None:
        raise NotFound(f"Could not find project: {parent_id}.")
    domain_id = values.get("domain_id") or (_domain_of(parent) if parent is not None else home_domain(call))
    domain = project.get(tx, domain_id)
    if domain is None or not domain.is_domain:
        raise NotFound(f"Could not find domain: {domain_id}.")
    if parent is not None and _domain_of(parent) != domain_id:
        raise BadRequest("The parent lies in another domain; a project lies in its parent's.")
    values.update(id=new_hex(), domain_id=domain_id, parent_id=parent_id or domain_id)
    try:
        return project.insert(tx, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


def _domain_of(row: Row[Any]) -> str:
    return str(row.id if row.is_domain else row.domain_id)


def _twice(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store project - it is not permitted to have two projects "
        f"named {name} in the same domain."
    )


@Project.update(policy="identity:update_project", method="PATCH")
def update_project(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a project; disabling one voids the tokens for it."""
    values = {**described(given(body, "extra", "domain_id", "is_domain")), "extra": merged_extra(row, body)}
    if row.is_domain:
        return change_domain(call, tx, row, values)
    same_domain(row, body)
    if values.pop("parent_id", row.parent_id) != row.parent_id:
        raise Forbidden("Update of `parent_id` is not allowed.")
    check_mutable(row, values)
    if "options" in values:
        values["options"] = merged_options(row, values["options"])
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
    """One project, with its family where asked for."""
    view = Project.view(call)
    shown = view(row)
    above, below = project.ancestors(tx, row), []
    if "subtree_as_list" in call.query or "subtree_as_ids" in call.query:
        below = project.subtree(tx, row.id)
    if "parents_as_list" in call.query:
        shown["parents"] = [{"project": view(each)} for each in above if not each.is_domain]
    if "subtree_as_list" in call.query:
        shown["subtree"] = [{"project": view(each)} for each in below]
    if "parents_as_ids" in call.query:
        shown["parents"] = _nested([each.id for each in above])
    if "subtree_as_ids" in call.query:
        shown["subtree"] = _tree(row.id, below)
    return {"project": shown}


def _nested(ids: list[str]) -> dict[str, Any] | None:
    return {ids[0]: _nested(ids[1:])} if ids else None


def _tree(root: str, rows: list[Row[Any]]) -> dict[str, Any] | None:
    return {row.id: _tree(row.id, rows) for row in rows if row.parent_id == root} or None


Project.list(policy="identity:list_projects", target=listed_domain)
