"""Swift's paths."""

from pileus.services.object_store.api import account, container, copying, info, read, write

ROUTES = [info.routes, account.routes, container.routes, read.routes, write.routes, copying.routes]

__all__ = ["ROUTES"]
