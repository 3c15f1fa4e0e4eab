"""The operations of metadata definitions, by noun."""

from pileus.services.image.api.metadef import items, resource_type, schema
from pileus.services.image.api.metadef.namespace import Namespace

__all__ = ["RESOURCES", "ROUTES"]

RESOURCES = (Namespace,)
ROUTES = (items.routes, resource_type.routes, schema.routes)
