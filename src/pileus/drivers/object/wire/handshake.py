"""Who is there: both ends prove that they have the cluster's key, and nobody else learns anything but a version.

client: magic, version, nonce        server: magic, version, nonce
client: HMAC of both nonces          server: HMAC of both nonces, under another label
"""

from __future__ import annotations

import hmac
import secrets
import stat
from pathlib import Path

MAGIC = b"PLWR"
VERSION = 1
NONCE_BYTES = PROOF_BYTES = KEY_BYTES = 32
HELLO_BYTES = len(MAGIC) + 2 + NONCE_BYTES


class HandshakeError(Exception):
    """The other end is none of ours; the message says why."""


class KeyFileError(Exception):
    """The cluster's key can't be had; the message says why, and what helps."""


def read_key(path: Path) -> bytes:
    """The cluster's key: 64 hexadecimal digits in a file that nobody but its owner may read. Raises KeyFileError."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise KeyFileError(
            f"there is no cluster key {path}: `pileus keys cluster {path}` makes one; all servers need the same"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"the cluster key {path} can't be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(f"others may read the cluster key {path}: chmod 600 {path}")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            f"{path} holds no cluster key, which is {2 * KEY_BYTES} hexadecimal digits: `pileus keys cluster` makes one"
        )
    return key


class Handshake:
    """One end's part. `begin` is what it sends first, `feed` takes what comes; both without I/O."""

    def __init__(self, key: bytes, *, server: bool) -> None:
        self._key = key
        self._server = server
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._got = bytearray()
        self._proof: bytes | None = None
        """What the other end must send, once its nonce is known."""
        self.done = False

    def _hello(self) -> bytes:
        return MAGIC + VERSION.to_bytes(2, "big") + self._nonce

    def begin(self) -> bytes:
        return b"" if self._server else self._hello()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What to answer, and what came behind the handshake, once `done`. Raises HandshakeError."""
        self._got += data
        answer = b""
        if self._proof is None:
            if not self._got.startswith(MAGIC[: len(self._got)]):
                raise HandshakeError("it does not speak this protocol")
            if len(self._got) < HELLO_BYTES:
                return b"", b""
            answer = self._greeted()
        if len(self._got) < PROOF_BYTES:
            return answer, b""
        proof, rest = bytes(self._got[:PROOF_BYTES]), bytes(self._got[PROOF_BYTES:])
        assert self._proof is not None
        if not hmac.compare_digest(proof, self._proof):
            raise HandshakeError("it does not have the cluster's key")
        self.done = True
        self._got.clear()
        return (answer + self._own_proof if self._server else answer), rest

    def _greeted(self) -> bytes:
        version = int.from_bytes(self._got[4:6], "big")
        theirs = bytes(self._got[6:HELLO_BYTES])
        del self._got[:HELLO_BYTES]
        if version != VERSION:
            raise HandshakeError(f"it speaks version {version} of the protocol, this one {VERSION}")
        nonces = theirs + self._nonce if self._server else self._nonce + theirs
        client = hmac.digest(self._key, b"pileus wire client" + nonces, "sha256")
        server = hmac.digest(self._key, b"pileus wire server" + nonces, "sha256")
        self._proof, self._own_proof = (client, server) if self._server else (server, client)
        return self._hello() if self._server else client
