"""The operations of images, by noun."""

from pileus.services.image.api import (
    cache,
    data,
    discovery,
    imports,
    info,
    location,
    member,
    metadef,
    patch,
    schema,
    store,
    tag,
    upload,
)
from pileus.services.image.api.image import Image
from pileus.services.image.api.task import Task

__all__ = ["RESOURCES", "ROUTES", "data", "imports", "location", "patch", "upload"]

RESOURCES = (Image, Task, *metadef.RESOURCES)

ROUTES = (
    discovery.routes,
    discovery.root_routes,
    member.routes,
    schema.routes,
    tag.routes,
    info.routes,
    store.routes,
    cache.routes,
    *metadef.ROUTES,
)
