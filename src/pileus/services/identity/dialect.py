"""How Keystone writes things down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.kernel.api.dialect import Dialect, iso_micro_z
from pileus.kernel.api.links import self_next_previous
from pileus.kernel.errors import ApiError

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"error": {"code": 404, "message": …, "title": "Not Found"}}`."""
    return {"error": {"code": error.status, "message": error.message, "title": error.title}}


def list_limit(call: Call) -> int | None:
    """What operators have set."""
    limit: int | None = call.runtime.state.settings.list_limit
    return limit


KEYSTONE = Dialect(
    name="keystone",
    envelope=envelope,
    time=iso_micro_z,
    links=self_next_previous,
    policy_before_existence=True,
    loose_envelope=True,
    page_limit=10_000,
    default_page=list_limit,
    challenge={"www-authenticate": 'Keystone uri="/identity"'},
)
