"""Compute alone, for its tests, among neighbours in memory."""

from pileus.testing.compute.alone import ComputeUnderTest, compute_alone
from pileus.testing.compute.needs import FakeNeeds

__all__ = ["ComputeUnderTest", "FakeNeeds", "compute_alone"]
