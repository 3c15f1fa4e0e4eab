"""JSON schemas of metadata definitions, made from their shapes."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.services.image.api.schema import SchemaAnswer
from pileus.services.image.metadef import shapes

routes = Routes()
_TIMES = {
    name: {"type": "string", "readOnly": True, "format": "date-time"} for name in ("created_at", "updated_at")
}
_LINKS = {name: {"type": "string", "readOnly": True} for name in ("self", "schema")}


def _schema(name: str, shape: type[msgspec.Struct], read_only: dict[str, Any]) -> dict[str, Any]:
    (found,), definitions = msgspec.json.schema_components([shape], ref_template="#/definitions/{name}")
    whole = definitions.pop(found["$ref"].rpartition("/")[2])
    schema: dict[str, Any] = {
        "name": name,
        "properties": {**whole["properties"], **read_only},
        "required": whole.get("required", []),
        "additionalProperties": False,
    }
    return {**schema, "definitions": definitions} if definitions else schema


def _collection(name: str, item: dict[str, Any], *, mapping: bool = False) -> dict[str, Any]:
    definitions = item.get("definitions", {})
    plain = {key: value for key, value in item.items() if key not in ("definitions", "name")}
    inner: dict[str, Any] = {"type": "array", "items": plain}
    if mapping:
        inner = {"type": "object", "additionalProperties": plain}
    names = {each: {"type": "string"} for each in ("first", "next", "schema")}
    links = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}]
    schema = {"name": name, "properties": {name: inner, **names}, "links": links}
    return {**schema, "definitions": definitions} if definitions else schema


_NAMESPACE = _schema("namespace", shapes.NewNamespace, {**_TIMES, **_LINKS})
_OBJECT = _schema("object", shapes.Object, {**_TIMES, **_LINKS})
_PROPERTY = _schema("property", shapes.NamedProperty, {})
_TAG = _schema("tag", shapes.Tag, _TIMES)
_ASSOCIATION = _schema("resource_type_association", shapes.Association, _TIMES)

SCHEMAS = {
    "namespace": _NAMESPACE,
    "namespaces": _collection("namespaces", _NAMESPACE),
    "object": _OBJECT,
    "objects": _collection("objects", _OBJECT),
    "property": _PROPERTY,
    "properties": _collection("properties", _PROPERTY, mapping=True),
    "tag": _TAG,
    "tags": _collection("tags", _TAG),
    "resource_type": _ASSOCIATION,
    "resource_types": _collection("resource_type_associations", _ASSOCIATION),
}


def _serve(name: str, schema: dict[str, Any]) -> None:
    async def show(call: Call) -> dict[str, Any]:
        """The JSON schema."""
        return schema

    routes.add("GET", f"/schemas/metadefs/{name}", policy=AUTHENTICATED, answers=SchemaAnswer)(show)


for _name, _each in SCHEMAS.items():
    _serve(_name, _each)
