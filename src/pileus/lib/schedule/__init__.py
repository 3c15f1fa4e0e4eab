"""Which host a server goes to: filters and weighers over host states, as Nova's scheduler."""

from pileus.lib.schedule.filters import FILTERS, Filter
from pileus.lib.schedule.model import HostState, RequestSpec, ServerGroup
from pileus.lib.schedule.registry import Registry
from pileus.lib.schedule.scheduler import (
    SCHEDULERS,
    ChanceScheduler,
    FilterScheduler,
    Scheduler,
    Selection,
    Settings,
    make_scheduler,
)
from pileus.lib.schedule.weighers import WEIGHERS, Weigher

__all__ = [
    "FILTERS",
    "SCHEDULERS",
    "WEIGHERS",
    "ChanceScheduler",
    "Filter",
    "FilterScheduler",
    "HostState",
    "Registry",
    "RequestSpec",
    "Scheduler",
    "Selection",
    "ServerGroup",
    "Settings",
    "Weigher",
    "make_scheduler",
]
