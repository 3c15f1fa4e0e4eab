"""The service as the composition root takes it."""

from pileus.kernel.api.service import Service
from pileus.services.placement.api import RESOURCES, ROUTES
from pileus.services.placement.dialect import PLACEMENT
from pileus.services.placement.policy import RULES
from pileus.services.placement.versions import V

service = Service(
    type="placement",
    name="placement",
    root="/placement",
    path="/placement",
    dialect=PLACEMENT,
    resources=RESOURCES,
    routes=ROUTES,
    rules=RULES,
    versions=V,
)
