"""What every object device keeps."""

from pileus.testing.contract.object.suite import ObjectDeviceContract

__all__ = ["ObjectDeviceContract"]
