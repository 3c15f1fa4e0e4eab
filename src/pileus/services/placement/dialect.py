"""How Placement writes things down."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.dialect import Dialect
from pileus.kernel.errors import ApiError

UNDEFINED = "placement.undefined_code"

# Codes that clients act on (api-ref, "Errors").
CONCURRENT_UPDATE = "placement.concurrent_update"
INVENTORY_IN_USE = "placement.inventory.inuse"
DUPLICATE_NAME = "placement.duplicate_name"
PROVIDER_IN_USE = "placement.resource_provider.inuse"
PROVIDER_HAS_CHILDREN = "placement.resource_provider.cannot_delete_parent"
PROVIDER_NOT_FOUND = "placement.resource_provider.not_found"
QUERY_DUPLICATE = "placement.query.duplicate_key"
QUERY_BAD_VALUE = "placement.query.bad_value"
QUERY_MISSING = "placement.query.missing_value"


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """`{"errors": [{status, title, detail, code, request_id}]}`."""
    return {
        "errors": [
            {
                "status": error.status,
                "title": error.title,
                "detail": error.message,
                "code": error.kind if error.kind.startswith("placement.") else UNDEFINED,
                "request_id": request_id,
            }
        ]
    }


PLACEMENT = Dialect(
    name="placement", envelope=envelope, wrapped=False, policy_before_existence=True, json_only=True
)
