"""Checksums beside the etag: CRC32, CRC32C, CRC64NVME, MD5, SHA-1, SHA-256, SHA-512 (S3 User Guide, "Checking object integrity").

They go over what the client sees, and are written in base64, big-endian. Of a multipart upload there are two types:
FULL_OBJECT, of all bytes, which CRCs can be combined to; and COMPOSITE, of the parts' checksums, with their number.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

from pileus.lib.crc32 import crc32
from pileus.services.object_store.s3.errors import S3Error

Kind = Literal["FULL_OBJECT", "COMPOSITE"]
HEADER = "x-amz-checksum-"
ALGORITHM_HEADERS = ("x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm")
"""Of an object or a part, of a multipart upload: which one is to be computed."""


class Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, calc: Callable[[bytes, int], int], size: int, start: int = 0) -> None:
        self._calc, self._size, self._value = calc, size, start

    def update(self, data: bytes) -> None:
        self._value = self._calc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


@cache
def _model(name: str) -> Any:
    import anycrc

    return anycrc.Model(name)


class Algorithm(NamedTuple):
    name: str
    """`CRC32C`, as bodies and headers name it."""
    digest_bytes: int
    model: str | None
    """How anycrc calls it; None of hashes."""

    @property
    def header(self) -> str:
        return HEADER + self.name.lower()

    @property
    def element(self) -> str:
        """Its name in answers: `ChecksumCRC32C`."""
        return "Checksum" + self.name

    def new(self) -> Hasher:
        if self.name == "CRC32":
            return _Crc(crc32, 4)
        if self.model is not None:
            calc = _model(self.model).calc
            return _Crc(lambda data, value: calc(data, value), self.digest_bytes, calc(b""))
        return hashlib.new(self.name.lower(), usedforsecurity=False)

    def digest(self, data: bytes) -> bytes:
        hasher = self.new()
        hasher.update(data)
        return hasher.digest()

    def of(self, data: bytes) -> str:
        """In base64."""
        return encode(self.digest(data))

    def default_kind(self) -> Kind:
        return "FULL_OBJECT" if self.name == "CRC64NVME" else "COMPOSITE"


ALGORITHMS = {
    each.name: each
    for each in (
        Algorithm("CRC32", 4, "CRC32"),
        Algorithm("CRC32C", 4, "CRC32C"),
        Algorithm("CRC64NVME", 8, "CRC64-NVME"),
        Algorithm("MD5", 16, None),
        Algorithm("SHA1", 20, None),
        Algorithm("SHA256", 32, None),
        Algorithm("SHA512", 64, None),
    )
}


_UNKNOWN = frozenset(HEADER + each for each in ("xxhash64", "xxhash3", "xxhash128"))
_TELLING = frozenset(
    (*(each.header for each in ALGORITHMS.values()), "x-amz-trailer", *ALGORITHM_HEADERS, *_UNKNOWN)
)


class Checksum(NamedTuple):
    """As it is kept with an object or a part."""

    algorithm: Algorithm
    value: str
    """Base64, with `-5` behind it where it is of five parts' checksums."""
    kind: Kind = "FULL_OBJECT"

    def stored(self) -> str:
        return f"{self.algorithm.name} {self.value} {self.kind}"

    def headers(self) -> dict[str, str]:
        return {self.algorithm.header: self.value, "x-amz-checksum-type": self.kind}

    def elements(self) -> list[tuple[str, str]]:
        return [(self.algorithm.element, self.value), ("ChecksumType", self.kind)]


def load(stored: str) -> Checksum:
    """From what `Checksum.stored` gave."""
    name, value, kind = stored.split(" ")
    return Checksum(ALGORITHMS[name], value, "COMPOSITE" if kind == "COMPOSITE" else "FULL_OBJECT")


class Wanted(NamedTuple):
    """What a request says of its body's checksum."""

    algorithm: Algorithm
    value: str | None
    """None: it comes behind the body, in the trailer called as the algorithm's header, or is not told."""
    trailing: bool = False

    def check(self, digest: bytes, trailers: Mapping[str, str]) -> Checksum:
        """400 where the body is another."""
        given = self.value
        if self.trailing:
            given = trailers.get(self.algorithm.header)
            if given is None:
                raise S3Error(
                    "MalformedTrailerError",
                    f"The trailer {self.algorithm.header} that x-amz-trailer announces did not come.",
                )
            _require_well_formed(self.algorithm, given)
        value = encode(digest)
        if given is not None and given != value:
            raise mismatch(self.algorithm)
        return Checksum(self.algorithm, value)


def mismatch(algorithm: Algorithm) -> S3Error:
    return S3Error("BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum.")


def wanted(headers: Mapping[str, str]) -> Wanted | None:
    """The checksum that a request with a body asks for or gives. 400 where it gives two, or one that can't be."""
    if _TELLING.isdisjoint(headers):
        return None
    if unknown := _UNKNOWN.intersection(headers):
        raise S3Error("NotImplemented", f"There is no checksum {min(unknown)} here.")
    named = [each for each in ALGORITHMS.values() if each.header in headers]
    trailer = (headers.get("x-amz-trailer") or "").strip().lower()
    trailing = [each for each in ALGORITHMS.values() if each.header == trailer]
    if trailer.startswith(HEADER) and not trailing:
        raise S3Error("InvalidRequest", f"There is no checksum {trailer}.")
    if len(named) + len(trailing) > 1:
        raise S3Error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    asked = algorithm_named(headers)
    for algorithm in [*named, *trailing]:
        if asked is not None and asked is not algorithm:
            raise S3Error(
                "InvalidRequest",
                f"Value for x-amz-sdk-checksum-algorithm header is invalid: the body comes with {algorithm.name}.",
            )
        if trailing:
            return Wanted(algorithm, None, trailing=True)
        value = headers[algorithm.header]
        _require_well_formed(algorithm, value)
        return Wanted(algorithm, value)
    return None if asked is None else Wanted(asked, None)


def algorithm_named(headers: Mapping[str, str]) -> Algorithm | None:
    """What `x-amz-sdk-checksum-algorithm` or `x-amz-checksum-algorithm` names; 400 where it is unknown."""
    for header in ALGORITHM_HEADERS:
        if named := headers.get(header):
            if (found := ALGORITHMS.get(named.upper())) is None:
                raise S3Error(
                    "InvalidRequest",
                    "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                    f"[{', '.join(ALGORITHMS)}]",
                )
            return found
    return None


def upload_kind(headers: Mapping[str, str], algorithm: Algorithm) -> Kind:
    """The type of checksum that a multipart upload will have. 400 where the algorithm has none of that type."""
    kind = (headers.get("x-amz-checksum-type") or algorithm.default_kind()).upper()
    possible: dict[str, Kind] = {}
    if algorithm.model is not None:
        possible["FULL_OBJECT"] = "FULL_OBJECT"
    if algorithm.name != "CRC64NVME":
        possible["COMPOSITE"] = "COMPOSITE"
    if kind not in possible:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.name} checksum algorithm.",
        )
    return possible[kind]


def of_parts(algorithm: Algorithm, kind: Kind, parts: Sequence[tuple[str, int]]) -> Checksum:
    """Of a multipart upload, from its parts' values and sizes in bytes."""
    digests = [base64.b64decode(value) for value, _ in parts]
    if kind == "COMPOSITE":
        return Checksum(algorithm, f"{algorithm.of(b''.join(digests))}-{len(parts)}", kind)
    model = _model(algorithm.model or "")
    value = model.calc(b"")
    for digest, (_, size) in zip(digests, parts, strict=True):
        value = model.combine(value, int.from_bytes(digest, "big"), size)
    return Checksum(algorithm, encode(value.to_bytes(algorithm.digest_bytes, "big")), kind)


def encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _require_well_formed(algorithm: Algorithm, value: str) -> None:
    try:
        fits = len(base64.b64decode(value, validate=True)) == algorithm.digest_bytes
    except (ValueError, binascii.Error):
        fits = False
    if not fits:
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} header is invalid.")
