"""S3's configurations as XML: read from requests, kept, and shown."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pileus.kernel.api.answer import Media
from pileus.kernel.http.reply import Reply
from pileus.lib import xml_document
from pileus.services.object_store.s3.xml import NAMESPACE, TYPE, malformed

T = TypeVar("T", bound=msgspec.Struct)


def read(body: bytes, kind: type[T], root: str) -> T:
    """400 MalformedXML where it is not the document that is wanted."""
    try:
        return xml_document.decode(body, kind, root)
    except xml_document.XmlError as error:
        raise malformed(str(error)) from error


def media(kind: type[msgspec.Struct], root: str) -> Media:
    """What `reply` answers, as descriptions have it."""
    return Media(TYPE, {"xml": {"name": root, "namespace": NAMESPACE}}, kind)


def kept(document: msgspec.Struct, root: str) -> str:
    """As settings of buckets keep it."""
    return xml_document.encode(document, root, NAMESPACE).decode()


def reply(document: msgspec.Struct, root: str, status: int = 200) -> Reply:
    body = xml_document.encode(document, root, NAMESPACE)
    return Reply(status, body, {"content-type": TYPE})


__all__ = ["NAMESPACE", "kept", "malformed", "read", "reply"]
