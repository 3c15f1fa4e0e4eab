"""The network service in memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pileus.kernel.clock import Clock
from pileus.kernel.context import Context
from pileus.kernel.errors import Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.services.compute.needs import Item
from pileus.testing.clock import MOMENT


@dataclass
class FakeNetworks:
    """One subnet a network; ports become active some time after they are bound to a host."""

    clock: Clock
    active_after: float = 0.0
    nets: dict[str, Item] = field(default_factory=dict)
    nets_of_subnets: dict[str, Item] = field(default_factory=dict)
    all_ports: dict[str, Item] = field(default_factory=dict)
    bound_at: dict[str, float] = field(default_factory=dict)
    groups: dict[str, Item] = field(default_factory=dict)
    floating: list[Item] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(2))

    def add_network(self, project_id: str, name: str = "private", **more: Any) -> str:
        network_id, subnet_id = new_uuid(), new_uuid()
        self.nets_of_subnets[subnet_id] = {
            "id": subnet_id,
            "network_id": network_id,
            "ip_version": 4,
            "cidr": "10.0.0.0/16",
            "gateway_ip": "10.0.0.1",
            "enable_dhcp": True,
            "dns_nameservers": ["10.0.0.1"],
            "host_routes": [],
        }
        self.nets[network_id] = {
            "id": network_id,
            "name": name,
            "tenant_id": project_id,
            "shared": False,
            "router:external": False,
            "subnets": [subnet_id],
            "mtu": 1442,
            **more,
        }
        return network_id

    def add_group(self, project_id: str, name: str) -> str:
        group_id = new_uuid()
        self.groups[group_id] = {"id": group_id, "name": name, "tenant_id": project_id}
        return group_id

    def add_port(self, network_id: str, project_id: str) -> str:
        return str(self._make({"network_id": network_id, "project_id": project_id})["id"])

    async def networks(self, context: Context, **query: Any) -> list[Item]:
        return await self._found(context, self.nets, query, shared=True)

    async def subnets(self, context: Context, **query: Any) -> list[Item]:
        await self.clock.sleep(MOMENT)
        return [each for each in self.nets_of_subnets.values() if _matches(each, query)]

    async def ports(self, context: Context, **query: Any) -> list[Item]:
        fixed = query.pop("fixed_ips", None)
        found = [self._now(port) for port in await self._found(context, self.all_ports, query)]
        if fixed is None:
            return found
        address = fixed.removeprefix("ip_address=")
        return [port for port in found if any(each["ip_address"] == address for each in port["fixed_ips"])]

    async def port(self, context: Context, port_id: str) -> Item:
        found = await self.ports(context, id=port_id)
        if not found:
            raise NotFound(f"Port {port_id} could not be found.")
        return found[0]

    async def create_port(self, context: Context, values: Item, key: str) -> Item:
        await self.clock.sleep(MOMENT)
        if key not in self.keys:
            self.keys[key] = str(self._make(values)["id"])
        await self.clock.sleep(MOMENT)
        return self._now(self.all_ports[self.keys[key]])

    def _make(self, values: Item) -> Item:
        if values["network_id"] not in self.nets:
            raise NotFound(f"Network {values['network_id']} could not be found.")
        number = next(self._numbers)
        wanted = values.get("fixed_ips", [{}])[0].get("ip_address")
        address = wanted or f"10.0.{number >> 8}.{number & 255}"
        taken = {each["ip_address"] for port in self.all_ports.values() for each in port["fixed_ips"]}
        if address in taken:
            raise Conflict(f"IP address {address} already allocated.")
        port_id = new_uuid()
        self.all_ports[port_id] = {
            "id": port_id,
            "tenant_id": values["project_id"],
            "mac_address": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
            "device_id": "",
            "device_owner": "",
            "binding:host_id": "",
            "security_groups": [],
            **values,
            "fixed_ips": [
                {"ip_address": address, "subnet_id": self.nets[values["network_id"]]["subnets"][0]}
            ],
        }
        self.bound_at[port_id] = self.clock.monotonic()
        return self.all_ports[port_id]

    def _now(self, port: Item) -> Item:
        bound = bool(port["binding:host_id"])
        due = self.clock.monotonic() - self.bound_at[port["id"]] >= self.active_after
        return {
            **port,
            "status": "ACTIVE" if bound and due else "DOWN",
            "binding:vif_type": "sim" if bound else "unbound",
            "binding:vif_details": {},
        }

    async def update_port(self, context: Context, port_id: str, values: Item) -> Item:
        await self.clock.sleep(MOMENT)
        if port_id not in self.all_ports:
            raise NotFound(f"Port {port_id} could not be found.")
        self.all_ports[port_id].update(values)
        self.bound_at[port_id] = self.clock.monotonic()
        return self._now(self.all_ports[port_id])

    async def delete_port(self, context: Context, port_id: str) -> None:
        await self.clock.sleep(MOMENT)
        self.all_ports.pop(port_id, None)

    async def security_groups(self, context: Context, **query: Any) -> list[Item]:
        return await self._found(context, self.groups, query)

    async def create_security_group(self, context: Context, values: Item) -> Item:
        group_id = self.add_group(context.project_id or "", values["name"])
        self.groups[group_id]["description"] = values.get("description", "")
        return self.groups[group_id]

    async def update_security_group(self, context: Context, group_id: str, values: Item) -> Item:
        self.groups[group_id].update(values)
        return self.groups[group_id]

    async def delete_security_group(self, context: Context, group_id: str) -> None:
        if any(group_id in port["security_groups"] for port in self.all_ports.values()):
            raise Conflict(f"Security Group {group_id} in use.")
        del self.groups[group_id]

    async def create_security_group_rule(self, context: Context, values: Item) -> Item:
        rule = {"id": new_uuid(), "remote_ip_prefix": None, "remote_group_id": None, **values}
        self.groups[values["security_group_id"]].setdefault("security_group_rules", []).append(rule)
        return rule

    async def delete_security_group_rule(self, context: Context, rule_id: str) -> None:
        for group in self.groups.values():
            rules = group.get("security_group_rules", [])
            if any(rule["id"] == rule_id for rule in rules):
                group["security_group_rules"] = [rule for rule in rules if rule["id"] != rule_id]
                return
        raise NotFound(f"Security group rule {rule_id} does not exist")

    async def floating_ips(self, context: Context, **query: Any) -> list[Item]:
        await self.clock.sleep(MOMENT)
        return [each for each in self.floating if _matches(each, query)]

    async def create_floating_ip(self, context: Context, values: Item) -> Item:
        await self.clock.sleep(MOMENT)
        made = {
            "id": new_uuid(),
            "tenant_id": values["project_id"],
            "floating_network_id": values["floating_network_id"],
            "floating_ip_address": f"203.0.113.{len(self.floating) + 1}",
            "port_id": None,
            "fixed_ip_address": None,
        }
        self.floating.append(made)
        return made

    async def update_floating_ip(self, context: Context, floating_ip_id: str, values: Item) -> Item:
        (found,) = await self.floating_ips(context, id=floating_ip_id)
        found.update({"fixed_ip_address": None, **values})
        return found

    async def delete_floating_ip(self, context: Context, floating_ip_id: str) -> None:
        (found,) = await self.floating_ips(context, id=floating_ip_id)
        self.floating.remove(found)

    async def auto_network(self, context: Context) -> str:
        raise NotFound("There is no network to be had by itself.")

    async def _found(
        self, context: Context, items: Mapping[str, Item], query: Mapping[str, Any], *, shared: bool = False
    ) -> list[Item]:
        await self.clock.sleep(MOMENT)
        return [
            item
            for item in items.values()
            if _matches(item, query)
            and (context.is_admin or item["tenant_id"] == context.project_id or (shared and item["shared"]))
        ]


def _matches(item: Item, query: Mapping[str, Any]) -> bool:
    for name, wanted in query.items():
        value = item.get(name)
        text = str(value).lower() if isinstance(value, bool) else value
        if text not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True
