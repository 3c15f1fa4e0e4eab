"""What every object device keeps, and every member of a ring of them."""

from pileus.testing.contract.object.member import MemberContract
from pileus.testing.contract.object.suite import ObjectDeviceContract

__all__ = ["MemberContract", "ObjectDeviceContract"]
