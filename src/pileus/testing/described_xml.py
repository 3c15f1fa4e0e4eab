"""XML as the JSON that its schema means (OpenAPI 3.1, "XML Object"), for whoever holds one to the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

Schema = Mapping[str, Any]
_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
}


def schema_of(root: str, schema: Schema) -> Schema | None:
    """The one of several schemas that is of documents with this outermost element."""
    return next((each for each in schema.get("anyOf", [schema]) if each["xml"]["name"] == root), None)


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def as_json(element: ElementTree.Element, schema: Schema, components: Schema) -> Any:
    """Raises ValueError or KeyError for text that is no value of the schema's type. Lists without an element are empty; of
    what has no schema only the text counts."""
    schema = _whole(schema, components)
    if schema.get("type") != "object":
        return _READ.get(schema.get("type", ""), str)(element.text or "")
    known = {name: _whole(each, components) for name, each in schema.get("properties", {}).items()}
    found: dict[str, Any] = {name: [] for name, each in known.items() if each.get("type") == "array"}
    for name, value in element.attrib.items():
        found[next((each for each in known if each == f"@{local(name)}"), name)] = value
    for child in element:
        name = local(child.tag)
        if name in found and isinstance(found[name], list):
            found[name].append(as_json(child, known[name]["items"], components))
        else:
            found[name] = as_json(child, known.get(name, {}), components)
    return found


def _whole(schema: Schema, components: Schema) -> Schema:
    """What is referred to, and what a value is where it is not null."""
    if "$ref" in schema:
        return _whole(components["schemas"][schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return _whole(next(each for each in schema["anyOf"] if each.get("type") != "null"), components)
    return schema
