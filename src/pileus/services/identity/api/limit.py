"""Unified limits: defaults that services register, and what single projects and domains have instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, bindparam, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Name, create, field, filter, read_only, sort, update
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import BadRequest, Conflict, Forbidden
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import given, self_link
from pileus.services.identity.api.registered_limit import Description, Number, RegionId, region_of
from pileus.services.identity.limit_model import NO_REGION, limits, registered_limits
from pileus.services.identity.limits import MODELS, Model, disagreement
from pileus.services.identity.model import projects
from pileus.services.identity.store import limit, project

_OWN_PROJECT = limits.c.project_id == bindparam("own_project_id")
_OWN_DOMAIN = (limits.c.domain_id == bindparam("own_domain_id")) | limits.c.project_id.in_(
    select(projects.c.id).where(
        projects.c.domain_id == bindparam("own_domain_id"), projects.c.is_domain.is_(False)
    )
)
_NONE = limits.c.id.is_(None)


class Limit(Resource, member="limit", collection="limits", table=limits, id_param="limit_id"):
    id: str = field(read_only, sort)
    project_id: str | None = field(filter)
    domain_id: str | None = field(filter)
    service_id: str = field(filter)
    region_id: str | None = field(filter, column="region_key", render=region_of)
    resource_name: Name = field(filter, sort)
    resource_limit: Number = field(create, update)
    description: Description = field(create, update)
    links: dict[str, Any] = field(render=self_link("limits"))

    default_sort = (("id", "asc"),)

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        context = call.context
        if context.system_scope or context.is_admin or "service" in context.roles:
            return None
        if context.domain_id is not None:
            return _OWN_DOMAIN, {"own_domain_id": context.domain_id}
        if context.project_id is not None:
            return _OWN_PROJECT, {"own_project_id": context.project_id}
        return _NONE, {}


def limit_target(tx: Tx, row: Row[Any]) -> Mapping[str, Any]:
    """What policy sees of a limit."""
    if row.domain_id is not None:
        return {"target.limit.domain.id": row.domain_id}
    owner = project.get(tx, row.project_id)
    target = {"target.limit.project_id": row.project_id}
    return target if owner is None else {**target, "target.limit.project.domain_id": owner.domain_id}


class _NewLimit(msgspec.Struct, forbid_unknown_fields=True):
    service_id: str
    resource_name: Name
    resource_limit: Number
    project_id: str | None = None
    domain_id: str | None = None
    region_id: RegionId | None = None
    description: Description | UnsetType = UNSET


class NewLimits(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v3/limits`."""

    limits: Annotated[list[_NewLimit], msgspec.Meta(min_length=1)]


routes = Routes()


@routes.add("POST", "/limits", policy="identity:create_limits", status=201, body=NewLimits, answers=[Limit])
def create_limits(call: Call, tx: Tx, body: NewLimits) -> dict[str, Any]:
    """Makes limits, all or none; each needs a registered limit that it stands in place of."""
    made = [_insert(tx, new) for new in body.limits]
    for registered_limit_id in {row.registered_limit_id for row in made}:
        _check_agreement(call, tx, registered_limit_id)
    show = Limit.view(call)
    return {"limits": [show(row) for row in made]}


def _insert(tx: Tx, new: _NewLimit) -> Row[Any]:
    if (new.project_id is None) is (new.domain_id is None):
        raise BadRequest("A limit has either a project_id or a domain_id.")
    owner_id = new.project_id or new.domain_id or ""
    owner = project.get(tx, owner_id)
    if owner is None or owner.is_domain is not (new.domain_id is not None):
        raise BadRequest(f"There is no {'project' if new.project_id else 'domain'} {owner_id}.")
    region_key = new.region_id or NO_REGION
    registered = limit.registered(tx, new.service_id, region_key, new.resource_name)
    if registered is None:
        raise Forbidden("Unable to create a limit that has no corresponding registered limit.")
    values = {
        "id": new_hex(),
        "registered_limit_id": registered.id,
        "project_id": new.project_id,
        "domain_id": new.domain_id,
        "owner_id": owner_id,
        "service_id": new.service_id,
        "region_key": region_key,
        "resource_name": new.resource_name,
        "resource_limit": new.resource_limit,
        "description": None if new.description is UNSET else new.description,
    }
    try:
        return rows.add(tx, limits, values)
    except Duplicate as error:
        raise Conflict(
            f"Conflict occurred attempting to store limit - {owner_id} has one for {new.resource_name} already."
        ) from error


def _model(call: Call) -> Model:
    return MODELS[call.runtime.state.settings.unified_limit_model]


def _check_agreement(call: Call, tx: Tx, registered_limit_id: str) -> None:
    """403 where the limits for a resource, as they are by now, break the cloud's model."""
    model = _model(call)
    if model.deepest_project is None:
        return
    registered = rows.get(tx, registered_limits, registered_limit_id)
    assert registered is not None
    by_owner = limit.by_owner(tx, registered_limit_id)
    owners = [project.get(tx, owner_id) for owner_id in by_owner]
    parent_of = {row.id: row.parent_id for row in owners if row is not None and not row.is_domain}
    wrong = disagreement(registered.default_limit, by_owner, parent_of)
    if wrong is not None:
        raise Forbidden(
            f"Invalid resource limit: for {registered.resource_name}, project {wrong} would have more than what it "
            f"lies in, {parent_of[wrong]}, which the model {model.name} does not allow."
        )


class ModelShown(msgspec.Struct):
    name: str
    description: str


class ModelAnswer(msgspec.Struct):
    model: ModelShown


@routes.add("GET", "/limits/model", policy="identity:get_limit_model")
def show_model(call: Call, tx: Tx) -> ModelAnswer:
    """How limits must agree with each other in this cloud."""
    model = _model(call)
    return ModelAnswer(ModelShown(model.name, model.description))


@Limit.show(policy=AUTHENTICATED)
def show_limit(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    call.enforce("identity:get_limit", limit_target(tx, row))
    return row


@Limit.update(policy="identity:update_limit", method="PATCH")
def update_limit(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes the number or the description."""
    rows.change(tx, limits, row.id, **given(body))
    changed = rows.existing(tx, limits, row.id)
    _check_agreement(call, tx, row.registered_limit_id)
    return changed


@Limit.delete(policy="identity:delete_limit")
def delete_limit(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a limit: the registered one holds again."""
    rows.remove(tx, limits, row.id)
    _check_agreement(call, tx, row.registered_limit_id)


Limit.list(policy="identity:list_limits")
