"""Compute's neighbours in memory, for its tests: images, networks and placement that keep their promises.

They are a world: they outlive the process that calls them. Every call takes a moment of the clock, so that
the crash harness finds points inside the labels.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pileus.drivers.hypervisor.sim import Faults, SimGuest, SimHypervisor, World
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.context import Context
from pileus.kernel.errors import Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.kernel.work import Program
from pileus.services.compute import bootstrap
from pileus.services.compute.hosts import Host, Hosts
from pileus.services.compute.needs import Candidate, Item, Provider
from pileus.services.compute.service import service
from pileus.services.compute.settings import Settings
from pileus.services.compute.state import ComputeState
from pileus.services.compute.work import programs
from pileus.testing.personas import PROJECT_ID
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest, serving

MOMENT = 0.001


@dataclass
class FakeImages:
    clock: Clock
    images_by_id: dict[str, Item] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def add(self, content: bytes = b"disk", **more: Any) -> str:
        image_id = new_uuid()
        self.contents[image_id] = content
        self.images_by_id[image_id] = {
            "id": image_id,
            "name": "micro",
            "status": "active",
            "disk_format": "raw",
            "container_format": "bare",
            "size": len(content),
            "min_disk": 0,
            "min_ram": 0,
            "created_at": "2030-01-01T00:00:00Z",
            "updated_at": "2030-01-01T00:00:00Z",
            "os_hash_algo": "sha512",
            "os_hash_value": hashlib.sha512(content).hexdigest(),
            **more,
        }
        return image_id

    async def get(self, context: Context, image_id: str) -> Item:
        await self.clock.sleep(MOMENT)
        if image_id not in self.images_by_id:
            raise NotFound(f"No image found with ID {image_id}")
        return self.images_by_id[image_id]

    async def images(self, context: Context, **query: Any) -> list[Item]:
        await self.clock.sleep(MOMENT)
        return [image for image in self.images_by_id.values() if query.get("name") in (None, image["name"])]

    async def update(self, context: Context, image_id: str, changes: list[Item]) -> Item:
        image = await self.get(context, image_id)
        for change in changes:
            name = change["path"].removeprefix("/").replace("~1", "/").replace("~0", "~")
            if change["op"] == "remove":
                del image[name]
            else:
                image[name] = change["value"]
        return image

    async def create(self, context: Context, values: Item) -> Item:
        await self.clock.sleep(MOMENT)
        image_id = new_uuid()
        self.images_by_id[image_id] = {"id": image_id, "status": "queued", **values}
        return self.images_by_id[image_id]

    async def upload(self, context: Context, image_id: str, chunks: AsyncIterator[bytes]) -> None:
        image = await self.get(context, image_id)
        if image["status"] != "queued":
            raise Conflict(f"Image {image_id} is {image['status']}.")
        content = b"".join([chunk async for chunk in chunks])
        await self.clock.sleep(MOMENT)
        self.contents[image_id] = content
        image.update(status="active", size=len(content))

    async def delete(self, context: Context, image_id: str) -> None:
        del self.images_by_id[(await self.get(context, image_id))["id"]]

    async def download(self, image_id: str) -> AsyncIterator[bytes]:
        await self.clock.sleep(MOMENT)
        yield self.contents[image_id]


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


@dataclass
class FakePlacement:
    clock: Clock
    providers: dict[str, Provider] = field(default_factory=dict)
    allocations: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)

    async def ensure_provider(self, provider: Provider) -> None:
        await self.clock.sleep(MOMENT)
        self.providers[provider.id] = provider

    def _free(self, provider: Provider) -> dict[str, int]:
        free = {
            name: int((each["total"] - each["reserved"]) * each["allocation_ratio"])
            for name, each in provider.inventories.items()
        }
        for holder, taken in self.allocations.values():
            if holder == provider.id:
                for name, amount in taken.items():
                    free[name] -= amount
        return free

    async def candidates(
        self, resources: Mapping[str, int], *, required: Sequence[str] = (), provider_id: str | None = None
    ) -> list[Candidate]:
        await self.clock.sleep(MOMENT)
        found = []
        for provider in self.providers.values():
            free = self._free(provider)
            if (provider_id in (None, provider.id)) and all(
                free.get(n, 0) >= a for n, a in resources.items()
            ):
                found.append(Candidate(provider.id, free, free))
        return found

    async def claim(
        self,
        consumer_id: str,
        provider_id: str,
        resources: Mapping[str, int],
        *,
        project_id: str,
        user_id: str,
    ) -> bool:
        await self.clock.sleep(MOMENT)
        held = self.allocations.pop(consumer_id, None)
        free = self._free(self.providers[provider_id])
        if any(free.get(name, 0) < amount for name, amount in resources.items()):
            if held is not None:
                self.allocations[consumer_id] = held
            return False
        self.allocations[consumer_id] = (provider_id, dict(resources))
        await self.clock.sleep(MOMENT)
        return True

    async def release(self, consumer_id: str) -> None:
        await self.clock.sleep(MOMENT)
        self.allocations.pop(consumer_id, None)

    async def largest(self, resource: str) -> int:
        await self.clock.sleep(MOMENT)
        return max((self._free(each).get(resource, 0) for each in self.providers.values()), default=0)


@dataclass
class FakeNeeds:
    images: FakeImages
    networks: FakeNetworks
    placement: FakePlacement

    @classmethod
    def over(cls, clock: Clock) -> FakeNeeds:
        return cls(FakeImages(clock), FakeNetworks(clock), FakePlacement(clock))


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Returns once the condition holds; TimeoutError where it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


class ComputeUnderTest:
    """Compute alone over simulated hosts, with a client that waits for servers."""

    def __init__(self, cloud: ServiceUnderTest, needs: FakeNeeds, world: World) -> None:
        self.cloud, self.needs, self.world = cloud, needs, world
        self.network_id = needs.networks.add_network(PROJECT_ID)
        self.image_id = needs.images.add()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "2.1",
        as_: Context = MEMBER,
        expect: int | None = None,
    ) -> Any:
        """The answer's body; with `expect`, an AssertionError where the status is another."""
        headers = {"x-openstack-nova-api-version": version}
        reply = await self.cloud.request(method, f"/compute/v2.1{path}", body, as_=as_, headers=headers)
        if expect is not None:
            assert reply.status == expect, (method, path, reply.status, reply.body)
            return reply.json()
        return reply

    def wanted(self, **more: Any) -> dict[str, Any]:
        """The body of a server that can be made."""
        body = {
            "name": "web",
            "imageRef": self.image_id,
            "flavorRef": "42",
            "networks": [{"uuid": self.network_id}],
        }
        return {"server": {name: value for name, value in {**body, **more}.items() if value is not None}}

    async def boot(self, *, version: str = "2.1", as_: Context = MEMBER, **more: Any) -> Item:
        """A server that is ACTIVE."""
        made = await self.ask("POST", "/servers", self.wanted(**more), version=version, as_=as_, expect=202)
        return await self.until(made["server"]["id"], "ACTIVE")

    async def until(self, server_id: str, status: str, *, version: str = "2.104") -> Item:
        """The server once it has that status; an AssertionError where it does not within seconds."""
        server: Item = {}
        async with asyncio.timeout(10):
            while server.get("status") != status or server.get("OS-EXT-STS:task_state"):
                await asyncio.sleep(0.005)
                reply = await self.ask("GET", f"/servers/{server_id}", version=version, as_=ADMIN)
                server = reply.json()["server"]
                if server["status"] == "ERROR" and status != "ERROR":
                    raise AssertionError(server["fault"])
        return server

    async def gone(self, server_id: str) -> None:
        """Returns once the server can't be found any more."""
        async with asyncio.timeout(10):
            while True:
                if (await self.ask("GET", f"/servers/{server_id}", as_=ADMIN)).status == 404:
                    return
                await asyncio.sleep(0.005)

    @property
    def guests(self) -> dict[str, SimGuest]:
        return {name: guest for host in self.world.hosts.values() for name, guest in host.guests.items()}


@asynccontextmanager
async def compute_alone(
    *,
    hosts: Mapping[str, Mapping[str, int]] | None = None,
    settings: Settings | None = None,
    faults: Faults | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[ComputeUnderTest]:
    """Compute with one simulated host, or `hosts` by name with their `vcpus`, `memory_mib`, `disk_gib`."""
    clock = clock or SystemClock()
    needs, world = FakeNeeds.over(clock), World()
    sizes = hosts or {"host-1": {}}

    def make(runtime: Runtime) -> Sequence[Program]:
        registry = Hosts(
            [Host(name, [SimHypervisor(world, name, clock, faults, **size)]) for name, size in sizes.items()]
        )
        runtime.state = ComputeState(runtime.db, clock, runtime.work, runtime.events, registry, settings)
        return programs(runtime.state, needs)

    async with serving(service, programs=make, needs=needs, clock=clock) as cloud:
        await cloud.runtime.db.write(bootstrap.lay)
        await cloud.runtime.state.start()
        try:
            await eventually(lambda: len(needs.placement.providers) == len(sizes))
            yield ComputeUnderTest(cloud, needs, world)
        finally:
            await cloud.runtime.state.close()
