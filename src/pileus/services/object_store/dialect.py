"""How Swift writes things down."""

from __future__ import annotations

from html import escape

from pileus.kernel.api.dialect import Dialect, transaction_id
from pileus.kernel.errors import ApiError

_USUAL = frozenset(
    {
        "A precondition for this request was not met.",
        "Access was denied to this resource.",
        "The Range requested is not available.",
        "The resource could not be found.",
        "There was a conflict when trying to complete your request.",
        "This server could not verify that you are authorized to access it.",
    }
)
"""They say no more than the status."""


def page(error: ApiError) -> tuple[str, bytes]:
    """A reason is plain text, which clients show as it is; where there is none but the status, a small page for people."""
    if error.message not in _USUAL:
        return "text/plain; charset=UTF-8", error.message.encode("utf-8", "replace")
    text = f"<html><h1>{escape(error.title)}</h1><p>{escape(error.message)}</p></html>"
    return "text/html; charset=UTF-8", text.encode("utf-8", "replace")


SWIFT = Dialect(
    name="swift",
    envelope=lambda error, request_id: {"error": error.message},
    page=page,
    stamps=transaction_id,
    nul_names_nothing=False,
    challenge={"www-authenticate": 'Swift realm="unknown"'},
)
