"""S3's checksums, beside AWS's own library and beside each other."""

from __future__ import annotations

import base64
import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.services.object_store.s3 import checksum
from pileus.services.object_store.s3.checksum import ALGORITHMS
from pileus.services.object_store.s3.errors import S3Error

CHECK = b"123456789"
KNOWN = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}
"""Of nine digits (catalogue of parametrised CRC algorithms)."""


def test_values() -> None:
    for name, expected in KNOWN.items():
        assert base64.b64decode(ALGORITHMS[name].of(CHECK)).hex() == expected
    assert base64.b64decode(ALGORITHMS["SHA256"].of(CHECK)) == hashlib.sha256(CHECK).digest()
    assert base64.b64decode(ALGORITHMS["SHA1"].of(CHECK)) == hashlib.sha1(CHECK).digest()


@given(
    st.sampled_from(sorted(ALGORITHMS)), st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4)
)
def test_in_pieces_and_of_parts(name: str, body: bytes, cuts: list[int]) -> None:
    algorithm = ALGORITHMS[name]
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(bounds)]
    hasher = algorithm.new()
    for piece in pieces:
        hasher.update(piece)
    assert checksum.encode(hasher.digest()) == algorithm.of(body)
    parts = [(algorithm.of(piece), len(piece)) for piece in pieces]
    if name != "CRC64NVME":
        composite = checksum.of_parts(algorithm, "COMPOSITE", parts)
        digests = b"".join(base64.b64decode(value) for value, _ in parts)
        assert composite.value == f"{algorithm.of(digests)}-{len(parts)}"
    if name.startswith("CRC"):
        whole = checksum.of_parts(algorithm, "FULL_OBJECT", parts)
        assert whole.value == algorithm.of(body)
        assert checksum.load(whole.stored()) == whole


def test_what_requests_say() -> None:
    value = ALGORITHMS["CRC32"].of(CHECK)
    assert checksum.wanted({}) is None
    told = checksum.wanted({"x-amz-checksum-crc32": value, "x-amz-sdk-checksum-algorithm": "CRC32"})
    assert told is not None
    assert told.check(base64.b64decode(value), {}).value == value
    with pytest.raises(S3Error) as wrong:
        told.check(b"\0\0\0\0", {})
    assert wrong.value.kind == "BadDigest"
    trailing = checksum.wanted({"x-amz-trailer": "x-amz-checksum-crc32"})
    assert trailing is not None
    assert trailing.check(base64.b64decode(value), {"x-amz-checksum-crc32": value}).value == value
    for trailers in ({}, {"x-amz-checksum-crc32": "x"}, {"x-amz-checksum-crc32": "AAAAAA=="}):
        with pytest.raises(S3Error):
            trailing.check(base64.b64decode(value), trailers)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-checksum-crc32": "\xff"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "AAAA"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32c"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "SHA1"},
        {"x-amz-trailer": "x-amz-checksum-xxhash64"},
        {"x-amz-sdk-checksum-algorithm": "XXHASH64"},
        {"x-amz-checksum-xxhash3": "AAAAAAAAAAA="},
    ],
)
def test_what_they_must_not_say(headers: dict[str, str]) -> None:
    with pytest.raises(S3Error):
        checksum.wanted(headers)


def test_types_of_uploads() -> None:
    assert checksum.upload_kind({}, ALGORITHMS["CRC32"]) == "COMPOSITE"
    assert checksum.upload_kind({}, ALGORITHMS["CRC64NVME"]) == "FULL_OBJECT"
    assert checksum.upload_kind({"x-amz-checksum-type": "FULL_OBJECT"}, ALGORITHMS["CRC32C"]) == "FULL_OBJECT"
    for name, kind in (("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "OTHER")):
        with pytest.raises(S3Error):
            checksum.upload_kind({"x-amz-checksum-type": kind}, ALGORITHMS[name])
