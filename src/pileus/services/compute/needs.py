"""What compute needs of other services, and the same over their public APIs.

Every protocol is owned by compute; the classes below bind it to a `Peer`. Calls that make something carry an
idempotency key derived from ids, so that a repeated label makes nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pileus.kernel.context import Context, service_user
from pileus.kernel.http.caller import Peer

Item = dict[str, Any]
"""A resource as its API shows it."""


class Images(Protocol):
    async def get(self, context: Context, image_id: str) -> Item:
        """The image; NotFound where the caller can't see it."""

    async def images(self, context: Context, **query: Any) -> list[Item]: ...
    async def update(self, context: Context, image_id: str, changes: list[Item]) -> Item:
        """Changes it by a JSON patch; gives it as it is then."""

    async def create(self, context: Context, values: Item) -> Item: ...
    async def upload(self, context: Context, image_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Its bytes; the image is active then."""

    async def delete(self, context: Context, image_id: str) -> None: ...

    def download(self, image_id: str) -> AsyncIterator[bytes]:
        """Its bytes, for a host's cache."""


class Networks(Protocol):
    """Ports and what they hang on. `context` is the user's where the user's rights must hold."""

    async def networks(self, context: Context, **query: Any) -> list[Item]: ...
    async def subnets(self, context: Context, **query: Any) -> list[Item]: ...
    async def ports(self, context: Context, **query: Any) -> list[Item]: ...
    async def port(self, context: Context, port_id: str) -> Item: ...
    async def create_port(self, context: Context, values: Item, key: str) -> Item: ...
    async def update_port(self, context: Context, port_id: str, values: Item) -> Item: ...
    async def delete_port(self, context: Context, port_id: str) -> None:
        """One that is gone already is no error."""

    async def security_groups(self, context: Context, **query: Any) -> list[Item]: ...
    async def create_security_group(self, context: Context, values: Item) -> Item: ...
    async def update_security_group(self, context: Context, group_id: str, values: Item) -> Item: ...
    async def delete_security_group(self, context: Context, group_id: str) -> None: ...
    async def create_security_group_rule(self, context: Context, values: Item) -> Item: ...
    async def delete_security_group_rule(self, context: Context, rule_id: str) -> None: ...
    async def floating_ips(self, context: Context, **query: Any) -> list[Item]: ...
    async def create_floating_ip(self, context: Context, values: Item) -> Item: ...
    async def update_floating_ip(self, context: Context, floating_ip_id: str, values: Item) -> Item: ...
    async def delete_floating_ip(self, context: Context, floating_ip_id: str) -> None: ...
    async def auto_network(self, context: Context) -> str:
        """The id of the network that the project gets by itself; made where there is none."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that has room."""

    provider_id: str
    free: Mapping[str, int]
    """By resource class, after allocation ratios and reservations."""
    capacity: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Provider:
    """A host as the placement service should know it."""

    id: str
    name: str
    inventories: Mapping[str, Mapping[str, Any]]
    traits: frozenset[str] = field(default_factory=frozenset)


class Placement(Protocol):
    async def ensure_provider(self, provider: Provider) -> None:
        """Have the provider with these inventories and traits."""

    async def candidates(
        self, resources: Mapping[str, int], *, required: Sequence[str] = (), provider_id: str | None = None
    ) -> list[Candidate]:
        """Hosts with room for all of `resources`."""

    async def claim(
        self,
        consumer_id: str,
        provider_id: str,
        resources: Mapping[str, int],
        *,
        project_id: str,
        user_id: str,
    ) -> bool:
        """Allocates; replaces what the consumer had. False where the room has gone meanwhile."""

    async def release(self, consumer_id: str) -> None:
        """Removes what the consumer has; nothing is no error."""

    async def largest(self, resource: str) -> int:
        """The most of a resource that is free on one host; for the words of a refusal."""


class Needs(Protocol):
    """All of them, as handlers and programs are given them."""

    @property
    def images(self) -> Images: ...
    @property
    def networks(self) -> Networks: ...
    @property
    def placement(self) -> Placement: ...


SERVICE = service_user("compute")


@dataclass(frozen=True)
class Bound:
    """The needs bound to other services' APIs."""

    images: Images
    networks: Networks
    placement: Placement


def bind(image: Peer, network: Peer, placement: Peer) -> Bound:
    """Over the other services' APIs, at their versioned paths."""
    return Bound(ImagePeer(image), NetworkPeer(network), PlacementPeer(placement))


_JSON_PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}


class ImagePeer:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def get(self, context: Context, image_id: str) -> Item:
        reply = await self._peer.request("GET", f"/images/{image_id}", context=context)
        image: Item = reply.expect(200).json()
        return image

    async def images(self, context: Context, **query: Any) -> list[Item]:
        reply = await self._peer.request("GET", "/images", context=context, query=query)
        images: list[Item] = reply.expect(200).json()["images"]
        return images

    async def update(self, context: Context, image_id: str, changes: list[Item]) -> Item:
        reply = await self._peer.request(
            "PATCH", f"/images/{image_id}", context=context, body=changes, headers=_JSON_PATCH
        )
        image: Item = reply.expect(200).json()
        return image

    async def create(self, context: Context, values: Item) -> Item:
        reply = await self._peer.request("POST", "/images", context=context, body=values)
        image: Item = reply.expect(201).json()
        return image

    async def upload(self, context: Context, image_id: str, chunks: AsyncIterator[bytes]) -> None:
        (await self._peer.upload(f"/images/{image_id}/file", chunks, context=context)).expect(204)

    async def delete(self, context: Context, image_id: str) -> None:
        (await self._peer.request("DELETE", f"/images/{image_id}", context=context)).expect(204)

    def download(self, image_id: str) -> AsyncIterator[bytes]:
        return self._peer.download(f"/images/{image_id}/file", context=SERVICE)


class NetworkPeer:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def _list(self, collection: str, context: Context, query: Mapping[str, Any]) -> list[Item]:
        path = "/" + collection.replace("_", "-")
        reply = await self._peer.request("GET", path, context=context, query=query)
        items: list[Item] = reply.expect(200).json()[collection]
        return items

    async def networks(self, context: Context, **query: Any) -> list[Item]:
        return await self._list("networks", context, query)

    async def subnets(self, context: Context, **query: Any) -> list[Item]:
        return await self._list("subnets", context, query)

    async def ports(self, context: Context, **query: Any) -> list[Item]:
        return await self._list("ports", context, query)

    async def security_groups(self, context: Context, **query: Any) -> list[Item]:
        return await self._list("security_groups", context, query)

    async def floating_ips(self, context: Context, **query: Any) -> list[Item]:
        return await self._list("floatingips", context, query)

    async def create_floating_ip(self, context: Context, values: Item) -> Item:
        return await self._write("POST", "/floatingips", "floatingip", context, values, 201)

    async def update_floating_ip(self, context: Context, floating_ip_id: str, values: Item) -> Item:
        return await self._write("PUT", f"/floatingips/{floating_ip_id}", "floatingip", context, values, 200)

    async def delete_floating_ip(self, context: Context, floating_ip_id: str) -> None:
        (await self._peer.request("DELETE", f"/floatingips/{floating_ip_id}", context=context)).expect(204)

    async def create_security_group(self, context: Context, values: Item) -> Item:
        return await self._write("POST", "/security-groups", "security_group", context, values, 201)

    async def update_security_group(self, context: Context, group_id: str, values: Item) -> Item:
        return await self._write(
            "PUT", f"/security-groups/{group_id}", "security_group", context, values, 200
        )

    async def delete_security_group(self, context: Context, group_id: str) -> None:
        (await self._peer.request("DELETE", f"/security-groups/{group_id}", context=context)).expect(204)

    async def create_security_group_rule(self, context: Context, values: Item) -> Item:
        return await self._write("POST", "/security-group-rules", "security_group_rule", context, values, 201)

    async def delete_security_group_rule(self, context: Context, rule_id: str) -> None:
        (await self._peer.request("DELETE", f"/security-group-rules/{rule_id}", context=context)).expect(204)

    async def _write(
        self,
        method: str,
        path: str,
        member: str,
        context: Context,
        values: Item,
        status: int,
        key: str | None = None,
    ) -> Item:
        headers = None if key is None else {"idempotency-key": key}
        reply = await self._peer.request(
            method, path, context=context, body={member: values}, headers=headers
        )
        item: Item = reply.expect(status).json()[member]
        return item

    async def port(self, context: Context, port_id: str) -> Item:
        reply = await self._peer.request("GET", f"/ports/{port_id}", context=context)
        port: Item = reply.expect(200).json()["port"]
        return port

    async def create_port(self, context: Context, values: Item, key: str) -> Item:
        return await self._write("POST", "/ports", "port", context, values, 201, key)

    async def update_port(self, context: Context, port_id: str, values: Item) -> Item:
        return await self._write("PUT", f"/ports/{port_id}", "port", context, values, 200)

    async def delete_port(self, context: Context, port_id: str) -> None:
        (await self._peer.request("DELETE", f"/ports/{port_id}", context=context)).expect(204, 404)

    async def auto_network(self, context: Context) -> str:
        reply = await self._peer.request(
            "GET", f"/auto-allocated-topology/{context.project_id}", context=context
        )
        network_id: str = reply.expect(200).json()["auto_allocated_topology"]["id"]
        return network_id


_PLACEMENT_VERSION = {"openstack-api-version": "placement 1.36"}


class PlacementPeer:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def _ask(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        return await self._peer.request(
            method, path, context=SERVICE, body=body, query=query, headers=_PLACEMENT_VERSION
        )

    async def ensure_provider(self, provider: Provider) -> None:
        path = f"/resource_providers/{provider.id}"
        found = await self._ask("GET", path)
        if found.status == 404:
            made = {"uuid": provider.id, "name": provider.name}
            found = await self._ask("POST", "/resource_providers", body=made)
        generation = found.expect(200).json()["generation"]
        held = (await self._ask("GET", f"{path}/inventories")).expect(200).json()
        inventories = {name: dict(values) for name, values in provider.inventories.items()}
        if any(
            {k: have.get(k) for k in want} != want
            for name, want in inventories.items()
            for have in [held["inventories"].get(name, {})]
        ):
            body = {"resource_provider_generation": generation, "inventories": inventories}
            put = await self._ask("PUT", f"{path}/inventories", body=body)
            generation = put.expect(200).json()["resource_provider_generation"]
        traits = (await self._ask("GET", f"{path}/traits")).expect(200).json()
        if set(traits["traits"]) != provider.traits:
            for trait in sorted(provider.traits):
                if trait.startswith("CUSTOM_"):
                    (await self._ask("PUT", f"/traits/{trait}")).expect(201, 204)
            body = {"resource_provider_generation": generation, "traits": sorted(provider.traits)}
            (await self._ask("PUT", f"{path}/traits", body=body)).expect(200)

    async def candidates(
        self, resources: Mapping[str, int], *, required: Sequence[str] = (), provider_id: str | None = None
    ) -> list[Candidate]:
        query = {
            "resources": ",".join(f"{name}:{amount}" for name, amount in sorted(resources.items()) if amount)
        }
        if required:
            query["required"] = ",".join(required)
        if provider_id is not None:
            query["in_tree"] = provider_id
        else:
            query["limit"] = "1000"
        found = (await self._ask("GET", "/allocation_candidates", query=query)).expect(200).json()
        summaries = found["provider_summaries"]
        return [_candidate(next(iter(one["allocations"])), summaries) for one in found["allocation_requests"]]

    async def claim(
        self,
        consumer_id: str,
        provider_id: str,
        resources: Mapping[str, int],
        *,
        project_id: str,
        user_id: str,
    ) -> bool:
        path = f"/allocations/{consumer_id}"
        wanted = {provider_id: {"resources": {name: amount for name, amount in resources.items() if amount}}}
        body = {
            "allocations": wanted,
            "project_id": project_id,
            "user_id": user_id,
            "consumer_generation": None,
        }
        reply = await self._ask("PUT", path, body=body)
        if reply.status == 409 and (held := (await self._ask("GET", path)).expect(200).json())["allocations"]:
            if {each: {"resources": a["resources"]} for each, a in held["allocations"].items()} == wanted:
                return True  # an earlier run of the same label got this far
            body["consumer_generation"] = held["consumer_generation"]
            reply = await self._ask("PUT", path, body=body)
        if reply.status == 409:
            return False
        reply.expect(204)
        return True

    async def release(self, consumer_id: str) -> None:
        (await self._ask("DELETE", f"/allocations/{consumer_id}")).expect(204, 404)

    async def largest(self, resource: str) -> int:
        return max((each.free.get(resource, 0) for each in await self.candidates({resource: 1})), default=0)


def _candidate(provider_id: str, summaries: Mapping[str, Any]) -> Candidate:
    resources = summaries[provider_id]["resources"]
    return Candidate(
        provider_id,
        {name: each["capacity"] - each["used"] for name, each in resources.items()},
        {name: each["capacity"] for name, each in resources.items()},
    )
