"""The service as one value."""

from __future__ import annotations

from typing import Final

from pileus.kernel.api.service import Service
from pileus.services.network.api import availability, discovery, quota
from pileus.services.network.api import port_operations as _port_operations
from pileus.services.network.api import router_interface as _router_interface
from pileus.services.network.api.agent import Agent
from pileus.services.network.api.availability import NetworkIpAvailability
from pileus.services.network.api.floating_ip import FloatingIP
from pileus.services.network.api.network import Network
from pileus.services.network.api.port import Port
from pileus.services.network.api.router import Router
from pileus.services.network.api.security_group import Rule, SecurityGroup
from pileus.services.network.api.subnet import Subnet
from pileus.services.network.api.subnet_pool import SubnetPool
from pileus.services.network.dialect import NEUTRON
from pileus.services.network.policy import RULES
from pileus.services.network.quota import QUOTAS

OPERATIONS: Final = (_port_operations, _router_interface)
"""Modules that give resources their operations by being imported."""

service: Final = Service(
    type="network",
    name="neutron",
    root="/networking",
    path="/networking/v2.0",
    catalog_path="/networking",
    dialect=NEUTRON,
    resources=(
        Network,
        Subnet,
        SubnetPool,
        Port,
        Router,
        FloatingIP,
        SecurityGroup,
        Rule,
        Agent,
        NetworkIpAvailability,
    ),
    routes=(discovery.root, discovery.routes, quota.routes, availability.routes),
    rules=RULES,
    quotas=QUOTAS,
)
