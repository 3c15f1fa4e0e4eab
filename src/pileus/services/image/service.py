"""The service as the composition root takes it."""

from pileus.kernel.api.service import Service
from pileus.services.image.api import RESOURCES, ROUTES
from pileus.services.image.dialect import GLANCE
from pileus.services.image.policy import RULES

service = Service(
    type="image",
    name="glance",
    root="/image",
    path="/image/v2",
    catalog_path="/image",
    dialect=GLANCE,
    resources=RESOURCES,
    routes=ROUTES,
    rules=RULES,
)
