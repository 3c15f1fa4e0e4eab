"""What is in a namespace: objects, properties and tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.image.api.metadef.namespace import (
    Namespace,
    namespace_target,
    require_unprotected,
    shown_object,
)
from pileus.services.image.metadef import store
from pileus.services.image.metadef.shapes import NamedProperty, Object, Tag, Tags, kept
from pileus.services.image.metadef.store import Kind

routes = Routes()
_NAMESPACE = "/metadefs/namespaces/{namespace}"
_OBJECTS, _OBJECT = f"{_NAMESPACE}/objects", f"{_NAMESPACE}/objects/{{name}}"
_PROPERTIES, _PROPERTY = f"{_NAMESPACE}/properties", f"{_NAMESPACE}/properties/{{name}}"
_TAGS, _TAG = f"{_NAMESPACE}/tags", f"{_NAMESPACE}/tags/{{name}}"
MOST = 1000


def namespace_for(call: Call, tx: Tx, rule: str) -> Row[Any]:
    """The namespace that the path names; 404 where it does not exist for the caller, 403 where the rule says no."""
    row = Namespace.load(call, tx, call.params["namespace"])
    call.enforce(rule, namespace_target(row))
    return row


def _item(tx: Tx, namespace: Row[Any], kind: Kind, name: str) -> Row[Any]:
    row = None if "\0" in name else store.item(tx, namespace.id, kind, name)
    if row is None:
        raise NotFound(
            f"The metadata definition {kind} with name={name} was not found in namespace={namespace.namespace}."
        )
    return row


def _insert(tx: Tx, namespace: Row[Any], kind: Kind, name: str, body: dict[str, Any]) -> Row[Any]:
    try:
        store.insert_items(tx, namespace.id, kind, {name: body})
    except Duplicate as error:
        raise _taken(namespace, kind, name) from error
    return _item(tx, namespace, kind, name)


def _change(tx: Tx, namespace: Row[Any], row: Row[Any], name: str, body: dict[str, Any]) -> Row[Any]:
    try:
        store.change_item(tx, row, name, body)
    except Duplicate as error:
        raise _taken(namespace, row.kind, name) from error
    return _item(tx, namespace, row.kind, name)


def _taken(namespace: Row[Any], kind: Kind, name: str) -> Conflict:
    return Conflict(
        f"A metadata definition {kind} with name={name} already exists in namespace={namespace.namespace}."
    )


def _remove(call: Call, tx: Tx, rule: str, kind: Kind, *, one: bool) -> None:
    namespace = namespace_for(call, tx, rule)
    require_unprotected(namespace)
    if one:
        _item(tx, namespace, kind, call.params["name"])
    store.delete_items(tx, namespace.id, kind, call.params["name"] if one else None)


def _page(call: Call, rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The part of a list that `limit` and `marker` ask for. Lists are by name, or by time where `sort_key` says so."""
    key = call.arg("sort_key", "name")
    if key not in ("name", "created_at", "updated_at"):
        raise BadRequest(f"Can't sort by {key!r}; the keys are name, created_at, updated_at.")
    ordered = sorted(rows, key=lambda row: getattr(row, key), reverse=call.arg("sort_dir") == "desc")
    marker = call.arg("marker")
    if marker is not None:
        names = [row.name for row in ordered]
        if marker not in names:
            raise NotFound(f"There is no {marker!r} to begin behind.")
        ordered = ordered[names.index(marker) + 1 :]
    limit = call.arg("limit")
    if limit is None:
        return ordered[:MOST]
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9):
        raise BadRequest(f"Invalid limit {limit!r}: it must be a whole number, zero or more.")
    return ordered[: min(int(limit), MOST)]


# Objects


class ObjectsAnswer(msgspec.Struct):
    objects: list[Object]
    first: str
    schema: str


@routes.add("GET", _OBJECTS, policy=AUTHENTICATED, answers=ObjectsAnswer)
def list_objects(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists the objects of a namespace."""
    namespace = namespace_for(call, tx, "get_metadef_objects")
    rows = _page(call, store.items_of(tx, namespace.id, "object"))
    return {
        "objects": [shown_object(call, namespace.namespace, row) for row in rows],
        "first": f"/v2/metadefs/namespaces/{namespace.namespace}/objects",
        "schema": "/v2/schemas/metadefs/objects",
    }


@routes.add("POST", _OBJECTS, policy=AUTHENTICATED, status=201, body=Object, answers=Object)
def create_object(call: Call, tx: Tx, body: Object) -> dict[str, Any]:
    """Defines an object."""
    namespace = namespace_for(call, tx, "add_metadef_object")
    return shown_object(call, namespace.namespace, _insert(tx, namespace, "object", body.name, kept(body)))


@routes.add("DELETE", _OBJECTS, policy=AUTHENTICATED, status=204)
def delete_objects(call: Call, tx: Tx) -> None:
    """Deletes all objects of a namespace."""
    _remove(call, tx, "delete_metadef_namespace", "object", one=False)


@routes.add("GET", _OBJECT, policy=AUTHENTICATED, answers=Object)
def show_object(call: Call, tx: Tx) -> dict[str, Any]:
    """Shows an object."""
    namespace = namespace_for(call, tx, "get_metadef_object")
    row = _item(tx, namespace, "object", call.params["name"])
    return shown_object(call, namespace.namespace, row)


@routes.add("PUT", _OBJECT, policy=AUTHENTICATED, body=Object, answers=Object)
def update_object(call: Call, tx: Tx, body: Object) -> dict[str, Any]:
    """Says all of an object anew."""
    namespace = namespace_for(call, tx, "modify_metadef_object")
    row = _item(tx, namespace, "object", call.params["name"])
    return shown_object(call, namespace.namespace, _change(tx, namespace, row, body.name, kept(body)))


@routes.add("DELETE", _OBJECT, policy=AUTHENTICATED, status=204)
def delete_object(call: Call, tx: Tx) -> None:
    """Deletes an object."""
    _remove(call, tx, "delete_metadef_object", "object", one=True)


# Properties


class PropertiesAnswer(msgspec.Struct):
    properties: dict[str, NamedProperty]


@routes.add("GET", _PROPERTIES, policy=AUTHENTICATED, answers=PropertiesAnswer)
def list_properties(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists the properties of a namespace, by name."""
    namespace = namespace_for(call, tx, "get_metadef_properties")
    rows = store.items_of(tx, namespace.id, "property")
    return {"properties": {row.name: {"name": row.name, **row.body} for row in rows}}


@routes.add("POST", _PROPERTIES, policy=AUTHENTICATED, status=201, body=NamedProperty, answers=NamedProperty)
def create_property(call: Call, tx: Tx, body: NamedProperty) -> dict[str, Any]:
    """Defines a property."""
    namespace = namespace_for(call, tx, "add_metadef_property")
    row = _insert(tx, namespace, "property", body.name, kept(body))
    return {"name": row.name, **row.body}


@routes.add("DELETE", _PROPERTIES, policy=AUTHENTICATED, status=204)
def delete_properties(call: Call, tx: Tx) -> None:
    """Deletes all properties of a namespace."""
    _remove(call, tx, "delete_metadef_namespace", "property", one=False)


@routes.add("GET", _PROPERTY, policy=AUTHENTICATED, answers=NamedProperty)
def show_property(call: Call, tx: Tx) -> dict[str, Any]:
    """Shows a property, under the name that `resource_type` gives it."""
    namespace = namespace_for(call, tx, "get_metadef_property")
    name, prefix = call.params["name"], ""
    if (resource_type := call.arg("resource_type")) is not None:
        found = [each for each in store.associations_of(tx, [namespace.id]) if each.name == resource_type]
        prefix = (found[0].prefix or "") if found else ""
        if not found or not name.startswith(prefix):
            raise NotFound(f"Resource type {resource_type} has no property {name} of this namespace.")
    row = _item(tx, namespace, "property", name.removeprefix(prefix))
    return {"name": prefix + row.name, **row.body}


@routes.add("PUT", _PROPERTY, policy=AUTHENTICATED, body=NamedProperty, answers=NamedProperty)
def update_property(call: Call, tx: Tx, body: NamedProperty) -> dict[str, Any]:
    """Says all of a property anew."""
    namespace = namespace_for(call, tx, "modify_metadef_property")
    row = _item(tx, namespace, "property", call.params["name"])
    changed = _change(tx, namespace, row, body.name, kept(body))
    return {"name": changed.name, **changed.body}


@routes.add("DELETE", _PROPERTY, policy=AUTHENTICATED, status=204)
def delete_property(call: Call, tx: Tx) -> None:
    """Deletes a property."""
    _remove(call, tx, "remove_metadef_property", "property", one=True)


# Tags


class TagAnswer(Tag):
    created_at: str
    updated_at: str


class TagsAnswer(Tags):
    first: str
    schema: str


def _shown_tag(call: Call, row: Row[Any]) -> dict[str, Any]:
    time = call.runtime.service.dialect.time
    return {"name": row.name, "created_at": time(row.created_at), "updated_at": time(row.updated_at)}


@routes.add("GET", _TAGS, policy=AUTHENTICATED, answers=TagsAnswer)
def list_tags(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists the tags of a namespace."""
    namespace = namespace_for(call, tx, "get_metadef_tags")
    rows = _page(call, store.items_of(tx, namespace.id, "tag"))
    return {
        "tags": [{"name": row.name} for row in rows],
        "first": f"/v2/metadefs/namespaces/{namespace.namespace}/tags",
        "schema": "/v2/schemas/metadefs/tags",
    }


@routes.add("POST", _TAGS, policy=AUTHENTICATED, status=201, body=Tags, answers=Tags)
def create_tags(call: Call, tx: Tx, body: Tags) -> dict[str, Any]:
    """Defines tags in place of those that are there, or with `X-Openstack-Append` beside them."""
    namespace = namespace_for(call, tx, "add_metadef_tags")
    names = [each.name for each in body.tags]
    if len(set(names)) < len(names):
        raise Conflict("Two tags have the same name.")
    if not read_bool("X-Openstack-Append", call.header("x-openstack-append") or "false"):
        store.delete_items(tx, namespace.id, "tag")
    try:
        store.insert_items(tx, namespace.id, "tag", {name: {} for name in names})
    except Duplicate as error:
        raise Conflict(f"Some of these tags are in namespace={namespace.namespace} already.") from error
    return {"tags": [{"name": name} for name in names]}


@routes.add("DELETE", _TAGS, policy=AUTHENTICATED, status=204)
def delete_tags(call: Call, tx: Tx) -> None:
    """Deletes all tags of a namespace."""
    _remove(call, tx, "delete_metadef_tags", "tag", one=False)


@routes.add("GET", _TAG, policy=AUTHENTICATED, answers=TagAnswer)
def show_tag(call: Call, tx: Tx) -> dict[str, Any]:
    """Shows a tag."""
    namespace = namespace_for(call, tx, "get_metadef_tag")
    return _shown_tag(call, _item(tx, namespace, "tag", call.params["name"]))


@routes.add("POST", _TAG, policy=AUTHENTICATED, status=201, answers=TagAnswer)
def create_tag(call: Call, tx: Tx) -> dict[str, Any]:
    """Defines a tag."""
    namespace = namespace_for(call, tx, "add_metadef_tag")
    name = call.params["name"]
    if "\0" in name or len(name) > 255:
        raise BadRequest("A tag has at most 255 characters, and no NUL among them.")
    return _shown_tag(call, _insert(tx, namespace, "tag", name, {}))


@routes.add("PUT", _TAG, policy=AUTHENTICATED, body=Tag, answers=TagAnswer)
def rename_tag(call: Call, tx: Tx, body: Tag) -> dict[str, Any]:
    """Gives a tag another name."""
    namespace = namespace_for(call, tx, "modify_metadef_tag")
    row = _item(tx, namespace, "tag", call.params["name"])
    return _shown_tag(call, _change(tx, namespace, row, body.name, {}))


@routes.add("DELETE", _TAG, policy=AUTHENTICATED, status=204)
def delete_tag(call: Call, tx: Tx) -> None:
    """Deletes a tag."""
    _remove(call, tx, "delete_metadef_tag", "tag", one=True)
