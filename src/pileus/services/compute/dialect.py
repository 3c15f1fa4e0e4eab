"""How the compute API writes things down."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.dialect import Dialect
from pileus.kernel.api.links import next_link_list
from pileus.kernel.errors import ApiError

KINDS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""The name that an error's envelope has, by status."""


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    return {KINDS.get(error.status, "computeFault"): {"code": error.status, "message": error.message}}


NOVA = Dialect(
    name="nova",
    envelope=envelope,
    loose_types=True,
    links=next_link_list,
    page_limit=1000,
    marker_status=400,
    over_quota_status=403,
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
)
