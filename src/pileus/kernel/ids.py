"""New identifiers: UUIDs, Keystone's dashless ones, request ids.

Randomness is drawn from the operating system in batches, since a `getrandom` call for each id costs more
than all the rest. Ids are unique and unguessable, yet no secrets: tokens and passwords come from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

BATCH: Final = 128
"""Ids made from one draw of randomness."""

_VARIANTS: Final = "89ab"


class IdSource:
    """Makes ids from `randbytes`: the system's by default, `random.Random(seed).randbytes` in a simulation.

    May be used from any thread; a forked process starts with an empty batch and so repeats no id.
    """

    def __init__(self, randbytes: Callable[[int], bytes] = os.urandom) -> None:
        self._randbytes = randbytes
        self._batch: list[str] = []
        os.register_at_fork(after_in_child=self._batch.clear)

    def uuid(self) -> str:
        """A random UUID (RFC 9562, version 4) in its text form, lower case."""
        try:
            return self._batch.pop()
        except IndexError:
            fresh = self._draw()
            newest = fresh.pop()
            self._batch.extend(fresh)
            return newest

    def hex(self) -> str:
        """A random UUID as 32 hexadecimal digits: the ids of Keystone's projects, users and roles."""
        return self.uuid().replace("-", "")

    def request_id(self) -> str:
        """`req-` and a UUID, the value of `X-Openstack-Request-Id`."""
        return "req-" + self.uuid()

    def _draw(self) -> list[str]:
        digits = self._randbytes(16 * BATCH).hex()
        return [
            f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANTS[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
            for h in (digits[i : i + 32] for i in range(0, 32 * BATCH, 32))
        ]


_system = IdSource()

new_uuid = _system.uuid
new_hex = _system.hex
new_request_id = _system.request_id
