"""Swift's paths."""

from pileus.services.object_store.api import (
    account,
    auth,
    container,
    copying,
    cors,
    crossdomain,
    endpoints,
    info,
    read,
    recon,
    write,
)

ROUTES = [
    info.routes,
    recon.routes,
    crossdomain.routes,
    endpoints.routes,
    auth.routes,
    account.routes,
    container.routes,
    read.routes,
    write.routes,
    copying.routes,
    cors.routes,
]

__all__ = ["ROUTES"]
