"""Swift's timestamps: seconds with five decimals, and an offset that orders what happened to one object at one time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

UNITS_A_SECOND = 100_000
_FORM = re.compile(r"^(\d{1,11})(?:\.(\d{1,10}))?(?:_([0-9a-fA-F]{1,16}))?$")


class Timestamp(NamedTuple):
    """Compares as Swift's do. `units` are ten microseconds since 1970; `offset` is 0 for what a client did."""

    units: int
    offset: int = 0

    @classmethod
    def at(cls, seconds: float) -> Timestamp:
        return cls(int(seconds * UNITS_A_SECOND))

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """Any of `1700000000`, `1700000000.12345` and `1700000000.12345_00000000000000ff`. Raises ValueError."""
        matched = _FORM.match(text.strip())
        if matched is None:
            raise ValueError(f"{text!r} is not a timestamp")
        seconds, decimals, offset = matched.groups()
        units = int(seconds) * UNITS_A_SECOND + int(((decimals or "") + "00000")[:5])
        return cls(units, int(offset or "0", 16))

    @property
    def seconds(self) -> float:
        return self.units / UNITS_A_SECOND

    @property
    def normal(self) -> str:
        """`1700000000.12345`, as `X-Timestamp` has it."""
        digits = f"{self.units:015d}"
        return f"{digits[:-5]}.{digits[-5:]}"

    @property
    def internal(self) -> str:
        """With the offset, where there is one."""
        return f"{self.normal}_{self.offset:016x}" if self.offset else self.normal

    @property
    def whole_seconds(self) -> int:
        """Rounded up, as `Last-Modified` has it."""
        return -(-self.units // UNITS_A_SECOND)

    @property
    def http(self) -> str:
        """`Tue, 14 Nov 2023 22:13:21 GMT`: `whole_seconds`, as headers have it."""
        return _http(self.whole_seconds)

    @property
    def iso(self) -> str:
        """`2023-11-14T22:13:20.123450`, as listings have it."""
        moment = datetime.fromtimestamp(self.units // UNITS_A_SECOND, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{self.units % UNITS_A_SECOND:05d}0"


@lru_cache(maxsize=4096)
def _http(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


ZERO = Timestamp(0)
