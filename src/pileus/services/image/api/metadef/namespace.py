"""Namespaces: a set of definitions, and which resource types they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, bindparam, or_

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field, filter, sort
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.image.metadef import catalogue, store
from pileus.services.image.metadef.model import namespaces
from pileus.services.image.metadef.shapes import (
    Association,
    ChangedNamespace,
    NewNamespace,
    Object,
    Property,
    Tag,
)

_SEEN = or_(namespaces.c.visibility == "public", namespaces.c.project_id == bindparam("viewer"))
ROOT = "/v2/metadefs/namespaces"


def _meant_for(call: Call, values: list[str]) -> ColumnElement[bool]:
    clause: ColumnElement[bool] = store.meant_for([name for value in values for name in value.split(",")])
    return clause


def _associations(call: Call, row: Row[Any]) -> Any:
    found = call.gathered.get("associations", {}).get(row.id)
    return UNSET if not found else [association(call, each) for each in found]


def _content(kind: str) -> Callable[[Call, Row[Any]], Any]:
    """What is in a namespace, where it is shown whole."""
    return lambda call, row: call.gathered.get("contents", {}).get(kind, UNSET)


class Namespace(
    Resource,
    member="namespace",
    collection="namespaces",
    path="/metadefs/namespaces",
    table=namespaces,
    id_param="namespace",
    kind="Namespace",
):
    key = "namespace"
    filters = {"resource_types": _meant_for}

    namespace: str = field(sort)
    display_name: str | None = field()
    description: str | None = field()
    visibility: str = field(filter)
    protected: bool = field()
    owner: str | None = field(filter, column="project_id")
    resource_type_associations: list[Association] = field(render=_associations)
    objects: list[Object] = field(render=_content("objects"))
    properties: dict[str, Property] = field(render=_content("properties"))
    tags: list[Tag] = field(render=_content("tags"))
    created_at: datetime = field(sort)
    updated_at: datetime = field(sort)
    self: str = field(render=lambda call, row: f"{ROOT}/{row.namespace}")
    schema: str = field(render=lambda call, row: "/v2/schemas/metadefs/namespace")

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        if call.context.is_admin:
            return None
        return _SEEN, {"viewer": call.context.project_id}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        found: dict[str, list[Row[Any]]] = {}
        for each in store.associations_of(tx, [row.id for row in rows]):
            found.setdefault(each.namespace_id, []).append(each)
        call.gathered["associations"] = found

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return namespace_target(row)

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Metadata definition namespace={key} was not found.")


def namespace_target(row: Row[Any]) -> dict[str, Any]:
    """What policy sees of a namespace; an owner only where there is one."""
    target = {"visibility": row.visibility}
    if row.project_id is not None:
        target |= {"project_id": row.project_id, "owner": row.project_id}
    return target


def association(call: Call, row: Row[Any]) -> dict[str, Any]:
    """As clients see it."""
    time = call.runtime.service.dialect.time
    shown = {"name": row.name, "created_at": time(row.created_at), "updated_at": time(row.updated_at)}
    for name in ("prefix", "properties_target"):
        if getattr(row, name) is not None:
            shown[name] = getattr(row, name)
    return shown


def shown_object(call: Call, namespace: str, row: Row[Any], prefix: str = "") -> dict[str, Any]:
    """An object as clients see it."""
    time = call.runtime.service.dialect.time
    body = dict(row.body)
    if prefix and "properties" in body:
        body["properties"] = {prefix + name: each for name, each in body["properties"].items()}
    return {
        "name": row.name,
        **body,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "self": f"{ROOT}/{namespace}/objects/{row.name}",
        "schema": "/v2/schemas/metadefs/object",
    }


def whole(call: Call, tx: Tx, row: Row[Any], resource_type: str | None = None) -> dict[str, Any]:
    """A namespace with all that is in it; names of properties as `resource_type` has them."""
    Namespace.gather(call, tx, [row])
    prefix = ""
    if resource_type is not None:
        found = [each for each in call.gathered["associations"].get(row.id, ()) if each.name == resource_type]
        if not found:
            raise NotFound(f"Namespace {row.namespace} is not for resource type {resource_type}.")
        prefix = found[0].prefix or ""
    contents: dict[str, Any] = {}
    if objects := store.items_of(tx, row.id, "object"):
        contents["objects"] = [shown_object(call, row.namespace, each, prefix) for each in objects]
    if properties := store.items_of(tx, row.id, "property"):
        contents["properties"] = {prefix + each.name: each.body for each in properties}
    if tags := store.items_of(tx, row.id, "tag"):
        contents["tags"] = [{"name": each.name} for each in tags]
    call.gathered["contents"] = contents
    return Namespace.view(call)(row)


@Namespace.create(policy="add_metadef_namespace", body=NewNamespace)
def create_namespace(call: Call, tx: Tx, body: NewNamespace) -> Reply:
    """Makes a namespace, with what is to be in it."""
    if "/" in body.namespace:
        raise BadRequest("The name of a namespace has no slash.")
    if len({each.name for each in body.objects}) < len(body.objects):
        raise Conflict("Two objects have the same name.")
    owner = call.project_id if body.owner is UNSET else body.owner
    try:
        namespace_id = catalogue.put(tx, body, owner)
    except Duplicate as error:
        raise Conflict(f"A metadata definition namespace={body.namespace} already exists.") from error
    headers = {"location": f"{call.base_url}/metadefs/namespaces/{body.namespace}"}
    return Reply.json(whole(call, tx, store.namespace(tx, namespace_id)), 201, headers)


@Namespace.show(policy="get_metadef_namespace")
def show_namespace(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """Shows a namespace with all that is in it."""
    return whole(call, tx, row, call.arg("resource_type"))


@Namespace.list(policy="get_metadef_namespaces")
def list_namespaces(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists namespaces that the caller may see."""
    from pileus.kernel.api.listing import listing

    return {**listing(call, tx, Namespace), "schema": "/v2/schemas/metadefs/namespaces"}


@Namespace.update(policy="modify_metadef_namespace", body=ChangedNamespace)
def update_namespace(call: Call, tx: Tx, row: Row[Any], body: ChangedNamespace) -> Row[Any]:
    """Says all of a namespace anew, but for what is in it."""
    values = {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if name in ("namespace", "display_name", "description", "visibility", "protected")
    }
    if "/" in body.namespace:
        raise BadRequest("The name of a namespace has no slash.")
    if body.owner is not UNSET:
        values["project_id"] = body.owner
    try:
        return store.change_namespace(tx, row.id, values)
    except Duplicate as error:
        raise Conflict(f"A metadata definition namespace={body.namespace} already exists.") from error


@Namespace.delete(policy="delete_metadef_namespace")
def delete_namespace(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a namespace and all that is in it."""
    require_unprotected(row)
    store.delete_namespace(tx, row.id)


def require_unprotected(row: Row[Any]) -> None:
    """403 where nothing may be taken out of the namespace."""
    if row.protected:
        raise Forbidden(
            f"Metadata definition namespace {row.namespace} is protected: set protected to false first."
        )
