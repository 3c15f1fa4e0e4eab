"""What every network engine keeps, as one suite of tests."""

from pileus.testing.contract.network.rig import Rig
from pileus.testing.contract.network.suite import NetworkContract

__all__ = ["NetworkContract", "Rig"]
