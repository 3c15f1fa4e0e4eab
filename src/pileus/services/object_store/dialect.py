"""How Swift writes things down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape

from pileus.kernel.api.dialect import Dialect
from pileus.kernel.errors import ApiError


def page(error: ApiError) -> tuple[str, bytes]:
    """Errors are small pages, for people."""
    text = f"<html><h1>{escape(error.title)}</h1><p>{escape(error.message)}</p></html>"
    return "text/html; charset=UTF-8", text.encode("utf-8", "replace")


def stamps(request_id: str) -> Mapping[str, str]:
    """`X-Trans-Id`: 21 hexadecimal digits that stand for the request, and the time."""
    digits = "".join(each for each in request_id if each in "0123456789abcdef")
    return {"x-trans-id": f"tx{digits[-21:]:0>21}-{int(time.time()):010x}"}


SWIFT = Dialect(
    name="swift",
    envelope=lambda error, request_id: {"error": error.message},
    page=page,
    stamps=stamps,
    challenge={"www-authenticate": 'Swift realm="unknown"'},
)
