"""Tags of buckets and of objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import documents
from pileus.services.object_store.s3.errors import S3Error

MAX_OBJECT_TAGS, MAX_BUCKET_TAGS = 10, 50
MAX_KEY, MAX_VALUE = 128, 256
"""Characters."""
_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*")
Tags = Mapping[str, str]


class Tag(Document):
    key: str
    value: str


class TagSet(Document):
    tag: list[Tag] = []


class Tagging(Document):
    tag_set: TagSet


def checked(pairs: Iterable[tuple[str, str]], limit: int) -> dict[str, str]:
    """400 InvalidTag where they are too long, doubled or reserved; 400 BadRequest where they are too many."""
    found: dict[str, str] = {}
    for key, value in pairs:
        if not 1 <= len(key) <= MAX_KEY or not _ALLOWED.fullmatch(key):
            raise S3Error("InvalidTag", f"The TagKey you have provided is invalid: {key[:MAX_KEY]}")
        if len(value) > MAX_VALUE or not _ALLOWED.fullmatch(value):
            raise S3Error("InvalidTag", f"The TagValue you have provided is invalid: {value[:MAX_VALUE]}")
        if key.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester")
        if key in found:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
        found[key] = value
    if len(found) > limit:
        what = "Object tags" if limit == MAX_OBJECT_TAGS else "Bucket tag count"
        raise S3Error("BadRequest", f"{what} cannot be greater than {limit}")
    return found


def from_header(value: str) -> dict[str, str]:
    """`x-amz-tagging` of an object: a query string. 400 where it is none."""
    try:
        pairs = parse_qsl(value, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise S3Error("InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded "
                      "URL query parameters without tag name duplicates.") from error  # fmt: skip
    return checked(pairs, MAX_OBJECT_TAGS)


def from_xml(body: bytes, limit: int) -> dict[str, str]:
    given = documents.read(body, Tagging, "Tagging")
    return checked(((each.key, each.value) for each in given.tag_set.tag), limit)


def facts(tags: Tags) -> dict[str, list[str]]:
    """What policies see of a request that brings them, by condition key."""
    return {
        "s3:requestobjecttagkeys": list(tags),
        **{f"s3:requestobjecttag/{key.lower()}": [value] for key, value in tags.items()},
    }


def stored(tags: Tags) -> str:
    """As it is kept; empty where there are none."""
    return urlencode(list(tags.items()))


def load(kept: str | None) -> dict[str, str]:
    return dict(parse_qsl(kept, keep_blank_values=True)) if kept else {}


def document(tags: Tags) -> Tagging:
    return Tagging(tag_set=TagSet(tag=[Tag(key=key, value=value) for key, value in sorted(tags.items())]))
