"""S3's documents, written and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union
from xml.sax.saxutils import escape

from pileus.kernel.api.answer import Media
from pileus.kernel.http.reply import Reply
from pileus.lib import xml_document
from pileus.services.object_store.s3.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
TYPE = "application/xml"
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
MAX_BYTES = 2 * 1024 * 1024
MAX_ELEMENTS = 100_000
"""An upload of ten thousand parts has several for each."""

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


def media(root: str, content: str = "object") -> Media:
    """What `reply` answers, as descriptions have it; `content` "string" is text alone."""
    return Media(TYPE, {"type": content, "xml": {"name": root, "namespace": NAMESPACE}})


def reply(root: str, elements: Elements, status: int = 200) -> Reply:
    return Reply(status, document(root, elements), {"content-type": TYPE})


Node = xml_document.Element
"""An element that was read."""


def malformed(why: str = "") -> S3Error:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return S3Error("MalformedXML", f"{message}: {why}" if why else message)


def read(body: bytes, root: str) -> Node:
    """The document's root, which must have this name. A document type is refused: it can only do harm."""
    try:
        return xml_document.read(body, root, most=MAX_ELEMENTS)
    except xml_document.XmlError as error:
        raise malformed(str(error)) from error
