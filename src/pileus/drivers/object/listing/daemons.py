"""The walks that keep lists right."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.drivers.object.listing.passes import Walker
from pileus.drivers.object.listing.reclaimer import ListReclaimer
from pileus.drivers.object.listing.replicator import ListReplicator
from pileus.drivers.object.listing.sharder import SHARD_ROWS, ListSharder
from pileus.drivers.object.listing.sqlite import SqliteMember
from pileus.drivers.object.listing.store import RingListings
from pileus.drivers.object.listing.updater import BacklogUpdater, ListUpdater
from pileus.kernel.clock import Clock
from pileus.services.object_store.daemons import Daemon
from pileus.services.object_store.driver import RECLAIM_SECONDS


def node_daemons(
    members: Mapping[int, SqliteMember],
    listings: RingListings,
    clock: Clock,
    *,
    shard_rows: int = SHARD_ROWS,
    reclaim_seconds: float = RECLAIM_SECONDS,
) -> list[Daemon]:
    """Of whoever has devices: `members` are its own, by their ids in the ring; `listings` reaches the others'."""
    walkers: list[Walker] = [
        ListUpdater(members, listings, clock),
        ListSharder(members, listings, clock, shard_rows=shard_rows),
        ListReclaimer(members, listings, clock, reclaim_seconds=reclaim_seconds),
    ]
    if listings.router.placement.ring is not None:
        walkers.append(ListReplicator(members, listings, clock, reclaim_seconds=reclaim_seconds))
    return list(walkers)


def teller_daemons(listings: RingListings) -> list[Daemon]:
    """Of whoever tells lists of changes."""
    return [BacklogUpdater(listings)]
