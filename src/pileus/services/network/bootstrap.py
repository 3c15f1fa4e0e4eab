"""What a new cloud's network has from the start: an external network that every project can use."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kernel.api.quota import DEFAULT_CLASS
from pileus.kernel.api.service import Runtime
from pileus.kernel.db import Tx
from pileus.lib.address import default_gateway, default_pools
from pileus.services.network.domain.subnet import canonical_cidr
from pileus.services.network.model import networks, subnets
from pileus.services.network.quota import QUOTAS
from pileus.services.network.state import State
from pileus.services.network.store import networks as store
from pileus.services.network.store import rows
from pileus.services.network.work.network import NetworkProgram


async def first_rows(runtime: Runtime, project_id: str) -> str:
    """Default quotas as the settings have them, and the external network on the engine's physical
    network, made if it is not there; gives its id.

    It belongs to `project_id`, the administrators' project. May be called at every start: an external network
    that the operator has made or changed stays as it is.
    """
    return await runtime.db.write(_external_network, runtime, project_id)


def _external_network(tx: Tx, runtime: Runtime, project_id: str) -> str:
    state: State = runtime.state
    settings, capabilities = state.settings, state.capabilities
    set_default_quotas(tx, settings.quotas)
    found = store.on_physical(tx, capabilities.physical_network)
    if found is not None:
        return found
    network = rows.add(
        tx,
        networks,
        {
            "project_id": project_id,
            "name": settings.external_name,
            "description": "Leads to the host, and to what the host lets through",
            "admin_state_up": True,
            "status": "ACTIVE",
            "realized": False,
            "shared": False,
            "external": True,
            "is_default": store.default_external(tx) is None,
            "port_security_enabled": True,
            "mtu": capabilities.max_mtu,
            "dns_domain": "",
            "network_type": "flat",
            "physical_network": capabilities.physical_network,
            "segmentation_id": None,
            "availability_zone_hints": [],
        },
    )
    for cidr in settings.external_cidrs:
        _subnet(tx, network.id, project_id, canonical_cidr(cidr))
    runtime.work.begin(tx, NetworkProgram, network.id)
    return str(network.id)


def set_default_quotas(tx: Tx, wanted: Mapping[str, int]) -> None:
    """The limits of projects for which nothing else was said; raises ValueError for what has no quota."""
    if unknown := sorted(set(wanted) - set(QUOTAS.by_name)):
        raise ValueError(f"network.quotas: there is no quota for {', '.join(unknown)}")
    QUOTAS.reset(tx, DEFAULT_CLASS)
    QUOTAS.set_limits(tx, DEFAULT_CLASS, wanted)


def _subnet(tx: Tx, network_id: str, project_id: str, cidr: str) -> None:
    """A subnet without DHCP: nobody but routers and floating IPs lives there."""
    gateway = default_gateway(cidr)
    version = 6 if ":" in cidr else 4
    rows.add(
        tx,
        subnets,
        {
            "project_id": project_id,
            "network_id": network_id,
            "name": f"public-v{version}",
            "ip_version": version,
            "cidr": cidr,
            "gateway_ip": gateway,
            "enable_dhcp": False,
            "ipv6_address_mode": None,
            "ipv6_ra_mode": None,
            "allocation_pools": [[pool.start, pool.end] for pool in default_pools(cidr, gateway)],
            "dns_nameservers": [],
            "host_routes": [],
            "service_types": [],
            "dns_publish_fixed_ip": False,
        },
    )
