"""JSON schemas of images and members, made from the declarations."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.services.image.api.image import READ_ONLY, Image
from pileus.services.image.domain import MEMBER_STATES, TaskStatus

routes = Routes()


def image_schema() -> dict[str, Any]:
    """The schema of one image; whatever else is text is a property of the user's own."""
    described: dict[str, Any] = {}
    for each in Image.fields.values():
        schema = msgspec.json.schema(each.type)
        if "anyOf" in schema:
            kinds = schema.pop("anyOf")
            schema = {name: value for kind in kinds for name, value in kind.items()}
            schema["type"] = [kind["type"] for kind in kinds if "type" in kind]
        if each.name in READ_ONLY:
            schema["readOnly"] = True
        described[each.wire] = schema
    return {
        "name": "image",
        "properties": described,
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


class SchemaAnswer(msgspec.Struct, rename="camel"):
    """A JSON schema, with the name of what it describes."""

    name: str
    properties: dict[str, dict[str, Any]]
    required: list[str] | UnsetType = UNSET
    additional_properties: bool | dict[str, str] | UnsetType = UNSET
    links: list[dict[str, str]] | UnsetType = UNSET
    definitions: dict[str, dict[str, Any]] | UnsetType = UNSET


MEMBER = {
    "name": "member",
    "properties": {
        "image_id": {"type": "string"},
        "member_id": {"type": "string"},
        "status": {"type": "string", "enum": list(MEMBER_STATES)},
        "created_at": {"type": "string"},
        "updated_at": {"type": "string"},
        "schema": {"type": "string", "readOnly": True},
    },
}


def _collection(plural: str, item: dict[str, Any]) -> dict[str, Any]:
    array = {"type": "array", "items": item}
    links = [
        {"rel": rel, "href": f"{{{rel if rel != 'describedby' else 'schema'}}}"}
        for rel in ("first", "next", "describedby")
    ]
    names = {"first": {"type": "string"}, "next": {"type": "string"}, "schema": {"type": "string"}}
    return {"name": plural, "properties": {plural: array, **names}, "links": links}


TASK = {
    "name": "task",
    "properties": {
        **{
            name: {"type": "string", "readOnly": True}
            for name in ("id", "owner", "message", "self", "schema")
        },
        **{name: {"type": "string", "readOnly": True} for name in ("image_id", "request_id", "user_id")},
        **{name: {"type": "string"} for name in ("created_at", "updated_at", "expires_at")},
        "type": {"type": "string", "enum": ["import", "api_image_import", "location_import"]},
        "status": {"type": "string", "enum": [each.value for each in TaskStatus]},
        "input": {"type": ["null", "object"]},
        "result": {"type": ["null", "object"]},
    },
}

SCHEMAS = {
    "task": TASK,
    "tasks": _collection("tasks", TASK),
    "image": image_schema(),
    "images": _collection("images", image_schema()),
    "member": MEMBER,
    "members": _collection("members", MEMBER),
}


def _serve(name: str, schema: dict[str, Any]) -> None:
    async def show(call: Call) -> dict[str, Any]:
        """The JSON schema."""
        return schema

    routes.add("GET", f"/schemas/{name}", policy=AUTHENTICATED, answers=SchemaAnswer)(show)


for _name, _schema in SCHEMAS.items():
    _serve(_name, _schema)
