"""Two clouds on one machine at the same time, which know nothing of each other."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from pileus.cli.image_build import MicroImage
from pileus.testing import footprint
from pileus.testing.cloud import Cloud, running_cloud
from pileus.testing.project import Project

from .conftest import add_images

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(180)]


def test_clouds_do_not_disturb_each_other(
    cloud: Cloud, micro: MicroImage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same names and addresses in both; one is killed, comes back, goes away; the other does not notice."""
    directory = tmp_path_factory.mktemp("two")

    def settle(cloud: Cloud, name: str) -> tuple[Project, list[str]]:
        project = Project.create(cloud, name, directory)
        network = project.network("net", "10.80.0.0/24", router=project.router("router"))
        project.security_group("open", "icmp", "tcp:22")
        servers = [
            project.boot(f"{name}-{n}", "container", [{"uuid": network}], security_groups=[{"name": "open"}])
            for n in range(2)
        ]
        return project, [server.id for server in servers]

    first, kept = settle(cloud, "first")
    shell = first.shell(first.connection.compute.get_server(kept[0]))
    neighbour = first.fixed_ip(first.connection.compute.get_server(kept[1]))
    assert shell.run("hostname").strip() == "first-0"
    before = _lasting(cloud)

    def is_undisturbed() -> None:
        assert _lasting(cloud) == before
        shell.run(f"[ $(hostname) = first-0 ] && ping -c 1 -W 5 {neighbour}")

    with running_cloud(tmp_path_factory.mktemp("other"), sim=False) as other:
        add_images(other, micro)
        second, servers = settle(other, "second")
        assert (
            second.shell(second.connection.compute.get_server(servers[0])).run("hostname").strip()
            == "second-0"
        )
        assert not _lasting(other) & before
        is_undisturbed()
        other.kill()
        other.up()
        is_undisturbed()
        other.power_cut()
        is_undisturbed()
    is_undisturbed()


def _lasting(cloud: Cloud) -> set[int]:
    """The cloud's processes, without those that come and go in its guests."""
    names = {"python", "ovsdb-server", "ovs-vswitchd", "ovn-northd", "ovn-controller", "conmon", "init"}
    found = set()
    for pid in footprint.processes(cloud.state):
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/comm").read_text().strip() in names:
                found.add(pid)
    return found
