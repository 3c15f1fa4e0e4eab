"""Resource types, and which namespaces are for them."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import Conflict, NotFound
from pileus.services.image.api.metadef.items import namespace_for
from pileus.services.image.api.metadef.namespace import association, require_unprotected
from pileus.services.image.metadef import store
from pileus.services.image.metadef.shapes import Association, kept

routes = Routes()
_ALL = "/metadefs/namespaces/{namespace}/resource_types"


class ResourceType(msgspec.Struct):
    name: str
    created_at: str
    updated_at: str


class ResourceTypesAnswer(msgspec.Struct):
    resource_types: list[ResourceType]


class AssociationsAnswer(msgspec.Struct):
    resource_type_associations: list[Association]


@routes.add("GET", "/metadefs/resource_types", policy="list_metadef_resource_types")
def list_resource_types(call: Call, tx: Tx) -> ResourceTypesAnswer:
    """Lists the resource types that definitions are for."""
    time = call.runtime.service.dialect.time
    return ResourceTypesAnswer(
        [ResourceType(row.name, time(row.created_at), time(row.updated_at)) for row in store.types(tx)]
    )


@routes.add("GET", _ALL, policy=AUTHENTICATED, answers=AssociationsAnswer)
def list_associations(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists the resource types that a namespace is for."""
    namespace = namespace_for(call, tx, "get_metadef_resource_type")
    rows = store.associations_of(tx, [namespace.id])
    return {"resource_type_associations": [association(call, row) for row in rows]}


@routes.add("POST", _ALL, policy=AUTHENTICATED, status=201, body=Association, answers=Association)
def associate(call: Call, tx: Tx, body: Association) -> dict[str, Any]:
    """Says that a namespace is for a resource type."""
    namespace = namespace_for(call, tx, "add_metadef_resource_type_association")
    try:
        store.associate(tx, namespace.id, {"name": body.name, **kept(body)})
    except Duplicate as error:
        raise Conflict(
            f"Namespace {namespace.namespace} is for resource type {body.name} already."
        ) from error
    rows = store.associations_of(tx, [namespace.id])
    return association(call, next(row for row in rows if row.name == body.name))


@routes.add("DELETE", _ALL + "/{name}", policy=AUTHENTICATED, status=204)
def dissociate(call: Call, tx: Tx) -> None:
    """Says that a namespace is not for a resource type any more."""
    namespace = namespace_for(call, tx, "remove_metadef_resource_type_association")
    require_unprotected(namespace)
    name = call.params["name"]
    if "\0" in name or not store.dissociate(tx, namespace.id, name):
        raise NotFound(f"Namespace {namespace.namespace} is not for resource type {name}.")
