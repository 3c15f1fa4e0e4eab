"""What statuses are called."""

from __future__ import annotations

from http import HTTPStatus

_OF_OLD = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}
"""RFC 9110 renamed these, and Python 3.13 with it; the APIs did not."""


def reason(status: int) -> str:
    """The phrase that APIs and their clients know it by. Raises ValueError for a status that has none."""
    return _OF_OLD.get(status) or HTTPStatus(status).phrase
