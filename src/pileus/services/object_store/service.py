"""The service as the composition root takes it."""

from pileus.kernel.api.service import Service
from pileus.services.object_store import cnames, remap
from pileus.services.object_store.api import ROUTES
from pileus.services.object_store.api.around import around
from pileus.services.object_store.dialect import SWIFT

service = Service(
    type="object-store",
    name="swift",
    root="/v1",
    path="/v1",
    catalog_path="/v1/AUTH_$(project_id)s",
    dialect=SWIFT,
    routes=ROUTES,
    around=around,
    claims=remap.claims,
    arriving=cnames.arriving,
)
