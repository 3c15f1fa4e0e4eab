"""Consistent-hash rings: which devices hold what, as OpenStack Swift's rings say it, in Swift's own file formats.

`Builder` is where an operator's wishes go in and partitions get assigned; `Ring` is the outcome, flat and read-only.
"""

from pileus.lib.ring.builder import Builder, BuilderError, Rebalanced
from pileus.lib.ring.composite import compose
from pileus.lib.ring.device import Device
from pileus.lib.ring.file import RingFileError, decode, encode
from pileus.lib.ring.ring import NameHash, Ring

__all__ = [
    "Builder",
    "BuilderError",
    "Device",
    "NameHash",
    "Rebalanced",
    "Ring",
    "RingFileError",
    "compose",
    "decode",
    "encode",
]
