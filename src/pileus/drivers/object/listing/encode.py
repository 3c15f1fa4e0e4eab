"""Rows in the forms that clients ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from pileus.drivers.object.listing.select import OBJECTS, Folded, Row, Table
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import Form

_OBJECT = ("name", "hash", "bytes", "content_type", "last_modified")
_CONTAINER = ("name", "count", "bytes", "last_modified")


def encode(table: Table, found: Iterable[Row | Folded], form: Form, root: str) -> bytes:
    """`root` is the name of the account or container that is listed."""
    if form == "plain":
        return "".join(f"{row[0]}\n" for row in found).encode()
    names = _OBJECT if table is OBJECTS else _CONTAINER
    if form == "json":
        return msgspec.json.encode(
            [{"subdir": row.name} if isinstance(row, Folded) else _item(names, row) for row in found]
        )
    outer, inner = ("container", "object") if table is OBJECTS else ("account", "container")
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<{outer} name={quoteattr(root)}>']
    for row in found:
        if isinstance(row, Folded):
            parts.append(f"<subdir name={quoteattr(row.name)}><name>{escape(row.name)}</name></subdir>")
            continue
        fields = "".join(
            f"<{name}>{escape(str(value))}</{name}>" for name, value in _item(names, row).items()
        )
        parts.append(f"<{inner}>{fields}</{inner}>")
    parts.append(f"</{outer}>")
    return "".join(parts).encode("utf-8", "replace")


def _item(names: tuple[str, ...], row: Row) -> dict[str, Any]:
    item: dict[str, Any] = dict(zip(names, row, strict=True))
    item["last_modified"] = Timestamp(item["last_modified"]).iso
    return item
