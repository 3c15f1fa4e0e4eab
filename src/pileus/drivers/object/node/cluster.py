"""A proxy's object store: nothing of it here, all of it on storage nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.member import Member as ObjectMember
from pileus.drivers.object.erasure.assemble import assemble, scheme_of
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.listing.entering import path_of
from pileus.drivers.object.listing.member import Member as ListingMember
from pileus.drivers.object.listing.placement import Placement
from pileus.drivers.object.listing.store import RingListings
from pileus.drivers.object.node.follower import RingFollower
from pileus.drivers.object.node.rings import Rings, devices_of, list_target, object_target, record_target
from pileus.drivers.object.wire.members import Peers
from pileus.kernel.clock import Clock
from pileus.lib.ring import Ring
from pileus.lib.ring.affinity import NONE, Affinity
from pileus.services.object_store.driver import ObjectDevice


def remote_objects(
    ring: Ring, policy: int, peers: Peers, target: Callable[[str, int], str] = object_target
) -> dict[int, ObjectMember]:
    """By the ids of the ring's devices. `target`: what of them."""
    return {
        each.id: cast(ObjectMember, peers.objects(each.ip, each.port, target(each.device, policy)))
        for each in devices_of(ring)
    }


def remote_lists(ring: Ring, peers: Peers) -> dict[int, ListingMember]:
    """By the ids of the ring's devices."""
    return {
        each.id: cast(ListingMember, peers.listings(each.ip, each.port, list_target(each.device)))
        for each in devices_of(ring)
    }


class OnNodes:
    """Objects by storage policy, and lists, by the rings as they are at the moment."""

    def __init__(
        self, rings: Rings, key: bytes, folder: Path, clock: Clock, affinity: Affinity = NONE
    ) -> None:
        """`folder` keeps what this proxy has not been able to tell yet, `affinity` says what it prefers.

        Raises Unusable where objects can't be coded as a policy says.
        """
        self._peers = peers = Peers(key)
        self.follower = RingFollower(rings, clock, self._change)
        self._replicated: dict[int, ObjectCluster] = {}
        self._coded: dict[int, ErasureDevice] = {}
        for policy, ring in rings.objects.items():
            members, coding = remote_objects(ring, policy, peers), rings.coding(policy)
            if coding is None:
                self._replicated[policy] = ObjectCluster(ring, members, clock, affinity=affinity)
            else:
                records = remote_objects(ring, policy, peers, record_target)
                device, _ = assemble(ring, members, records, scheme_of(coding), clock, "", near=affinity.near)
                self._coded[policy] = device
        self.devices: dict[int, ObjectDevice] = {**self._replicated, **self._coded}
        self.listings = _Lists(Placement(remote_lists(rings.lists, peers), rings.lists), folder, clock, peers)

    async def _change(self, rings: Rings) -> None:
        self.listings.router.placement.change(rings.lists, remote_lists(rings.lists, self._peers))
        for policy, ring in rings.objects.items():
            members = remote_objects(ring, policy, self._peers)
            if policy in self._replicated:
                await self._replicated[policy].change(ring, members)
            else:
                records = remote_objects(ring, policy, self._peers, record_target)
                await self._coded[policy].change(ring, members, records)


class _Lists(RingListings):
    """Other proxies change them, too. Closed last, and with them the connections."""

    def __init__(self, placement: Placement, folder: Path, clock: Clock, peers: Peers) -> None:
        super().__init__(placement, folder, clock)
        self._peers = peers

    async def word(self, account: str, container: str | None = None) -> str | None:
        return await self.router.word(account if container is None else path_of(account, container))

    async def close(self) -> None:
        await super().close()
        await self._peers.close()
