"""What clients send of metadata definitions (Image API v2, metadata definition schemas)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Text80 = Annotated[str, Meta(max_length=80)]
Name80 = Annotated[str, Meta(min_length=1, max_length=80)]
Name255 = Annotated[str, Meta(min_length=1, max_length=255)]
Count = Annotated[int, Meta(ge=0)]
ValueType = Literal["array", "boolean", "integer", "number", "object", "string"]
Visibility = Literal["public", "private"]


class Items(msgspec.Struct, omit_defaults=True):
    type: ValueType | UnsetType = UNSET
    enum: list[Any] | UnsetType = UNSET


class Property(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A property as it stands in an object or a namespace, below its name."""

    title: str
    type: ValueType | None
    name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    operators: list[str] | UnsetType = UNSET
    required: list[str] | UnsetType = UNSET
    minimum: float | int | UnsetType = UNSET
    maximum: float | int | UnsetType = UNSET
    maxLength: Count | UnsetType = UNSET
    minLength: Count | UnsetType = UNSET
    pattern: str | UnsetType = UNSET
    enum: list[Any] | UnsetType = UNSET
    readonly: bool | UnsetType = UNSET
    default: Any = UNSET
    items: Items | UnsetType = UNSET
    maxItems: Count | UnsetType = UNSET
    minItems: Count | UnsetType = UNSET
    uniqueItems: bool | UnsetType = UNSET
    additionalItems: bool | UnsetType = UNSET


class NamedProperty(Property, kw_only=True):
    """A property by itself."""

    name: Name255


class Object(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    name: Name255
    description: str | UnsetType = UNSET
    properties: dict[Name255, Property] | UnsetType = UNSET
    required: list[str] | UnsetType = UNSET
    # What an answer has is taken back, and means nothing.
    schema: str | UnsetType = UNSET
    self: str | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET


class Tag(msgspec.Struct, forbid_unknown_fields=True):
    name: Name255


class Tags(msgspec.Struct, forbid_unknown_fields=True):
    tags: list[Tag]


class Association(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    name: Name80
    prefix: Text80 | UnsetType = UNSET
    properties_target: Text80 | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET


class ChangedNamespace(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    namespace: Name80
    display_name: Text80 | None = None
    description: Annotated[str, Meta(max_length=500)] | None = None
    visibility: Visibility = "private"
    protected: bool = False
    owner: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    schema: str | UnsetType = UNSET
    self: str | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET


class NewNamespace(ChangedNamespace, kw_only=True):
    resource_type_associations: list[Association] = []
    properties: dict[Name255, Property] = {}
    objects: list[Object] = []
    tags: list[Tag] = []


def kept(shape: msgspec.Struct) -> dict[str, Any]:
    """What is kept of an item: all that was said but the name, and what only answers have."""
    said = msgspec.to_builtins(shape)
    return {
        name: value
        for name, value in said.items()
        if name not in ("name", "schema", "self", "created_at", "updated_at")
    }
