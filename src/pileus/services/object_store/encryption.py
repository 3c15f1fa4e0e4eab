"""Encryption at rest: what reaches a disk is unreadable without the root secrets, but for names, sizes and times.

An object's bytes are AES-256-CTR under a random key of their own. That key and all of the object's metadata are sealed
(AES-256-GCM) under a key made of a root secret and the object's path, as Swift's keymaster makes its keys (Swift's
documentation, "Object Encryption"); etags in a container's list are sealed under the container's. Nothing above knows:
`EncryptedDevice` and `EncryptedListings` stand before the real ones, and give what is not encrypted as it is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from pileus.kernel.config import ConfigError
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, ObjectDevice, ObjectWriter, Told, Version
from pileus.services.object_store.listings import (
    Ask,
    Form,
    Listings,
    ObjectEntry,
)

log = structlog.get_logger("pileus.object_store")
SECRET_BYTES = 32
_SEALED = b"\xc1\x01"
"""Begins sealed metadata. MessagePack never uses this byte, so no plain metadata begin with it."""
_NONCE_BYTES = 12
_IN_THREAD_BYTES = 256 * 1024
"""From here on a hop to a thread costs less than it saves the loop."""
_ETAG = "sealed:"
_LISTED = re.compile(rb'((?:"hash":\s?")|(?:<hash>))' + _ETAG.encode() + rb"([\w.-]+):([\w=-]+)")
"""A sealed etag in a list as JSON or XML. Names can't look like it: in them quotes and brackets are escaped."""


class ObjectKey(msgspec.Struct, array_like=True, frozen=True):
    """What a body is encrypted with."""

    key: bytes
    """32 bytes."""
    iv: bytes
    """16 bytes."""

    @classmethod
    def new(cls) -> ObjectKey:
        return cls(os.urandom(32), os.urandom(16))


class BodyCipher:
    """AES-256-CTR from any offset; the same both ways. `iv` is the counter of the first byte."""

    def __init__(self, key: bytes, iv: bytes, offset: int = 0) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        blocks, into = divmod(offset, 16)
        counter = (int.from_bytes(iv, "big") + blocks) % 2**128
        self._context = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor()
        self._context.update(bytes(into))

    async def pass_through(self, chunk: bytes | memoryview) -> bytes:
        """The next bytes, encrypted or decrypted; large ones off the loop."""
        if len(chunk) < _IN_THREAD_BYTES:
            return self._context.update(chunk)
        return await asyncio.to_thread(self._context.update, chunk)


async def through(cipher: BodyCipher, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A stream, encrypted or decrypted."""
    async for chunk in chunks:
        yield await cipher.pass_through(chunk)


class Keymaster:
    """Root secrets by id. All can open; the one whose id sorts last seals."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._secrets = dict(sorted(secrets.items()))
        for name, secret in self._secrets.items():
            if not re.fullmatch(r"[\w.-]{1,64}", name, re.ASCII):
                raise ConfigError(
                    f"the encryption secret's id {name!r} may have letters, digits, '.', '_' and '-'"
                )
            if len(secret) < SECRET_BYTES:
                raise ConfigError(f"the encryption secret {name!r} is shorter than {SECRET_BYTES} bytes")

    def __bool__(self) -> bool:
        return bool(self._secrets)

    @property
    def newest(self) -> str:
        return next(reversed(self._secrets))

    def key(self, secret: str, path: str) -> bytes:
        """Raises DeviceError where there is no such secret any more."""
        root = self._secrets.get(secret)
        if root is None:
            raise DeviceError(f"the root secret {secret!r} is gone that {path} was encrypted with")
        return hmac.digest(root, f"/{path}".encode(), "sha256")

    def seal(self, path: str, plain: bytes) -> tuple[str, bytes]:
        """The id of the secret, and the bytes with their nonce."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return self.newest, nonce + AESGCM(self.key(self.newest, path)).encrypt(nonce, plain, None)

    def open(self, path: str, secret: str, sealed: bytes) -> bytes:
        """Raises DeviceError where the bytes are not what was sealed, or the secret is another than it was."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self.key(secret, path)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            raise DeviceError(f"what is kept with {path} does not open with the secret {secret!r}") from error


def keymaster(folder: Path, given: Mapping[str, str], *, make: bool) -> Keymaster:
    """From the settings (id to base64), else from files in the folder, one a secret; `make`: the first is made now."""
    texts = dict(given)
    if not texts:
        if make and not (folder.is_dir() and any(folder.iterdir())):
            _make_secret(folder)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        texts = {file.name: file.read_text() for file in files if not file.name.startswith(".")}
    try:
        return Keymaster(
            {name: base64.b64decode(text.strip(), validate=True) for name, text in texts.items()}
        )
    except binascii.Error as error:
        raise ConfigError(f"an encryption secret is no base64: {error}") from error


def _make_secret(folder: Path) -> None:
    """Durable before anything is encrypted with it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = folder / ".new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(base64.b64encode(os.urandom(SECRET_BYTES)) + b"\n")
        file.flush()
        os.fsync(fd)
    new.rename(folder / "0001")
    for each in (folder, folder.parent):
        fd = os.open(each, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def encrypted(
    devices: Mapping[int, ObjectDevice],
    listings: Listings,
    folder: Path,
    given: Mapping[str, str],
    *,
    on: bool,
) -> tuple[Mapping[int, ObjectDevice], Listings]:
    """With `on`, what is written from now on is encrypted; what was before is read as it is, in either case."""
    master = keymaster(folder, given, make=on)
    if not master:
        return devices, listings
    sealed = {index: EncryptedDevice(device, master, on=on) for index, device in devices.items()}
    return sealed, EncryptedListings(listings, master, on=on)


class _Sealed(msgspec.Struct, array_like=True, frozen=True):
    """The envelope, behind `_SEALED`."""

    secret: str
    sealed: bytes


class _Inside(msgspec.Struct, array_like=True, frozen=True):
    body: ObjectKey
    metadata: bytes


class _Below(NamedTuple):
    found: Version
    key: ObjectKey


_encode = msgspec.msgpack.Encoder().encode
_decode_sealed = msgspec.msgpack.Decoder(_Sealed).decode
_decode_inside = msgspec.msgpack.Decoder(_Inside).decode


class EncryptedDevice:
    """An `ObjectDevice` before another, which sees sealed metadata and encrypted bytes."""

    def __init__(self, below: ObjectDevice, master: Keymaster, *, on: bool = True) -> None:
        self._below = below
        self._master = master
        self._on = on

    async def start(self, told: Told, since: str) -> None:
        def tell(version: Version) -> None:
            try:
                told(self._open(version))
            except DeviceError as error:
                log.error("an object can't be listed", path=version.path, cause=str(error))

        await self._below.start(tell, since)

    def mark(self) -> str:
        return self._below.mark()

    async def close(self) -> None:
        await self._below.close()

    def _seal(self, path: str, key: ObjectKey, metadata: bytes) -> bytes:
        secret, sealed = self._master.seal(path, _encode(_Inside(key, metadata)))
        return _SEALED + _encode(_Sealed(secret, sealed))

    def _inside(self, path: str, metadata: bytes) -> _Inside:
        envelope = _decode_sealed(metadata[len(_SEALED) :])
        return _decode_inside(self._master.open(path, envelope.secret, envelope.sealed))

    def _open(self, version: Version) -> Version:
        if version.deleted or not version.metadata.startswith(_SEALED):
            return version
        inside = self._inside(version.path, version.metadata)
        return version._replace(metadata=inside.metadata, body=None, below=_Below(version, inside.body))

    async def find(self, key: bytes) -> Version | None:
        version = await self._below.find(key)
        return None if version is None else self._open(version)

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        if self._on:
            own = ObjectKey.new()
            metadata = self._seal(path, own, metadata)
            body = await BodyCipher(own.key, own.iv).pass_through(body)
        await self._below.put(key, path, timestamp, metadata, body)

    def writer(self, key: bytes, path: str) -> ObjectWriter:
        below = self._below.writer(key, path)
        return _Writer(below, path, self._seal) if self._on else below

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        if not isinstance(version.below, _Below):
            return self._below.read(key, version, offset, length)
        found, own = version.below
        cipher = BodyCipher(own.key, own.iv, offset)
        return through(cipher, self._below.read(key, found, offset, length))

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        path = (await self._below.find(key) or _NOWHERE).path
        changed: dict[bytes, bytes] = {}

        def change_sealed(old: bytes) -> bytes:
            if old not in changed:  # replicas are to agree, and each sealing differs
                if old.startswith(_SEALED):
                    inside = self._inside(path, old)
                    changed[old] = self._seal(path, inside.body, change(inside.metadata))
                else:
                    changed[old] = change(old)
            return changed[old]

        return self._open(await self._below.update(key, timestamp, change_sealed))

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        await self._below.delete(key, path, timestamp)

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        return await self._below.claim(key, holder, timestamp, seconds)

    async def release(self, key: bytes, holder: bytes) -> bool:
        return await self._below.release(key, holder)

    async def tidy(self, forget_before: Timestamp) -> int:
        return await self._below.tidy(forget_before)


_NOWHERE = Version("", Timestamp(0), Timestamp(0), 0, b"", True, None)


class _Writer:
    def __init__(
        self, below: ObjectWriter, path: str, seal: Callable[[str, ObjectKey, bytes], bytes]
    ) -> None:
        self._below = below
        self._path = path
        self._seal = seal
        self._own = ObjectKey.new()
        self._cipher = BodyCipher(self._own.key, self._own.iv)

    async def write(self, chunk: bytes | memoryview) -> None:
        await self._below.write(await self._cipher.pass_through(chunk))

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        await self._below.finish(timestamp, self._seal(self._path, self._own, metadata))

    async def abort(self) -> None:
        await self._below.abort()


class EncryptedListings:
    """`Listings` before others, which see sealed etags."""

    def __init__(self, below: Listings, master: Keymaster, *, on: bool = True) -> None:
        self._below = below
        self._master = master
        self._on = on
        # Nothing but entries of objects holds any etag.
        self.start, self.close, self.settle = below.start, below.close, below.settle
        self.account, self.set_account = below.account, below.set_account
        self.delete_account, self.containers_left = below.delete_account, below.containers_left
        self.container, self.set_container = below.container, below.set_container
        self.delete_container, self.word = below.delete_container, below.word
        self.list_containers = below.list_containers

    def note(self, account: str, container: str, entry: ObjectEntry) -> None:
        if self._on and entry.etag:
            secret, sealed = self._master.seal(f"{account}/{container}", entry.etag.encode())
            etag = f"{_ETAG}{secret}:{base64.urlsafe_b64encode(sealed).decode()}"
            entry = entry._replace(etag=etag)
        self._below.note(account, container, entry)

    async def list_objects(self, account: str, container: str, ask: Ask, form: Form) -> bytes | None:
        body = await self._below.list_objects(account, container, ask, form)
        if body is None or form == "plain" or _ETAG.encode() not in body:
            return body
        return await asyncio.to_thread(self._opened, f"{account}/{container}", body)

    def _opened(self, path: str, body: bytes) -> bytes:
        def opened(found: re.Match[bytes]) -> bytes:
            before, secret, sealed = found.groups()
            return before + self._master.open(path, secret.decode(), base64.urlsafe_b64decode(sealed))

        return _LISTED.sub(opened, body)
