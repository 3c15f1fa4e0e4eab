"""Networks as the compute API once had them: the network service's, gone since NO_PROXIES."""

from __future__ import annotations

from typing import Final

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import NotFound
from pileus.services.compute.needs import Item
from pileus.services.compute.versions import V

routes = Routes()
UNTIL: Final = V.NO_PROXIES.previous
_NEVER: Final = dict.fromkeys(
    (
        *(
            "bridge",
            "bridge_interface",
            "broadcast",
            "cidr",
            "cidr_v6",
            "created_at",
            "deleted",
            "deleted_at",
        ),
        *("dhcp_server", "dhcp_start", "dns1", "dns2", "enable_dhcp", "gateway", "gateway_v6", "host"),
        *("injected", "mtu", "multi_host", "netmask", "netmask_v6", "priority", "project_id", "rxtx_base"),
        *(
            "share_address",
            "updated_at",
            "vlan",
            "vpn_private_address",
            "vpn_public_address",
            "vpn_public_port",
        ),
    )
)
"""What networks had when compute made them itself."""


class NetworksAnswer(msgspec.Struct):
    """Ids and labels; all other names are there and null."""

    networks: list[dict[str, str | None]]


class NetworkAnswer(msgspec.Struct):
    network: dict[str, str | None]


@routes.add("GET", "/os-networks", policy="os_compute_api:os-networks:list", until=UNTIL)
async def list_networks(call: Call) -> NetworksAnswer:
    """Lists the networks that the caller sees."""
    found = await call.runtime.needs.networks.networks(call.context)
    return NetworksAnswer([_shown(each) for each in found])


@routes.add("GET", "/os-networks/{network}", policy="os_compute_api:os-networks:show", until=UNTIL)
async def show_network(call: Call) -> NetworkAnswer:
    """Shows a network."""
    return NetworkAnswer(_shown(await _find(call)))


@routes.add("GET", "/os-tenant-networks", policy="os_compute_api:os-tenant-networks:list", until=UNTIL)
async def list_tenant_networks(call: Call) -> NetworksAnswer:
    """Lists the networks that the caller sees, briefly."""
    found = await call.runtime.needs.networks.networks(call.context)
    return NetworksAnswer([_brief(each) for each in found])


@routes.add(
    "GET", "/os-tenant-networks/{network}", policy="os_compute_api:os-tenant-networks:show", until=UNTIL
)
async def show_tenant_network(call: Call) -> NetworkAnswer:
    """Shows a network, briefly."""
    return NetworkAnswer(_brief(await _find(call)))


async def _find(call: Call) -> Item:
    for network in await call.runtime.needs.networks.networks(call.context, id=call.params["network"]):
        found: Item = network
        return found
    raise NotFound("Network not found")


def _shown(network: Item) -> dict[str, str | None]:
    return {**_NEVER, "id": network["id"], "label": network["name"]}


def _brief(network: Item) -> dict[str, str | None]:
    return {"id": network["id"], "label": network["name"], "cidr": None}
