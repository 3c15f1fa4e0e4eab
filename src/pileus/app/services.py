"""Which services there are, which of them a process runs, and what each needs beside it."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.app.settings import Settings
from pileus.kernel.api import common
from pileus.kernel.api.service import Service
from pileus.kernel.config import ConfigError
from pileus.services.compute import service as compute
from pileus.services.identity import service as identity
from pileus.services.image import service as image
from pileus.services.network import service as network
from pileus.services.object_store import s3
from pileus.services.object_store import service as object_store
from pileus.services.placement import service as placement

SERVICES: Mapping[str, tuple[Service, ...]] = {
    "identity": (identity,),
    "image": (image,),
    "placement": (placement,),
    "network": (network,),
    "compute": (compute,),
    "object-store": (object_store, s3),
}
"""By the type that the catalog has, and that `--only` takes."""
ALL: tuple[Service, ...] = (common.service, *(each for several in SERVICES.values() for each in several))
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


def running(settings: Settings) -> tuple[Service, ...]:
    """Those that are chosen, and the one that belongs to none."""
    return (common.service, *(each for name in chosen(settings) for each in SERVICES[name]))
