"""Password hashes: scrypt (RFC 7914), always in a worker thread, always the same time whether a user exists or not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor

COST = 14
"""Some 30 ms and 16 MiB."""
_BLOCK, _PARALLEL = 8, 1
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
"""Few threads, so that a storm of logins does not starve the rest."""


class Passwords:
    """`cost`: binary logarithm of scrypt's N. Each more doubles a hash's time and its memory."""

    def __init__(self, cost: int = COST) -> None:
        self._rounds = 1 << cost
        self._nobodys = _written(self._rounds, bytes(16), bytes(32))

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(_THREADS, self.hash_now, password)

    def hash_now(self, password: str) -> str:
        """`scrypt$N$r$p$salt$hash`"""
        salt = os.urandom(16)
        return _written(self._rounds, salt, _scrypt(password, salt, self._rounds, _BLOCK, _PARALLEL))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether it is the password; `stored` None (no such user, no password) takes as long and says no."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_THREADS, _verify_now, password, stored or self._nobodys)


def _verify_now(password: str, stored: str) -> bool:
    kind, rounds, block, parallel, salt, digest = stored.split("$")
    if kind != "scrypt":
        return False
    computed = _scrypt(password, base64.b64decode(salt), int(rounds), int(block), int(parallel))
    return hmac.compare_digest(computed, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, rounds: int, block: int, parallel: int) -> bytes:
    # What it takes, 128 bytes a block and round, and some to spare.
    memory = 128 * block * (rounds + parallel + 32)
    return hashlib.scrypt(
        password.encode(), salt=salt, n=rounds, r=block, p=parallel, maxmem=memory, dklen=32
    )


def _written(rounds: int, salt: bytes, digest: bytes) -> str:
    return "$".join(["scrypt", str(rounds), str(_BLOCK), str(_PARALLEL), _text(salt), _text(digest)])


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
