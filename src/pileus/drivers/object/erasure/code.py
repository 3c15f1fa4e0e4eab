"""Segments to fragments and back, by PyECLib. A fragment begins with liberasurecode's header: its index, lengths, a CRC-32 of
its data, and one of the header."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

PREFERRED = ("isa_l_rs_cauchy", "liberasurecode_rs_vand")
"""Codes that any `data` fragments suffice for, the fastest first."""
_WEAK = "isa_l_rs_vand"
_WEAK_PARITY = 5
"""From so many on some losses can't be made good with that code (Swift, bug 1639691)."""


_HEADER_BYTES = 80


class Unusable(Exception):
    """This code can't be used here; the message says why."""


class Scheme(NamedTuple):
    """How an object was coded: kept with every fragment archive."""

    code: str
    data: int
    parity: int
    segment_bytes: int

    @property
    def fragments(self) -> int:
        return self.data + self.parity


def best() -> str:
    """The name of the fastest code that is there. Raises Unusable."""
    from_here = _available()
    return next(name for name in PREFERRED if name in from_here)


def _available() -> list[str]:
    try:
        from pyeclib.ec_iface import VALID_EC_TYPES
    except ImportError as error:
        raise Unusable(
            "erasure coding needs PyECLib, which is not there: pip install 'pileus[erasure]'"
        ) from error
    return list(VALID_EC_TYPES)


@lru_cache(maxsize=64)
def code_of(scheme: Scheme) -> Code:
    """Raises Unusable."""
    return Code(scheme)


class Code:
    def __init__(self, scheme: Scheme) -> None:
        names = _available()
        if scheme.code not in names:
            raise Unusable(f"there is no code {scheme.code!r} on this host; there are {', '.join(names)}")
        if scheme.code == _WEAK and scheme.parity >= _WEAK_PARITY:
            raise Unusable(
                f"{_WEAK} loses data with {_WEAK_PARITY} parity fragments or more; use {PREFERRED[0]}"
            )
        from pyeclib.ec_iface import ECDriver, ECDriverError

        self.scheme = scheme
        try:
            self._driver: Any = ECDriver(
                k=scheme.data, m=scheme.parity, ec_type=scheme.code, chksum_type="inline_crc32"
            )
        except ECDriverError as error:
            raise Unusable(f"{scheme.code} can't do {scheme.data}+{scheme.parity}: {error}") from error
        self.quorum: int = scheme.data + self._driver.min_parity_fragments_needed()
        """So many fragments must be durable before an object is: as Swift has it."""
        self.full_bytes = self.fragment_bytes(scheme.segment_bytes)
        """Of the fragment of a whole segment."""

    def fragment_bytes(self, length: int) -> int:
        """Of the fragment of a segment of so many bytes."""
        if length == 0:
            return 0
        found: int = self._driver.get_segment_info(length, self.scheme.segment_bytes)["fragment_size"]
        return found

    def archive_bytes(self, size: int) -> int:
        """Of all fragments of one index, for an object of so many bytes."""
        whole, rest = divmod(size, self.scheme.segment_bytes)
        return whole * self.full_bytes + self.fragment_bytes(rest)

    def segment_length(self, number: int, size: int) -> int:
        """Of a segment of an object of so many bytes."""
        return min(self.scheme.segment_bytes, size - number * self.scheme.segment_bytes)

    def encode(self, segment: bytes) -> list[bytes]:
        """Its fragments by index."""
        found: list[bytes] = self._driver.encode(segment)
        return found

    def is_whole(self, fragment: bytes, index: int) -> bool:
        """Whether it is what was written as that index's."""
        from pyeclib.ec_iface import ECDriverError

        # The library believes the header's length, whatever there is behind it.
        if len(fragment) < _HEADER_BYTES or len(fragment) != _HEADER_BYTES + _length_of(fragment):
            return False
        try:
            said: Any = self._driver.get_metadata(fragment, formatted=True)
        except ECDriverError:
            return False
        return bool(said["index"] == index and said["chksum_mismatch"] == 0)

    def decode(self, fragments: Mapping[int, bytes]) -> bytes:
        """The segment, from `data` of its fragments at least, each of them whole."""
        found: bytes = self._driver.decode(list(fragments.values()))
        return found

    def rebuild(self, fragments: Mapping[int, bytes], indexes: list[int]) -> list[bytes]:
        """Fragments that are not there."""
        found: list[bytes] = self._driver.reconstruct(list(fragments.values()), indexes)
        return found


def _length_of(fragment: bytes) -> int:
    """Of its data, as its header says."""
    return int.from_bytes(fragment[4:8], "little")
