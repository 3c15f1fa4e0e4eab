"""Our rings and Swift's are the same: the real package reads ours, we read its, and every name lives in the same place."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pileus.lib.ring import Builder, NameHash, Ring, RingFileError, compose, decode, encode

HELPER = Path(__file__).with_name("swift_rings.py")
HASH = NameHash("changeme", "too")


def names(count: int = 1000) -> list[str]:
    chance = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789 -_.äöß€😀"
    made = []
    for _ in range(count):
        parts = [
            "".join(chance.choices(letters, k=chance.randint(1, 20))) for _ in range(chance.randint(1, 3))
        ]
        made.append("/".join(parts))
    return made


def swift(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(HELPER), *arguments], input=stdin, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def agree(ring: Ring, file: Path) -> None:
    asked = names()
    said = [json.loads(line) for line in swift("read", str(file), stdin="\n".join(asked)).splitlines()]
    assert len(said) == len(asked)
    for name, (partition, primaries, handoffs) in zip(asked, said, strict=True):
        assert ring.lookup(name)[0] == partition, name
        assert [device.id for device in ring.primaries(partition)] == primaries, name
        assert [device.id for device in ring.handoffs(partition)] == handoffs, name


def built(part_power: int = 9, replicas: float = 3.25, regions: int = 2) -> Builder:
    builder = Builder(part_power, replicas)
    for number in range(17):
        builder.add(
            region=1 + number % regions,
            zone=number % 3,
            ip=f"10.1.0.{number % 8}",
            port=6200,
            device=f"d{number}",
            weight=50 + number % 4 * 25,
        )
    builder.rebalance(seed=3, now=1e9)
    builder.remove(5)
    builder.rebalance(seed=4, now=2e9)
    return builder


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_swift_reads_ours(tmp_path: Path, version: int) -> None:
    ring = decode(encode(built().ring(), version), HASH)
    file = tmp_path / "object.ring.gz"
    file.write_bytes(encode(ring, version))
    agree(ring, file)


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_we_read_swifts(tmp_path: Path, version: int) -> None:
    file = tmp_path / "object.ring.gz"
    swift("build", str(file), str(version))
    ring = decode(file.read_bytes(), HASH)
    assert ring.replicas == 2.5
    assert ring.devices[4] is None
    agree(ring, file)
    again = tmp_path / "again.ring.gz"
    again.write_bytes(encode(ring, version))
    agree(ring, again)


@pytest.mark.slow
def test_many_partitions(tmp_path: Path) -> None:
    """Handoffs walk in strides above 65,536 partitions."""
    builder = Builder(17, 2)
    for number in range(6):
        builder.add(zone=number % 3, ip=f"10.1.0.{number}", port=6200, device="d", weight=1)
    builder.rebalance(seed=3, now=1e9)
    file = tmp_path / "object.ring.gz"
    file.write_bytes(encode(builder.ring(), 2))
    agree(decode(file.read_bytes(), HASH), file)


@pytest.mark.slow
def test_composite(tmp_path: Path) -> None:
    one, other = built(replicas=2, regions=1).ring(), Builder(9, 1)
    other.add(region=9, zone=1, ip="10.9.0.1", port=6200, device="a", weight=1)
    other.rebalance(seed=1, now=1e9)
    ring = decode(encode(compose([one, other.ring()])), HASH)
    assert ring.replicas == 3
    assert all({device.region for device in ring.primaries(p)} == {1, 9} for p in range(ring.partitions))
    file = tmp_path / "object.ring.gz"
    file.write_bytes(encode(ring))
    agree(ring, file)
    with pytest.raises(ValueError, match="region 1 is in two"):
        compose([one, one])


def test_equal_rings_make_equal_files() -> None:
    assert encode(built().ring(), 2) == encode(built().ring(), 2)


@pytest.mark.parametrize("version", [1, 2])
def test_broken_files_are_refused(version: int) -> None:
    whole = encode(built().ring(), version)
    for broken in (b"", b"R1NG", whole[:-9], whole[:200], whole[:500] + b"\0" * 20 + whole[520:]):
        with pytest.raises(RingFileError):
            decode(broken)


def test_four_byte_ids_need_version_2() -> None:
    ring = built().ring()
    wide = Ring(ring.rows, [*ring.devices, *[None] * 70_000], ring.part_power)
    assert decode(encode(wide, 1)).rows == wide.rows
    one = Builder(2, 1)
    one.add(zone=1, ip="10.0.0.1", port=1, device="a", weight=1)
    one.rebalance(1, 1e9)
    (device,) = [each for each in one.ring().devices if each]
    far = Ring([[70_000] * 4], [*[None] * 70_000, msgspec.structs.replace(device, id=70_000)], 2)
    with pytest.raises(ValueError, match="use format 2"):
        encode(far, 1)
    assert list(decode(encode(far, 2)).rows[0]) == [70_000] * 4
