#!/usr/bin/env python3
"""Measures real guests on this host: from the POST until a server is ACTIVE and until its SSH answers, beside the
same image booted by QEMU alone. Prints a table and writes JSON to bench/results/. Needs root and the host's packages.

    bench/guests.py [--runs 7] [container] [machine] [crowd]      all of them by default

All of it, the control plane too, lives in a network namespace made for the run, from which no way leads out.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / each) for each in ("", "src", "tools"))]

import environment  # noqa: E402 - the path comes first

environment.enter("httptools", "isal", "openstack")

from harness import bare_machine, table  # noqa: E402 - the path comes first
from harness.guests import Guests  # noqa: E402
from harness.table import Row  # noqa: E402

from pileus.cli.image_build import MicroImage, build_micro  # noqa: E402
from pileus.drivers import netns  # noqa: E402
from pileus.testing.cloud import running_cloud  # noqa: E402

GROUPS = ("container", "machine", "crowd")
CROWD = 10
BUILT = Path("/var/tmp/pileus-bench/micro")


def container(guests: Guests, runs: int) -> list[Row]:
    first = guests.boot("container")
    taken = [guests.boot("container") for _ in range(runs)]
    return [
        Row("container: POST to ACTIVE", statistics.median(each.active for each in taken), "s", 0.6),
        Row("container: POST to SSH", statistics.median(each.ssh for each in taken), "s", 1.2),
        Row("container: POST to SSH, the image not on the host yet", first.ssh, "s"),
    ]


def machine(guests: Guests, runs: int, image: MicroImage) -> list[Row]:
    """In turn, and compared in pairs without the time that each waited for a processor that others had."""
    guests.boot("machine")
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        pairs = [(bare_machine.boot(Path(folder), image.disk), guests.boot("machine")) for _ in range(runs)]
    above = [each.ssh - each.waited - (alone.ssh - alone.waited) for alone, each in pairs]
    bare, taken = ([pair[which] for pair in pairs] for which in range(2))
    alone, ssh = (statistics.median(each.ssh for each in kind) for kind in (bare, taken))
    return [
        Row("virtual machine: POST to ACTIVE", statistics.median(each.active for each in taken), "s"),
        Row("virtual machine: POST to SSH", ssh, "s", baseline=alone),
        Row("virtual machine: POST to SSH, above QEMU alone", statistics.median(above), "s", 0.7),
    ]


def crowd(guests: Guests, runs: int) -> list[Row]:
    guests.boot("container")
    taken = [guests.boot_many("container", CROWD) for _ in range(min(runs, 3))]
    return [
        Row(
            f"{CROWD} containers at once: first POST to all ACTIVE",
            statistics.median(each.active for each in taken),
            "s",
        ),
        Row(
            f"{CROWD} containers at once: first POST to SSH of all",
            statistics.median(each.ssh for each in taken),
            "s",
        ),
    ]


@contextlib.contextmanager
def _own_network() -> Iterator[None]:
    """Moves this thread, and all that it starts from here on, into a network namespace with nothing but `lo`."""
    name = f"pileus-bench-{uuid.uuid4().hex[:6]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        netns.enter(name)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures real guests on this host.")
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="what to measure; all by default")
    parser.add_argument("--runs", type=int, default=7, help="boots of each kind: their median counts")
    arguments = parser.parse_args()
    # Ended from outside, too, it leaves nothing on the host.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    wanted = arguments.groups or GROUPS
    image = build_micro(BUILT, print)
    found: list[Row] = []
    with (
        _own_network(),
        tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder,
        running_cloud(Path(folder), sim=False) as cloud,
    ):
        cloud.add_image("machine", image.disk)
        cloud.add_image("container", image.rootfs, disk_format="raw", container_format="docker")
        guests = Guests(cloud, Path(folder))
        if "container" in wanted:
            found += container(guests, arguments.runs)
        if "machine" in wanted:
            found += machine(guests, arguments.runs, image)
        if "crowd" in wanted:
            found += crowd(guests, arguments.runs)
    table.show(found)
    print(f"\nwritten to {table.save(found, HERE / 'results').relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
