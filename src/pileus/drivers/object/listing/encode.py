"""Rows in the forms that clients ask for, and what stands around them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from pileus.drivers.object.listing.select import Folded, Row, Table
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.listings import Form


def entries(table: Table, found: Iterable[Row | Folded], form: Form) -> bytes:
    """As `select.whole` has them."""
    if form == "plain":
        return "".join(f"{row[0]}\n" for row in found).encode()
    names = tuple(name for name, _ in table.fields)
    if form == "json":
        items = [{"subdir": row.name} if isinstance(row, Folded) else _item(names, row) for row in found]
        return msgspec.json.encode(items)[1:-1]
    parts = []
    for row in found:
        if isinstance(row, Folded):
            parts.append(f"<subdir name={quoteattr(row.name)}><name>{escape(row.name)}</name></subdir>")
            continue
        fields = "".join(
            f"<{name}>{escape(str(value))}</{name}>" for name, value in _item(names, row).items()
        )
        parts.append(f"<{table.item}>{fields}</{table.item}>")
    return "".join(parts).encode()


def around(parts: Iterable[bytes], form: Form, kind: str, root: str) -> bytes:
    """A whole list; `root` is the name of the account or container, `kind` which of them, that is listed."""
    if form == "json":
        return b"[" + b", ".join(part for part in parts if part) + b"]"
    body = b"".join(parts)
    if form == "plain":
        return body
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} name={quoteattr(root)}>'
    return head.encode("utf-8", "replace") + body + f"</{kind}>".encode()


def _item(names: tuple[str, ...], row: Row) -> dict[str, Any]:
    item: dict[str, Any] = dict(zip(names, row, strict=True))
    item["last_modified"] = Timestamp(item["last_modified"]).iso
    return item
