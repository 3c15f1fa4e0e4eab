"""Bodies: from bytes to the struct that the declaration describes, or a 400 that names what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from pileus.kernel.api.dialect import Dialect
from pileus.kernel.api.fields import Field, Use, body_type, declared_fields
from pileus.kernel.api.operation import Kind, Operation
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.versions import Version
from pileus.kernel.errors import BadRequest

_USES = {Kind.CREATE: Use.create, Kind.UPDATE: Use.update}
_types: dict[Any, type[msgspec.Struct]] = {}
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_PLACE = re.compile(r"^(.*) - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)


def struct_for(resource: type[Resource], kind: Kind, version: Version | None) -> type[msgspec.Struct]:
    """The struct of a create or update body at a version; made once for each set of fields."""
    use = _USES[kind]
    fields = [each for each in resource.fields.values() if use in each.use]
    name = f"{resource.__name__}{use.name.title() if use.name else ''}"
    return _struct(resource, name, fields, use, version, extras=resource.extras is not None)


class Body:
    """A body that isn't made from a resource's fields, whose names come and go with versions.

        class CreateServer(Body, wrapper="server"):
            name: Name = field(required=True)
            description: Text255 | None = field(since=V.DESCRIPTION)

    Given as an operation's `body`; handlers get a struct whose absent names are UNSET (or the field's default).
    """

    fields: ClassVar[list[Field]]
    wrapper: ClassVar[str | None]
    """The name in the request under which the fields stand."""
    beside: ClassVar[type[Body] | None]
    """Names that may stand next to the wrapper; then handlers get `value` and these."""

    def __init_subclass__(cls, *, wrapper: str | None = None, beside: type[Body] | None = None) -> None:
        fields: dict[str, Field] = {}
        for base in reversed(cls.__mro__):
            fields.update(declared_fields(base))
        cls.fields = list(fields.values())
        cls.wrapper, cls.beside = wrapper, beside

    @classmethod
    def at(cls, version: Version | None) -> type[msgspec.Struct]:
        """The struct at a version; made once for each set of fields."""
        return _struct(cls, cls.__name__, cls.fields, Use.create, version)

    @classmethod
    def decode(cls, dialect: Dialect, version: Version | None, raw: bytes) -> Any:
        inner = cls.at(version)
        if cls.wrapper is None or cls.beside is None:
            return decode_as(inner, dialect, raw, cls.wrapper)
        key = (cls, inner)
        whole = _types.get(key)
        if whole is None:
            others = [each for each in cls.beside.fields if each.alive(version)]
            wrapped = Field(Use.create, required=True, wire=cls.wrapper, name="value", type=inner)
            whole = _types[key] = body_type(cls, cls.__name__, [wrapped, *others], Use.create)
        return decode_as(whole, dialect, raw)


def _struct(
    declared: type, name: str, fields: list[Field], use: Use, version: Version | None, *, extras: bool = False
) -> type[msgspec.Struct]:
    alive = [each for each in fields if each.alive(version)]
    # Two fields of one name may follow each other through the versions, so names alone are no key.
    kept = (declared, use, tuple(id(each) for each in alive))
    found = _types.get(kept)
    if found is None:
        found = _types[kept] = body_type(declared, name, alive, use, extras=extras)
    return found


def decode_body(kind: Any, dialect: Dialect, version: Version | None, raw: bytes) -> Any:
    """`raw` as `kind`, a Body or any type that msgspec decodes."""
    if isinstance(kind, type) and issubclass(kind, Body):
        return kind.decode(dialect, version, raw)
    return decode_as(kind, dialect, raw)


def decode(operation: Operation, dialect: Dialect, version: Version | None, raw: bytes) -> Any:
    """The body of a create, update or route; a list of them where the client makes several at once."""
    resource = operation.resource
    kind = operation.body
    if kind is None:
        assert resource is not None
        kind = struct_for(resource, operation.kind, version)
        if dialect.wrapped:
            if operation.kind is Kind.CREATE and dialect.bulk and _is_bulk(raw, resource.collection):
                return [
                    decode_as(kind, dialect, one, None if bare else resource.member, operation)
                    for one, bare in _bulk_items(raw, resource)
                ]
            body = decode_as(kind, dialect, raw, resource.member, operation)
        else:
            body = decode_as(kind, dialect, raw)
        if resource.extras is not None:
            body.extra = _extras(resource, _USES[operation.kind], raw, wrapped=dialect.wrapped)
        return body
    return decode_body(kind, dialect, version, raw)


def _extras(resource: type[Resource], use: Use, raw: bytes, *, wrapped: bool) -> dict[str, Any]:
    """What the client sent beyond the declared fields; what it may not set is left out, or refused."""
    sent = msgspec.json.decode(raw)
    if wrapped:
        sent = sent[resource.member]
    declared = {each.wire for each in resource.fields.values()}
    settable = {each.wire for each in resource.fields.values() if use in each.use}
    resource.refuse_read_only([name for name in sent if name in declared - settable])
    return {name: value for name, value in sent.items() if name not in declared}


def decode_as(
    kind: Any, dialect: Dialect, raw: bytes, wrapper: str | None = None, operation: Operation | None = None
) -> Any:
    """`raw` as `kind`, below the name `wrapper` where given; `operation` helps to say what is wrong."""
    key = (kind, wrapper, dialect.name)
    decoder = _decoders.get(key)
    if decoder is None:
        whole = kind
        if wrapper is not None:
            whole = msgspec.defstruct(
                "Body",
                [("value", kind)],
                rename={"value": wrapper},
                forbid_unknown_fields=not dialect.loose_envelope,
            )
        decoder = _decoders[key] = msgspec.json.Decoder(whole, strict=not dialect.loose_types)
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise BadRequest(_explain(str(error), dialect, operation)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"Malformed request body: {error}") from error
    if b"\\u0000" in raw:
        raise BadRequest("The body has text with a NUL character.")
    return value.value if wrapper is not None else value


def decode_action(raw: bytes, dialect: Dialect) -> tuple[str, bytes]:
    """The name and the still encoded body of `{"os-start": …}`."""
    body: dict[str, msgspec.Raw] = decode_as(dict[str, msgspec.Raw], dialect, raw)
    if len(body) != 1:
        raise BadRequest("The body must have exactly one name, that of the action.")
    ((name, value),) = body.items()
    return name, bytes(value)


def _bulk_items(raw: bytes, resource: type[Resource]) -> Iterator[tuple[bytes, bool]]:
    """Each of several bodies, and whether it is bare or, as old clients send it, below the member's name."""
    try:
        several = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[resource.collection]
        items = msgspec.json.decode(several, type=list[msgspec.Raw])
        if not items:
            raise BadRequest(f"Resources required: the list of {resource.collection} is empty.")
        for item in items:
            names = msgspec.json.decode(item, type=dict[str, msgspec.Raw])
            yield bytes(item), list(names) != [resource.member]
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"Invalid input: {resource.collection} must be a list of objects ({error})."
        ) from error


def _is_shown(operation: Operation, name: str) -> bool:
    fields = operation.resource.fields.values() if operation.resource is not None else ()
    return any(each.wire == name for each in fields)


def _is_bulk(raw: bytes, collection: str) -> bool:
    try:
        names = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return collection in names


def _explain(message: str, dialect: Dialect, operation: Operation | None) -> str:
    if (unknown := _UNKNOWN.search(message)) is not None:
        name = unknown.group(1)
        if dialect.read_only_field is not None and operation is not None and _is_shown(operation, name):
            return dialect.read_only_field(name, operation.method)
        return dialect.unknown_fields([unknown.group(1)])
    if (missing := re.search(r"missing required field `(.*?)`", message)) is not None:
        return f"Invalid input: {missing.group(1)!r} is a required property"
    if (placed := _PLACE.match(message)) is not None:
        what, where = placed.groups()
        what = what.replace("`", "")
        return f"Invalid input for field/attribute {where or 'body'}. {what}."
    return f"Invalid input: {message.replace('`', '')}."
