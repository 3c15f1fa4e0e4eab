"""How Neutron's API writes things down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pileus.kernel.api.dialect import Dialect, any_of
from pileus.kernel.api.links import next_and_previous
from pileus.kernel.errors import ApiError

_TYPES: Final = {"BadRequest": "HTTPBadRequest", "NotFound": "HTTPNotFound", "Conflict": "HTTPConflict"}
"""Upstream's names for errors that no exception of Neutron's own stands behind."""


def _envelope(error: ApiError, request_id: str) -> Mapping[str, Any]:
    kind = _TYPES.get(error.kind, error.kind)
    return {"NeutronError": {"type": kind, "message": error.message, "detail": ""}}


def _unknown(names: list[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"Unrecognized attribute(s) {quoted}"


NEUTRON: Final = Dialect(
    name="neutron",
    envelope=_envelope,
    loose_types=True,
    loose_envelope=True,
    bulk=True,
    predicates=any_of,
    reject_unknown_filters=True,
    links=next_and_previous,
    page_limit=100_000,
    marker_status=404,
    over_quota_status=409,
    unknown_fields=_unknown,
    read_only_field=lambda name, method: f"Attribute '{name}' not allowed in {method}",
    challenge={"WWW-Authenticate": "Keystone uri='/identity'"},
)
