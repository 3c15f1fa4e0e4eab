"""How Swift writes things down."""

from __future__ import annotations

from html import escape

from pileus.kernel.api.dialect import Dialect, transaction_id
from pileus.kernel.errors import ApiError


def page(error: ApiError) -> tuple[str, bytes]:
    """Errors are small pages, for people."""
    text = f"<html><h1>{escape(error.title)}</h1><p>{escape(error.message)}</p></html>"
    return "text/html; charset=UTF-8", text.encode("utf-8", "replace")


SWIFT = Dialect(
    name="swift",
    envelope=lambda error, request_id: {"error": error.message},
    page=page,
    stamps=transaction_id,
    challenge={"www-authenticate": 'Swift realm="unknown"'},
)
