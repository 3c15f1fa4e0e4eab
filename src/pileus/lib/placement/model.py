"""Resource providers as the search sees them, and what may be asked of them.

Words and rules are those of the Placement API (api-ref: inventories, allocation candidates).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

SHARES_VIA_AGGREGATE: Final = "MISC_SHARES_VIA_AGGREGATE"
"""The trait of providers whose resources all trees in one of their aggregates may use."""
MAX_UNIT: Final = 2**31 - 1

NONE: Final[frozenset[str]] = frozenset()


class Inventory(msgspec.Struct, frozen=True):
    """How much of a resource class a provider has, and in what amounts it hands it out."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = MAX_UNIT
    step_size: int = 1
    allocation_ratio: float = 1.0

    @property
    def capacity(self) -> float:
        """The bound on the sum of all allocations."""
        return (self.total - self.reserved) * self.allocation_ratio

    def fits(self, used: int, amount: int) -> bool:
        """Whether an allocation of `amount` may be added to the `used`."""
        return (
            used + amount <= (self.total - self.reserved) * self.allocation_ratio
            and self.min_unit <= amount <= self.max_unit
            and amount % self.step_size == 0
        )

    def largest_fit(self, used: int) -> int:
        """The largest amount that fits beside the `used`; 0 when none does."""
        room = min(int(self.capacity) - used, self.max_unit)
        amount = room - room % self.step_size
        return amount if amount >= self.min_unit else 0


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A resource provider with all that is known of it."""

    id: str
    root_id: str
    """Its own id when it is the root of its tree."""
    parent_id: str | None = None
    name: str = ""
    inventories: Mapping[str, Inventory] = {}
    """By resource class."""
    used: Mapping[str, int] = {}
    """By resource class; what is missing is unused."""
    traits: frozenset[str] = NONE
    aggregates: frozenset[str] = NONE

    def has_room(self, resource_class: str, amount: int) -> bool:
        inventory = self.inventories.get(resource_class)
        return inventory is not None and inventory.fits(self.used.get(resource_class, 0), amount)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A request group: resources and what their providers must be like.

    Sets within a tuple are alternatives (`in:`), the tuple's elements must all be met.
    """

    resources: Mapping[str, int] = {}
    required: tuple[frozenset[str], ...] = ()
    """Traits: one of each set."""
    forbidden: frozenset[str] = NONE
    """Traits: none of these."""
    member_of: tuple[frozenset[str], ...] = ()
    """Aggregates: one of each set."""
    not_member_of: frozenset[str] = NONE
    in_tree: str | None = None
    """Id of any provider of the tree that must be used."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A query of allocation candidates."""

    groups: Mapping[str, Group]
    """By suffix. The group without suffix ("") may be spread over several providers of a tree; each of
    the others is met by a single provider."""
    group_policy: Literal["none", "isolate"] = "none"
    """`isolate`: groups with a suffix are met by different providers."""
    same_subtree: tuple[frozenset[str], ...] = ()
    """Suffixes whose providers must descend from one among them."""
    root_required: frozenset[str] = NONE
    root_forbidden: frozenset[str] = NONE
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.groups:
            raise ValueError("a request without groups asks for nothing")


class Candidate(msgspec.Struct, frozen=True):
    """One way to meet a request."""

    root_id: str
    allocations: dict[str, dict[str, int]]
    """Amounts by provider id and resource class."""
    mappings: dict[str, tuple[str, ...]]
    """Ids of the providers that meet each group, by suffix."""


class Providers:
    """All resource providers, by tree. Who searches often keeps one: `put` what has changed, then search."""

    def __init__(self, providers: Iterable[Provider] = ()) -> None:
        self._by_id: dict[str, Provider] = {}
        self._trees: dict[str, dict[str, Provider]] = {}
        self._sharing: dict[str, Provider] = {}
        for provider in providers:
            self.put(provider)

    def put(self, provider: Provider) -> None:
        """Add a provider, or replace the one of the same id, which keeps its place in its tree."""
        before = self._by_id.get(provider.id)
        if before is not None and before.root_id != provider.root_id:
            self.remove(provider.id)
        self._by_id[provider.id] = provider
        self._trees.setdefault(provider.root_id, {})[provider.id] = provider
        if SHARES_VIA_AGGREGATE in provider.traits:
            self._sharing[provider.id] = provider
        else:
            self._sharing.pop(provider.id, None)

    def remove(self, provider_id: str) -> None:
        """Forget a provider; an unknown one is no error."""
        provider = self._by_id.pop(provider_id, None)
        if provider is None:
            return
        self._sharing.pop(provider_id, None)
        tree = self._trees[provider.root_id]
        del tree[provider_id]
        if not tree:
            del self._trees[provider.root_id]

    def get(self, provider_id: str) -> Provider | None:
        return self._by_id.get(provider_id)

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def roots(self) -> list[str]:
        """Ids of the trees' roots, in the order in which they were added."""
        return list(self._trees)

    def tree(self, root_id: str) -> list[Provider]:
        """The providers of a tree; none when there is no such tree."""
        return list(self._trees.get(root_id, {}).values())

    def shared_with(self, tree: Iterable[Provider]) -> list[Provider]:
        """Sharing providers of other trees that have an aggregate in common with a provider of this one."""
        if not self._sharing:
            return []
        members = list(tree)
        aggregates = frozenset[str]().union(*(provider.aggregates for provider in members))
        ids = {provider.id for provider in members}
        return [
            provider
            for provider in self._sharing.values()
            if provider.id not in ids and not aggregates.isdisjoint(provider.aggregates)
        ]

    @property
    def has_sharing(self) -> bool:
        return bool(self._sharing)
