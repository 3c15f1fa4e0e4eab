"""The OCI configuration of containers, whole, as golden files: the diff shows what changes for every guest.

`PILEUS_WRITE_GOLDEN=1` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pileus.lib.oci_config import Container, Limits, oci_config
from pileus.lib.seccomp import DENIED, profile
from pileus.testing.golden import assert_golden

GOLDEN = Path(__file__).with_name("golden_oci_config")

PLAIN = Container(
    hostname="web-1",
    init=("/sbin/init",),
    root="/run/pileus/guests/one/rootfs",
    first_id=2013265920,
    user_namespace="/run/pileus/guests/one/user",
    network_namespace="/run/pileus/guests/one/net",
    cgroup="/pileus-one",
    limits=Limits(vcpus=2, memory_mib=512, pids=4096, open_files=524288),
)

CONTAINERS = {
    "plain": PLAIN,
    "unified-cgroups": msgspec.structs.replace(PLAIN, unified_cgroups=True),
    "arm-no-swap-accounting": msgspec.structs.replace(PLAIN, machine="aarch64", swap_accounting=False),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_golden(name: str) -> None:
    text = msgspec.json.format(msgspec.json.encode(oci_config(CONTAINERS[name])), indent=2).decode() + "\n"
    assert_golden(GOLDEN / f"{name}.json", text)


def test_no_call_is_denied_twice_in_the_same_way() -> None:
    denied = [(name, denial.when) for denial in DENIED for name in denial.names]
    assert len(denied) == len(set(denied))


def test_a_machine_without_a_filter_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"no system call filter for riscv64; there is one for x86_64, aarch64"
    ):
        profile("riscv64")
