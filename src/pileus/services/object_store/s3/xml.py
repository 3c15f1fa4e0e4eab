"""S3's documents, written and read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Union
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.s3.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
MAX_BYTES = 2 * 1024 * 1024

Value = Union[str, int, bool, None, "Elements"]
Elements = Sequence[tuple[str, Value]]
"""Elements in order, by name; those whose value is None are left out."""


def text(value: str) -> str:
    """As a document may hold it: what XML has no way to write becomes a question mark."""
    if not value.isprintable():
        value = "".join(
            each
            if each in "\t\n" or (each >= " " and each not in "\ufffe\uffff")
            else "&#x0D;"
            if each == "\r"
            else "?"
            for each in escape(value)
        )
        return value.encode("utf-8", "replace").decode()
    return escape(value)


def render(elements: Elements) -> str:
    return "".join(_element(name, value) for name, value in elements if value is not None)


def _element(name: str, value: Value) -> str:
    if isinstance(value, str):
        inner = text(value)
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    elif isinstance(value, int):
        inner = str(value)
    else:
        inner = render(value or ())
    return f"<{name}>{inner}</{name}>"


def document(root: str, elements: Elements, *, namespace: bool = True) -> bytes:
    attribute = f' xmlns="{NAMESPACE}"' if namespace else ""
    return HEAD + f"<{root}{attribute}>{render(elements)}</{root}>".encode()


def reply(root: str, elements: Elements, status: int = 200) -> Reply:
    return Reply(status, document(root, elements), {"content-type": "application/xml"})


class Node:
    """An element that was read; names are without their namespace."""

    __slots__ = ("_element",)

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        return self._element.tag.rpartition("}")[2]

    @property
    def text(self) -> str:
        return self._element.text or ""

    def attribute(self, name: str) -> str | None:
        """By its name without namespace, as `type`."""
        for key, value in self._element.attrib.items():
            if key.rpartition("}")[2] == name:
                return value
        return None

    def children(self, name: str | None = None) -> list[Node]:
        found: Iterable[Node] = (Node(each) for each in self._element if isinstance(each.tag, str))
        return [each for each in found if name is None or each.name == name]

    def child(self, name: str) -> Node | None:
        found = self.children(name)
        return found[0] if found else None

    def value(self, name: str) -> str | None:
        """The text of a child; None where there is no such child."""
        found = self.child(name)
        return None if found is None else found.text


def malformed(why: str = "") -> S3Error:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return S3Error("MalformedXML", f"{message}: {why}" if why else message)


def read(body: bytes, root: str) -> Node:
    """The document's root, which must have this name. A document type is refused: it can only do harm."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise malformed("it has a document type")
    try:
        element = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise malformed(str(error)) from error
    node = Node(element)
    if node.name != root:
        raise malformed(f"its root is {node.name[:60]}, not {root}")
    return node
