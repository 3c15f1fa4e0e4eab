"""Placement in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pileus.kernel.clock import Clock
from pileus.services.compute.needs import Candidate, Provider
from pileus.testing.clock import MOMENT


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
