"""Errors as values that cross the wire and are raised again on the other side."""

from __future__ import annotations

import msgspec

from pileus.drivers.object.cluster.member import Broken
from pileus.drivers.object.listing.member import MemberAway
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Missing, Superseded
from pileus.services.object_store.listings import NoSuchContainer, NotEmpty


class Unreachable(MemberAway):
    """The server did not answer; the message names it."""


class Misunderstood(DeviceError):
    """The server does not know what was asked of it; the message says what."""


class _Error(msgspec.Struct, array_like=True):
    kind: str
    message: str = ""
    when: Timestamp | None = None
    deleted: bool = False


_PLAIN: dict[str, type[Exception]] = {
    "full": DeviceFull,
    "broken": Broken,
    "misunderstood": Misunderstood,
    "away": MemberAway,
    "device": DeviceError,
    "no container": NoSuchContainer,
    "not empty": NotEmpty,
}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Error).decode


def encode_error(error: Exception) -> bytes | None:
    """None for what is no answer, but a defect."""
    if isinstance(error, Superseded):
        return _encode(_Error("superseded", when=error.newest, deleted=error.deleted))
    if isinstance(error, Missing):
        return _encode(_Error("missing", when=error.deleted_at))
    for name, kind in _PLAIN.items():
        if isinstance(error, kind):
            return _encode(_Error(name, str(error)))
    return None


def decode_error(payload: bytes) -> Exception:
    try:
        error = _decode(payload)
    except msgspec.DecodeError:
        return DeviceError("the server's error can't be read")
    if error.kind == "superseded" and error.when is not None:
        return Superseded(error.when, deleted=error.deleted)
    if error.kind == "missing":
        return Missing(error.when)
    return _PLAIN.get(error.kind, DeviceError)(error.message)
