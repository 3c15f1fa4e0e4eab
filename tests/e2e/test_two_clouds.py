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

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(400)]


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
    before = _lasting(cloud, kept)

    def is_undisturbed() -> None:
        assert _lasting(cloud, kept) == before
        assert shell.run("hostname").strip() == "first-0"
        assert shell.reaches(neighbour)

    with running_cloud(tmp_path_factory.mktemp("other"), sim=False) as other:
        add_images(other, micro)
        second, servers = settle(other, "second")
        assert (
            second.shell(second.connection.compute.get_server(servers[0])).run("hostname").strip()
            == "second-0"
        )
        assert not _lasting(other, servers) & before
        is_undisturbed()
        other.kill()
        other.up()
        is_undisturbed()
        other.power_cut()
        is_undisturbed()
    is_undisturbed()


def _lasting(cloud: Cloud, servers: list[str]) -> set[int]:
    """The cloud's own processes and those that keep these servers.

    Not what comes and goes in the guests, nor what is left of servers of tests before, whose end may take a while.
    """
    daemons = {"ovsdb-server", "ovs-vswitchd", "ovn-northd", "ovn-controller"}
    assert cloud.pid is not None
    found = {cloud.pid}
    for pid in footprint.processes(cloud.state):
        with contextlib.suppress(FileNotFoundError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name in daemons or (name in {"conmon", "init"} and footprint.is_of_server(pid, servers)):
                found.add(pid)
    assert len(found) > 1 + len(daemons) + len(servers), found
    return found
