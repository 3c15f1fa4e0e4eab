"""The operations of placement, by noun."""

from pileus.services.placement.api import (
    aggregate,
    allocation,
    candidate,
    discovery,
    inventory,
    reshaper,
    resource_class,
    trait,
    usage,
)
from pileus.services.placement.api.provider import ResourceProvider

__all__ = ["RESOURCES", "ROUTES"]

RESOURCES = (ResourceProvider,)

ROUTES = (
    discovery.routes,
    inventory.routes,
    aggregate.routes,
    trait.routes,
    resource_class.routes,
    allocation.routes,
    usage.routes,
    reshaper.routes,
    candidate.routes,
)
