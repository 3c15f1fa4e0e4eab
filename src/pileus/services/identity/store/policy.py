"""Stored policies, and for which endpoints they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx, rows
from pileus.services.identity.catalog_model import ANY, policies, policy_associations
from pileus.services.identity.model import endpoints, regions

Place = tuple[str, str, str]
"""Endpoint, service and region id of an association, ANY where not meant."""

_AT = (
    policy_associations.c.endpoint_id == bindparam("of_endpoint"),
    policy_associations.c.service_id == bindparam("of_service"),
    policy_associations.c.region_id == bindparam("of_region"),
)
_POLICY_AT = select(policy_associations.c.policy_id).where(*_AT)
_FORGET_AT = policy_associations.delete().where(*_AT)
_OF_POLICY = select(policy_associations).where(policy_associations.c.policy_id == bindparam("policy_id"))
_ENDPOINTS = select(endpoints).order_by(endpoints.c.id)


def _bound(place: Place) -> dict[str, str]:
    return dict(zip(("of_endpoint", "of_service", "of_region"), place, strict=True))


def policy_at(tx: Tx, place: Place) -> str | None:
    """The id of the policy that was put at just this place."""
    found = tx.scalars(_POLICY_AT, **_bound(place))
    return found[0] if found else None


def associate(tx: Tx, place: Place, policy_id: str) -> None:
    """Puts a policy at a place, instead of the one that was there."""
    tx.execute(_FORGET_AT, _bound(place))
    endpoint_id, service_id, region_id = place
    tx.execute(
        policy_associations.insert(),
        {
            "endpoint_id": endpoint_id,
            "service_id": service_id,
            "region_id": region_id,
            "policy_id": policy_id,
        },
    )


def dissociate(tx: Tx, place: Place) -> None:
    tx.execute(_FORGET_AT, _bound(place))


def forget(tx: Tx, **columns: str) -> None:
    """Drops the associations of an endpoint, a service or a region that is going."""
    tx.execute(
        policy_associations.delete().where(
            *(policy_associations.c[name] == value for name, value in columns.items())
        )
    )


def for_endpoint(tx: Tx, endpoint: Row[Any]) -> Row[Any] | None:
    """The policy that holds for an endpoint: its own, that of its service in its region or the nearest region
    above, or that of its service."""
    places: list[Place] = [(endpoint.id, ANY, ANY)]
    places += [(ANY, endpoint.service_id, region_id) for region_id in _upwards(tx, endpoint.region_id)]
    places.append((ANY, endpoint.service_id, ANY))
    for place in places:
        policy_id = policy_at(tx, place)
        if policy_id is not None:
            return rows.get(tx, policies, policy_id)
    return None


def _upwards(tx: Tx, region_id: str | None) -> list[str]:
    found: list[str] = []
    while region_id is not None and region_id not in found:
        found.append(region_id)
        row = rows.get(tx, regions, region_id)
        region_id = None if row is None else row.parent_region_id
    return found


def endpoints_of(tx: Tx, policy_id: str) -> list[Row[Any]]:
    """All endpoints that the places of a policy take in."""
    places = tx.rows(_OF_POLICY, policy_id=policy_id)
    return [row for row in tx.rows(_ENDPOINTS) if _takes_in(tx, places, row)]


def _takes_in(tx: Tx, places: Sequence[Row[Any]], endpoint: Row[Any]) -> bool:
    above = _upwards(tx, endpoint.region_id)
    return any(
        place.endpoint_id == endpoint.id
        or (place.service_id == endpoint.service_id and (place.region_id == ANY or place.region_id in above))
        for place in places
    )
