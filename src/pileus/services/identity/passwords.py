"""Password hashes: scrypt (RFC 7914), always in a worker thread, always the same time whether a user exists or not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor

_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_MEMORY = 64 * 1024 * 1024
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
"""Few threads, so that a storm of logins does not starve the rest."""


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=32)


def hash_now(password: str) -> str:
    """`scrypt$n$r$p$salt$hash`; takes some 40 ms."""
    salt = os.urandom(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)
    parts = [str(_COST), str(_BLOCK), str(_PARALLEL), _text(salt), _text(digest)]
    return "$".join(["scrypt", *parts])


def _verify_now(password: str, stored: str) -> bool:
    kind, cost, block, parallel, salt, digest = stored.split("$")
    if kind != "scrypt":
        return False
    computed = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(computed, base64.b64decode(digest))


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, hash_now, password)


_NOBODYS = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether it is the password; `stored` None (no such user, no password) takes as long and says no."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, _verify_now, password, stored or _NOBODYS)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
