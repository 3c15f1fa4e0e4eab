"""CRC-32 as zlib has it (polynomial 0x04C11DB7, reflected), computed by ISA-L.

Of 4 KiB in 0.13 µs, of a mebibyte at 40 GB/s; zlib takes six to eight times as long. Every record of an object is
checked with it.
"""

from __future__ import annotations

from collections.abc import Callable

from isal.isal_zlib import crc32 as _crc32

crc32: Callable[..., int] = _crc32
"""`crc32(data, value=0)`: `value` is what the bytes before gave."""
