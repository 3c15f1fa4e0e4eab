"""XML documents as structs: small bodies of requests and answers, read without entities and without surprises.

A struct's fields are elements, by their encoded names; a list is the element repeated; a field whose name begins with `@`
is an attribute, by its local name. Namespaces are not told apart. A document type declaration is refused, so nothing can
be expanded or fetched; depth and number of elements have limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec

MAX_DEPTH = 32
MAX_ELEMENTS = 20_000
T = TypeVar("T", bound=msgspec.Struct)
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\r\x0e-\x1f\ufffe\uffff]")


class XmlError(ValueError):
    """It is no XML, or not the document that is wanted; the message says why."""


class Document(msgspec.Struct, rename="pascal", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An element with children. `Id` is `id`; other spellings are named with `msgspec.field(name="ID")`."""


class Element:
    """An element as it was read; names are without their namespace."""

    __slots__ = ("attributes", "elements", "name", "pieces")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name, self.attributes = name, attributes
        self.elements: list[Element] = []
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        """What stands in it beside elements."""
        return "".join(self.pieces)

    def children(self, name: str) -> list[Element]:
        return [each for each in self.elements if each.name == name]

    def child(self, name: str) -> Element | None:
        """The first of that name."""
        return next((each for each in self.elements if each.name == name), None)

    def value(self, name: str) -> str | None:
        """The text of a child; None where there is no such child."""
        found = self.child(name)
        return None if found is None else found.text


class _Field(NamedTuple):
    name: str
    attribute: bool
    repeated: bool
    kind: Any
    """Of the element, or of each."""


def decode(body: bytes, kind: type[T], root: str) -> T:
    """The document, whose outermost element must be `root`. Raises XmlError."""
    element = read(body, root)
    try:
        return msgspec.convert(_plain(element, kind), kind, strict=False)
    except msgspec.ValidationError as error:
        raise XmlError(str(error)) from error


def read(body: bytes, root: str, *, most: int = MAX_ELEMENTS) -> Element:
    """The outermost element, which must be `root`. Raises XmlError."""
    element = _parse(body, most)
    if element.name != root:
        raise XmlError(f"the outermost element is {element.name[:60]!r}, not {root!r}")
    return element


def encode(document: msgspec.Struct, root: str, namespace: str) -> bytes:
    """The document in UTF-8, with declaration; fields that are None are left out, and those that have their
    default unless the struct says `omit_defaults=False`."""
    text = "".join(_written(root, document, f' xmlns="{namespace}"'))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode("utf-8", "replace")


def text(value: str) -> str:
    """Text as it stands between elements; what XML has no way to write becomes a character reference."""
    return _CONTROL.sub(lambda found: f"&#x{ord(found[0]):x};", escape(value))


def _parse(body: bytes, most: int) -> Element:
    parser = expat.ParserCreate(namespace_separator=" ")
    outermost = Element("", {})
    path, seen = [outermost], 0

    def refuse(*_: Any) -> None:
        raise XmlError("a document type declaration is not allowed")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal seen
        seen += 1
        if len(path) > MAX_DEPTH or seen > most:
            raise XmlError(f"more than {most} elements, or more than {MAX_DEPTH} in each other")
        local = {each.rpartition(" ")[2]: value for each, value in attributes.items()}
        element = Element(name.rpartition(" ")[2], local)
        path[-1].elements.append(element)
        path.append(element)

    def end(_: str) -> None:
        path.pop()

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda data: path[-1].pieces.append(data)
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise XmlError(f"it is no well-formed XML: {error}") from error
    except (ValueError, LookupError) as error:  # an encoding that nobody knows
        raise XmlError(str(error)) from error
    return outermost.elements[0]


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct]) -> dict[str, _Field]:
    found = {}
    for field in msgspec.structs.fields(kind):
        inner, repeated = _bare(field.type), False
        if get_origin(inner) is list:
            inner, repeated = _bare(get_args(inner)[0]), True
        name = field.encode_name
        found[name] = _Field(name.removeprefix("@"), name.startswith("@"), repeated, inner)
    return found


def _bare(kind: Any) -> Any:
    """A type without its None."""
    if get_origin(kind) in (Union, UnionType):
        rest = [each for each in get_args(kind) if each is not NoneType]
        return rest[0] if len(rest) == 1 else kind
    return kind


def _plain(element: Element, kind: Any) -> Any:
    """An element as msgspec takes it: an object, or a text."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        if element.elements:
            raise XmlError(f"the element {element.name} holds text, no elements")
        return element.text if kind is str else element.text.strip()
    if element.text.strip():
        raise XmlError(f"the element {element.name} holds elements, no text")
    fields = _fields(kind)
    found: dict[str, Any] = {}
    for child in element.elements:
        field = fields.get(child.name)
        if field is None or field.attribute:
            raise XmlError(f"the element {element.name} has none called {child.name}")
        value = _plain(child, field.kind)
        if field.repeated:
            found.setdefault(child.name, []).append(value)
        elif child.name in found:
            raise XmlError(f"the element {child.name} stands twice in {element.name}")
        else:
            found[child.name] = value
    for key, field in fields.items():
        if field.attribute and field.name in element.attributes:
            found[key] = element.attributes[field.name]
    return found


def _written(name: str, value: Any, attributes: str = "") -> Iterator[str]:
    if not isinstance(value, msgspec.Struct):
        yield f"<{name}{attributes}>{text(_scalar(value))}</{name}>"
        return
    inside: list[str] = []
    omits = value.__struct_config__.omit_defaults
    for field, described in zip(msgspec.structs.fields(value), _fields(type(value)).values(), strict=True):
        each = getattr(value, field.name)
        if each is None or (omits and each == field.default and not field.required):
            continue
        if described.attribute:
            quoted = text(str(each)).replace('"', "&quot;")
            attributes += f' xmlns:xsi="{_XSI}" xsi:{described.name}="{quoted}"'
        elif described.repeated:
            for one in each:
                inside.extend(_written(described.name, one))
        else:
            inside.extend(_written(described.name, each))
    yield f"<{name}{attributes}>"
    yield from inside
    yield f"</{name}>"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return str(value)
