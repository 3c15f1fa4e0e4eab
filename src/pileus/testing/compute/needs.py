"""Compute's neighbours in memory: images, networks and placement that keep their promises.

They are a world: they outlive the process that calls them. Every call takes a moment of the clock, so that
the crash harness finds points inside the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

from pileus.kernel.clock import Clock
from pileus.testing.compute.images import FakeImages
from pileus.testing.compute.networks import FakeNetworks
from pileus.testing.compute.placement import FakePlacement


@dataclass
class FakeNeeds:
    images: FakeImages
    networks: FakeNetworks
    placement: FakePlacement

    @classmethod
    def over(cls, clock: Clock) -> FakeNeeds:
        return cls(FakeImages(clock), FakeNetworks(clock), FakePlacement(clock))
