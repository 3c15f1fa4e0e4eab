"""The operations of images, by noun."""

from pileus.services.image.api import data, discovery, member, patch, schema, tag
from pileus.services.image.api.image import Image

__all__ = ["RESOURCES", "ROUTES", "patch"]

RESOURCES = (Image,)

ROUTES = (discovery.routes, discovery.root_routes, member.routes, schema.routes, tag.routes, data.routes)
