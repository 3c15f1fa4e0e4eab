"""`pileus ring`: an operator's way from servers and disks to ring files."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pileus.app import Composer
from pileus.cli import make
from pileus.drivers.object.wire.handshake import read_key
from pileus.lib.ring import Builder, Device, decode
from pileus.lib.ring.words import WordsError, parse_device, search, written


def pileus(*words: object) -> Result:
    return CliRunner().invoke(make(Composer), [str(word) for word in words])


def said(*words: object, code: int = 0) -> str:
    result = pileus(*words)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.fixture
def builder(tmp_path: Path) -> Path:
    file = tmp_path / "object.builder"
    said("ring", "create", file, "--part-power", 6, "--replicas", 3, "--min-part-hours", 1)
    devices = [f"r1z{1 + n % 2}-10.0.0.{n}:6200/sdb{disk}" for n in range(4) for disk in (1, 2)]
    said("ring", "add", file, *(word for device in devices for word in (device, 100)))
    return file


def test_from_devices_to_a_ring(builder: Path) -> None:
    assert "balance 0.00 %, dispersion 0.00 %" in said("ring", "rebalance", builder, "--seed", 1)
    ring = decode((builder.parent / "object.ring.gz").read_bytes())
    assert (ring.partitions, ring.replicas, len(ring.devices)) == (64, 3, 8)
    assert all({each.zone for each in ring.primaries(part)} == {1, 2} for part in range(64))
    shown = said("ring", "show", builder)
    assert "64 partitions, 3 replicas" in shown
    assert shown.count("  24   0.00 %") == 8
    assert "0.00 % of all replicas" in said("ring", "dispersion", builder)


def test_weights_removal_and_what_moves(builder: Path) -> None:
    said("ring", "rebalance", builder, "--seed", 1)
    assert "weight 100 -> 0" in said("ring", "set-weight", builder, "10.0.0.1:6200/sdb1", 0)
    assert said("ring", "remove", builder, "10.0.0.3").count("is removed") == 2
    for seed in (2, 3):  # of one partition a replica at a time
        said("ring", "rebalance", builder, "--seed", seed, "--force", "--format", 2)
    ring = decode((builder.parent / "object.ring.gz").read_bytes())
    held = {each.ip + each.device for part in range(64) for each in ring.primaries(part)}
    assert not {"10.0.0.1sdb1", "10.0.0.3sdb1", "10.0.0.3sdb2"} & held
    said("ring", "set-replicas", builder, 2)
    said("ring", "set-overload", builder, 0.1)
    said("ring", "set-min-part-hours", builder, 0)
    said("ring", "rebalance", builder)
    assert decode((builder.parent / "object.ring.gz").read_bytes()).replicas == 2
    before = (builder.parent / "object.ring.gz").read_bytes()
    said("ring", "write", builder)
    assert (builder.parent / "object.ring.gz").read_bytes() == before


def test_more_replicas_than_devices_are_named(tmp_path: Path) -> None:
    file = tmp_path / "object.builder"
    said("ring", "create", file, "--part-power", 4, "--replicas", 5)
    for number in range(3):
        said("ring", "add", file, f"r1z{number}-10.0.0.{number}:6200/sdb1", 100)
    assert "Of 5 replicas only 3 are copies on devices of their own" in said("ring", "rebalance", file)
    said("ring", "set-replicas", file, 3)
    assert "only" not in said("ring", "rebalance", file, "--force")


def test_what_goes_wrong_says_what_helps(builder: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "none.builder"
    kept = builder.read_bytes()
    for words, hint in (
        (("show", nothing), f"pileus ring create {nothing}"),
        (("create", builder), "is there already"),
        (("write", builder), "rebalance first"),
        (("add", builder, "10.0.0.9:6200/sdb1", 100), "r1z2-10.0.0.1:6200/sdb1"),
        (("add", builder, "z1-10.0.0.9:99999/sdb1", 100), "1 to 65535"),
        (("add", builder, "z1-10.0.0.9:6200/sdb1", "much"), "no weight"),
        (("add", builder, "z1-10.0.0.9:6200/sdb1", "-1"), "No such option"),
        (("add", builder, "z1-10.0.0.1:6200/sdb1", "100"), "in the ring already"),
        (("set-weight", builder, "d77", 1), "pileus ring show"),
        (("set-weight", builder, "/", 1), "finds no device"),
        (("remove", builder, "r7"), "no device"),
        (("create", tmp_path / "no" / "folder.builder"), "No such file"),
    ):
        result = pileus("ring", *words)
        assert result.exit_code in (1, 2)
        assert hint in result.output, result.output
        assert isinstance(result.exception, SystemExit)
    assert builder.read_bytes() == kept
    builder.write_bytes(b"rubbish")
    assert "no builder file" in said("ring", "show", builder, code=1)
    said("ring", "create", nothing)
    assert "no device has a weight" in said("ring", "rebalance", nothing, code=1)
    assert "0 replicas" not in said("ring", "show", nothing)


def test_the_key_of_a_cluster(tmp_path: Path) -> None:
    file = tmp_path / "cluster.key"
    said("keys", "cluster", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(read_key(file)) == 32
    assert "already" in said("keys", "cluster", file, code=1)


devices = st.builds(
    Device,
    id=st.just(3),
    region=st.integers(0, 9),
    zone=st.integers(0, 9),
    ip=st.sampled_from(["10.0.0.1", "fd00::1", "node-1.example.org"]),
    port=st.integers(1, 65535),
    device=st.sampled_from(["sda", "d1"]),
    weight=st.just(1.0),
    meta=st.sampled_from(["", "x y"]),
)


@given(devices)
def test_a_device_is_read_as_it_is_written(device: Device) -> None:
    read = parse_device(written(device))
    assert {name: getattr(device, name) for name in ("region", "zone", "ip", "port", "device", "meta")} == {
        name: value for name, value in read._asdict().items() if not name.startswith("replication")
    }
    assert search([device], written(device)) == [device]
    assert search([device], f"d3z{device.zone}") == [device]
    assert search([device], "d4") == []


@pytest.mark.slow
@given(st.text(max_size=30))
def test_any_text_is_a_device_or_an_error(text: str) -> None:
    with contextlib.suppress(WordsError):
        Builder(1, 1).add(**parse_device(text)._asdict(), weight=1)
    with contextlib.suppress(WordsError):
        search([], text)
