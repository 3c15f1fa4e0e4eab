"""Which services there are, which of them a process runs, and what each needs beside it."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping

from pileus.app.settings import Settings
from pileus.kernel.api import common
from pileus.kernel.api.service import Service
from pileus.kernel.config import ConfigError

SERVICES: Mapping[str, tuple[str, ...]] = {
    "identity": ("pileus.services.identity.service:service",),
    "image": ("pileus.services.image.service:service",),
    "placement": ("pileus.services.placement.service:service",),
    "network": ("pileus.services.network.service:service",),
    "compute": ("pileus.services.compute.service:service",),
    "object-store": (
        "pileus.services.object_store.service:service",
        "pileus.services.object_store.s3:service",
    ),
}
"""By the type that the catalog has, and that `--only` takes. Imported where they run: nobody pays for the others."""
_NEEDS: Mapping[str, frozenset[str]] = {
    "identity": frozenset(),
    "image": frozenset({"identity"}),
    "placement": frozenset({"identity"}),
    "network": frozenset({"identity", "image", "placement", "compute"}),
    "compute": frozenset({"identity", "image", "placement", "network"}),
    "object-store": frozenset({"identity"}),
}


def _needs(settings: Settings, name: str) -> frozenset[str]:
    """What a service can't do without. An object store with users of its own needs nobody's."""
    if name == "object-store" and settings.object_store.tempauth.users:
        return frozenset()
    return _NEEDS[name]


HOST = frozenset({"network", "compute"})
"""Services that do something to the host: they need root, and leave something that has to be taken down."""


def chosen(settings: Settings) -> tuple[str, ...]:
    """The services that run, in order. Raises ConfigError where one does not exist, or lacks what it needs."""
    wanted = set(settings.only or SERVICES)
    if unknown := sorted(wanted - set(SERVICES)):
        raise ConfigError(f"there is no service {unknown[0]!r}; there are {', '.join(SERVICES)}")
    needs = {name: _needs(settings, name) for name in wanted}
    needed = wanted.union(*needs.values())
    if needed != wanted:
        said = ",".join(name for name in SERVICES if name in needed)
        missing = next(name for name in SERVICES if name in needed - wanted)
        asking = next(name for name in SERVICES if missing in needs.get(name, ()))
        raise ConfigError(f"{asking} can't do without {missing}: --only {said}")
    return tuple(name for name in SERVICES if name in wanted)


def needs_host(settings: Settings) -> bool:
    """Whether what runs makes guests and networks on this host."""
    return not settings.sim and not HOST.isdisjoint(chosen(settings))


def load(*names: str) -> tuple[Service, ...]:
    """Those of these names, and the one that belongs to none."""
    return (common.service, *(pkgutil.resolve_name(each) for name in names for each in SERVICES[name]))


def running(settings: Settings) -> tuple[Service, ...]:
    return load(*chosen(settings))
