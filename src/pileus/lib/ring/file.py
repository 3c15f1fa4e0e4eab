"""Swift's ring files, versions 1 and 2, as bytes (swift/common/ring/io.py tells the layout).

Both are gzip around `R1NG` and a version. Version 1 has a JSON header and rows of 16-bit ids in the writer's byte order.
Version 2 has named sections behind each other, an index of them, and at its end the index's place, twice: in the plain
bytes and in the compressed ones, so that a reader may begin there. Equal rings make equal bytes.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from array import array
from typing import Any

import msgspec

from pileus.lib.ring.device import TYPE_CODES, Device, id_bytes
from pileus.lib.ring.ring import NameHash, Ring

MAGIC = b"R1NG"
MTIME = 1300507380
"""In each gzip header, so that equal rings are equal files; Swift writes the same."""
_CHECKSUMS = ("md5", "sha1", "sha256", "sha512")


class RingFileError(Exception):
    """Not a ring file, or a broken one; the message says what is wrong."""


def decode(data: bytes, name_hash: NameHash | None = None) -> Ring:
    """Reads a ring file of either version. Raises RingFileError."""
    try:
        plain = zlib.decompress(data, wbits=31)
    except zlib.error as error:
        raise RingFileError(f"it is not whole gzip: {error}") from error
    if plain[:4] != MAGIC or len(plain) < 6:
        raise RingFileError("it does not begin with R1NG")
    version = int.from_bytes(plain[4:6], "big")
    readers = {1: _read_v1, 2: _read_v2}
    if version not in readers:
        raise RingFileError(f"it has format version {version}; 1 and 2 are known")
    try:
        ring = readers[version](plain, name_hash)
    except (msgspec.DecodeError, struct.error, KeyError, TypeError, ValueError) as error:
        raise RingFileError(f"its contents can't be read: {error}") from error
    _check(ring)
    return ring


def encode(ring: Ring, version: int = 1) -> bytes:
    """A ring file. Version 1 takes device ids below 65,535 only: ValueError."""
    if version == 2:
        return _write_v2(ring)
    if version != 1:
        raise ValueError(f"there is no ring format {version}")
    if _id_bytes(ring) != 2:
        raise ValueError("ring format 1 holds device ids below 65,535 only; use format 2")
    header = {
        **_header(ring),
        "byteorder": sys.byteorder,
        "replica_count": len(ring.rows),
        "devs": _devices(ring),
    }
    text = _json(header)
    packer = zlib.compressobj(9, wbits=-15)
    plain = [MAGIC, b"\0\1", struct.pack("!I", len(text)), text]
    plain += [array("H", row).tobytes() for row in ring.rows]
    packed = b"".join([packer.compress(part) for part in plain] + [packer.flush()])
    return _gzip(packed, b"".join(plain))


def _read_v1(plain: bytes, name_hash: NameHash | None) -> Ring:
    (length,) = struct.unpack_from("!I", plain, 6)
    header = msgspec.json.decode(plain[10 : 10 + length])
    part_power = 32 - header["part_shift"]
    table = plain[10 + length :]
    swapped = header.get("byteorder", sys.byteorder) != sys.byteorder
    rows = _rows(table, 2, 1 << part_power, swapped)
    if len(rows) != header["replica_count"]:
        raise ValueError(f"{header['replica_count']} replicas are announced, {len(rows)} are there")
    return _ring(rows, header["devs"], header, name_hash)


def _read_v2(plain: bytes, name_hash: NameHash | None) -> Ring:
    (at,) = struct.unpack_from("!Q", plain, len(plain) - 16)
    index = msgspec.json.decode(_blob(plain, at))
    metadata = msgspec.json.decode(_section(plain, index, "swift/ring/metadata"))
    devices = msgspec.json.decode(_section(plain, index, "swift/ring/devices"))
    table = _section(plain, index, "swift/ring/assignments")
    swapped = sys.byteorder != "big"
    rows = _rows(table, metadata["dev_id_bytes"], 1 << 32 - metadata["part_shift"], swapped)
    return _ring(rows, devices, metadata, name_hash)


def _ring(rows: list[array[int]], devices: Any, header: dict[str, Any], name_hash: NameHash | None) -> Ring:
    return Ring(
        rows,
        msgspec.convert(devices, list[Device | None]),
        32 - header["part_shift"],
        version=header.get("version"),
        next_part_power=header.get("next_part_power"),
        name_hash=name_hash,
    )


def _section(plain: bytes, index: dict[str, Any], name: str) -> bytes:
    _, start, _, end, method, checksum = index[name]
    if method not in _CHECKSUMS:
        raise ValueError(f"section {name} has a checksum of the unknown kind {method}")
    if hashlib.new(method, plain[start:end], usedforsecurity=False).hexdigest() != checksum:
        raise ValueError(f"section {name} does not match its checksum")
    return _blob(plain, start)


def _blob(plain: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from("!Q", plain, at)
    return plain[at + 8 : at + 8 + length]


def _rows(table: bytes, item_bytes: int, partitions: int, swapped: bool) -> list[array[int]]:
    rows = []
    for start in range(0, len(table), item_bytes * partitions):
        row = array(TYPE_CODES[item_bytes], table[start : start + item_bytes * partitions])
        if swapped:
            row.byteswap()
        rows.append(row)
    return rows


def _check(ring: Ring) -> None:
    """Every id must lead to a device, so that lookups need not ask."""
    if any(len(row) != ring.partitions for row in ring.rows[:-1]):
        raise RingFileError("its rows differ in length")
    for id_ in set().union(*map(set, ring.rows)):
        device = ring.devices[id_] if id_ < len(ring.devices) else None
        if device is None or device.id != id_:
            raise RingFileError(f"partitions are assigned to device {id_}, which it does not have")


def _header(ring: Ring) -> dict[str, Any]:
    header: dict[str, Any] = {"part_shift": 32 - ring.part_power, "version": ring.version}
    if ring.next_part_power is not None:
        header["next_part_power"] = ring.next_part_power
    return {name: value for name, value in header.items() if value is not None}


def _devices(ring: Ring) -> list[Any]:
    return [None if device is None else msgspec.structs.asdict(device) for device in ring.devices]


def _id_bytes(ring: Ring) -> int:
    return id_bytes(max((device.id for device in ring.devices if device is not None), default=0))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _gzip(packed: bytes, plain: bytes) -> bytes:
    head = b"\x1f\x8b\x08\0" + struct.pack("<I", MTIME) + b"\x02\xff"
    return head + packed + struct.pack("<II", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)


class _Sections:
    """Version 2 on its way out: a full flush after each piece, so that a reader may begin at any of them."""

    def __init__(self) -> None:
        self.packed, self.plain = bytearray(), bytearray()
        self.index: dict[str, tuple[Any, ...]] = {}

    @property
    def packed_at(self) -> int:
        return 10 + len(self.packed)

    def write(self, data: bytes, level: int = 9) -> None:
        packer = zlib.compressobj(level, wbits=-15)
        self.packed += packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
        self.plain += data

    def section(self, name: str, value: bytes) -> None:
        packed_at, plain_at = self.packed_at, len(self.plain)
        blob = struct.pack("!Q", len(value)) + value
        self.write(blob)
        checksum = hashlib.sha256(blob).hexdigest()
        self.index[name] = (packed_at, plain_at, self.packed_at, len(self.plain), "sha256", checksum)

    def finish(self) -> bytes:
        packed_at, plain_at = self.packed_at, len(self.plain)
        index = _json(self.index)
        self.write(struct.pack("!Q", len(index)) + index)
        # Stored, not packed: each is 18 bytes long, and found from the end of the file.
        self.write(struct.pack("!Q", plain_at), level=0)
        self.write(struct.pack("!Q", packed_at), level=0)
        last = b"\x01\0\0\xff\xff"
        return _gzip(bytes(self.packed) + last, bytes(self.plain))


def _write_v2(ring: Ring) -> bytes:
    sections = _Sections()
    sections.write(MAGIC + b"\0\2", level=0)
    width = _id_bytes(ring)
    header = {**_header(ring), "dev_id_bytes": width, "replica_count": ring.replicas, "version": ring.version}
    sections.section("swift/ring/metadata", _json(header))
    sections.section("swift/ring/devices", _json(_devices(ring)))
    table = bytearray()
    for row in ring.rows:
        ids = array(TYPE_CODES[width], row)
        if sys.byteorder != "big":
            ids.byteswap()
        table += ids.tobytes()
    sections.section("swift/ring/assignments", bytes(table))
    return sections.finish()
