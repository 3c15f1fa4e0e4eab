"""What every hypervisor driver keeps, as one suite of tests over a `Rig` that knows the driver's own ways.

A driver's tests derive a class from `HypervisorContract` and give it a fixture `rig`.
"""

from pileus.testing.contract.hypervisor.rig import Rig
from pileus.testing.contract.hypervisor.suite import HypervisorContract

__all__ = ["HypervisorContract", "Rig"]
