"""The schedulers: `filter` weighs the hosts that its filters let through, `chance` draws among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, Protocol

import msgspec

from pileus.lib.schedule.filters import FILTERS, first_refusal
from pileus.lib.schedule.model import HostState, RequestSpec
from pileus.lib.schedule.registry import Registry
from pileus.lib.schedule.weighers import WEIGHERS, weigh


class Refusal(msgspec.Struct, frozen=True):
    host: str
    filter: str
    reason: str


class Selection(msgspec.Struct, frozen=True):
    """The outcome: suitable hosts from the best on (the others are alternates), and why others are not."""

    hosts: tuple[HostState, ...]
    refusals: tuple[Refusal, ...]

    @property
    def explanation(self) -> str:
        """Why no host was found, for a user: reasons with the number of hosts, no host's name."""
        if not self.refusals:
            return "there are no hosts with enough room"
        counted = Counter(refusal.reason for refusal in self.refusals).most_common()
        reasons = "; ".join(f"{count} {'is' if count == 1 else 'are'} {reason}" for reason, count in counted)
        return f"of {len(self.refusals)} hosts with enough room none is suitable: {reasons}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Nova's `[filter_scheduler]` settings, as far as they are known here."""

    enabled_filters: tuple[str, ...] = FILTERS.names
    """All that come with Pileus; a plug-in's filter is used once it is named here."""
    multipliers: Mapping[str, float] = {}
    """By weigher; 1.0 where nothing else is said. Negative stacks instead of spreading, 0 switches off."""
    host_subset_size: int = 1
    """The first host is drawn from this many of the best, so that parallel schedulers collide less."""


class Scheduler(Protocol):
    def select(self, hosts: Sequence[HostState], spec: RequestSpec, random: Random) -> Selection:
        """Choose among hosts with room. The same hosts, spec and state of `random` give the same outcome."""


SCHEDULERS: Final[Registry[Callable[[Settings], Scheduler]]] = Registry("scheduler")


def make_scheduler(name: str, settings: Settings | None = None) -> Scheduler:
    """The scheduler of that name; raises ValueError for unknown names in the settings."""
    return SCHEDULERS[name](settings or Settings())


@SCHEDULERS.register("chance")
class ChanceScheduler:
    """Any suitable host, all with the same chance."""

    def __init__(self, settings: Settings) -> None:
        self._filters = FILTERS.chosen(settings.enabled_filters)

    def select(self, hosts: Sequence[HostState], spec: RequestSpec, random: Random) -> Selection:
        suitable: list[HostState] = []
        refusals: list[Refusal] = []
        for host in hosts:
            refusal = first_refusal(host, spec, self._filters)
            if refusal is None:
                suitable.append(host)
            else:
                refusals.append(Refusal(host.host, *refusal))
        random.shuffle(suitable)
        return Selection(tuple(suitable), tuple(refusals))


@SCHEDULERS.register("filter")
class FilterScheduler:
    """The suitable hosts by weight; those of the same weight in random order."""

    def __init__(self, settings: Settings) -> None:
        self._any = ChanceScheduler(settings)
        for name in settings.multipliers:
            WEIGHERS[name]
        self._weighers = [
            (weigher, settings.multipliers.get(name, 1.0))
            for name, weigher in WEIGHERS.chosen(WEIGHERS.names)
        ]
        self._subset = max(settings.host_subset_size, 1)

    def select(self, hosts: Sequence[HostState], spec: RequestSpec, random: Random) -> Selection:
        drawn = self._any.select(hosts, spec, random)
        weights = weigh(drawn.hosts, spec, self._weighers)
        order = sorted(range(len(weights)), key=lambda index: -weights[index])
        if order and self._subset > 1:
            order.insert(0, order.pop(random.randrange(min(self._subset, len(order)))))
        return msgspec.structs.replace(drawn, hosts=tuple(drawn.hosts[index] for index in order))
