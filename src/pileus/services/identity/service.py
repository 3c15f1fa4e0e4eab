"""The service as the composition root takes it."""

from pileus.kernel.api.service import Service
from pileus.services.identity.api import RESOURCES, ROUTES
from pileus.services.identity.dialect import KEYSTONE
from pileus.services.identity.policy import RULES

service = Service(
    type="identity",
    name="keystone",
    root="/identity",
    path="/identity/v3",
    catalog_path="/identity",
    dialect=KEYSTONE,
    resources=RESOURCES,
    routes=ROUTES,
    rules=RULES,
)
