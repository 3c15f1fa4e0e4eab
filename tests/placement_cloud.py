"""The placement service alone, for tests; and the few calls that every test makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pileus.kernel.context import Context, service_user
from pileus.kernel.http.caller import PeerReply
from pileus.kernel.ids import new_uuid
from pileus.services.placement.service import service
from pileus.services.placement.state import PlacementState
from pileus.testing.service import ServiceUnderTest, serving

COMPUTE = service_user("compute")
NEWEST = "1.39"


class PlacementCloud:
    """Calls with a version and the status that is to be expected."""

    def __init__(self, served: ServiceUnderTest) -> None:
        self.served = served

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        version: str = NEWEST,
        as_: Context = COMPUTE,
        headers: Mapping[str, str] | None = None,
    ) -> PeerReply:
        asked = {"openstack-api-version": f"placement {version}", **(headers or {})}
        reply = await self.served.request(method, "/placement" + path, body, as_=as_, headers=asked)
        assert reply.status == status, f"{method} {path}: {reply.status} {reply.body.decode()}"
        return reply

    async def get(self, path: str, **more: Any) -> Any:
        return (await self.call("GET", path, **more)).json()

    async def put(self, path: str, body: Any = None, **more: Any) -> Any:
        return (await self.call("PUT", path, body, **more)).json()

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return (await self.call("POST", path, body, **more)).json()

    async def delete(self, path: str, status: int = 204, **more: Any) -> Any:
        return (await self.call("DELETE", path, status=status, **more)).json()

    async def code(self, method: str, path: str, body: Any = None, *, status: int, **more: Any) -> str:
        """The code of the error that is to be expected."""
        (error,) = (await self.call(method, path, body, status=status, **more)).json()["errors"]
        assert error["status"] == status
        assert error["detail"]
        assert error["request_id"].startswith("req-")
        code: str = error["code"]
        return code

    async def provider(
        self,
        name: str,
        stock: Mapping[str, Any] | None = None,
        *,
        parent: str | None = None,
        traits: tuple[str, ...] = (),
        aggregates: tuple[str, ...] = (),
    ) -> str:
        """Makes one; `stock` is a total by class, or a whole inventory."""
        made = await self.post("/resource_providers", {"name": name, "parent_provider_uuid": parent})
        path, generation = f"/resource_providers/{made['uuid']}", made["generation"]
        if stock:
            inventories = {
                key: {"total": each} if isinstance(each, int) else each for key, each in stock.items()
            }
            body = {"resource_provider_generation": generation, "inventories": inventories}
            generation = (await self.put(f"{path}/inventories", body))["resource_provider_generation"]
        for trait in traits:
            if trait.startswith("CUSTOM_"):
                await self.served.put(
                    f"/placement/traits/{trait}",
                    as_=COMPUTE,
                    headers={"openstack-api-version": "placement 1.6"},
                )
        if traits:
            body = {"resource_provider_generation": generation, "traits": list(traits)}
            generation = (await self.put(f"{path}/traits", body))["resource_provider_generation"]
        if aggregates:
            body = {"resource_provider_generation": generation, "aggregates": list(aggregates)}
            await self.put(f"{path}/aggregates", body)
        uuid: str = made["uuid"]
        return uuid

    async def claim(
        self,
        amounts: Mapping[str, Mapping[str, int]],
        consumer: str | None = None,
        *,
        generation: int | None = None,
        status: int = 204,
        **more: Any,
    ) -> str:
        """Claims by provider and class; the consumer's id."""
        consumer = consumer or new_uuid()
        body = {
            "allocations": {key: {"resources": dict(each)} for key, each in amounts.items()},
            "consumer_generation": generation,
            "consumer_type": "INSTANCE",
            "project_id": "p",
            "user_id": "u",
            **more,
        }
        await self.call("PUT", f"/allocations/{consumer}", body, status=status)
        return consumer

    async def used(self, provider: str) -> Mapping[str, int]:
        usages: Mapping[str, int] = (await self.get(f"/resource_providers/{provider}/usages"))["usages"]
        return usages

    async def candidates(self, query: str, version: str = NEWEST) -> list[dict[str, Any]]:
        """What each candidate takes, by provider."""
        found = await self.get(f"/allocation_candidates?{query}", version=version)
        return [
            {key: each["resources"] for key, each in one["allocations"].items()}
            for one in found["allocation_requests"]
        ]


@asynccontextmanager
async def placement_cloud(database_url: str | None = None) -> AsyncIterator[PlacementCloud]:
    async with serving(service, state=PlacementState(), database_url=database_url) as served:
        yield PlacementCloud(served)
