"""The service as the composition root takes it."""

from __future__ import annotations

from pileus.kernel.api.service import Service
from pileus.services.compute.api import (
    discovery,
    extras,
    floating_ip,
    host,
    hypervisor,
    image,
    network,
    quota,
    security_group,
    usage,
)
from pileus.services.compute.api import service as services
from pileus.services.compute.api.aggregate import Aggregate
from pileus.services.compute.api.flavor import Flavor
from pileus.services.compute.api.keypair import Keypair
from pileus.services.compute.api.server import (
    actions,
    basics,
    create,
    history,
    interfaces,
    metadata,
    snapshot,
)
from pileus.services.compute.api.server.history import Action
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.api.server_group import ServerGroup
from pileus.services.compute.dialect import NOVA
from pileus.services.compute.policy import RULES
from pileus.services.compute.quotas import QUOTAS
from pileus.services.compute.versions import V

OPERATIONS = (actions, basics, create, history, interfaces, metadata, snapshot)
"""Modules that declare operations of a resource that stands elsewhere."""

service = Service(
    type="compute",
    name="nova",
    root="/compute",
    path="/compute/v2.1",
    dialect=NOVA,
    resources=[Flavor, Keypair, Server, Action, ServerGroup, Aggregate],
    routes=[
        discovery.root,
        discovery.versioned,
        quota.routes,
        usage.routes,
        hypervisor.routes,
        host.routes,
        services.routes,
        extras.routes,
        security_group.routes,
        image.routes,
        network.routes,
        floating_ip.routes,
    ],
    rules=RULES,
    versions=V,
    quotas=QUOTAS,
    project_in_path=True,
)
