"""`pileus down` leaves nothing on the host, `pileus up` brings the same cloud back; so it does after a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pileus.cli.image_build import MicroImage
from pileus.testing.cloud import Cloud, holds, running_cloud, until
from pileus.testing.project import Project, Shell

from .conftest import add_images

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(600)]

KINDS = ("machine", "container")
STATE = """
    cat ~/kept
    hostname
    ip -json -4 address show scope global | grep -o '"local":"[^"]*"'
    """
RUN = "cat /proc/sys/kernel/random/boot_id; cut -d ' ' -f 22 /proc/1/stat"


@pytest.fixture
def cloud(micro: MicroImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("down-up"), sim=False) as cloud:
        add_images(cloud, micro)
        yield cloud


def test_the_same_cloud_comes_back(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> None:
    project = Project.create(cloud, "tenant", tmp_path_factory.mktemp("key"))
    network = project.network("net", "10.70.0.0/24", router=project.router("router"))
    project.security_group("open", "icmp", "tcp:22")

    def boot(kind: str) -> tuple[str, Shell]:
        server = project.boot(kind, kind, [{"uuid": network}], security_groups=[{"name": "open"}])
        return server.id, project.shell(server)

    def in_all(script: str) -> dict[str, str]:
        with ThreadPoolExecutor() as pool:
            return dict(zip(shells, pool.map(lambda shell: shell.run(script), shells.values()), strict=True))

    with ThreadPoolExecutor() as pool:
        booted = dict(zip(KINDS, pool.map(boot, KINDS), strict=True))
    shells = {kind: shell for kind, (_, shell) in booted.items()}
    in_all("echo written before > ~/kept; sync")
    for server_id, shell in booted.values():
        until(
            lambda server_id=server_id, shell=shell: (
                shell.address in str(project.active(server_id).addresses)
            ),  # type: ignore[misc]
            60,
            f"compute to know of {shell.address}",
        )
    seen, runs, facts = in_all(STATE), in_all(RUN), _facts(project)

    def has_all_as_before() -> None:
        assert _facts(project) == facts

    def is_back() -> None:
        for server_id, _ in booted.values():
            project.active(server_id)
        assert in_all(STATE) == seen
        assert all(run != runs[kind] for kind, run in in_all(RUN).items())
        # That a port is up is heard of a moment after its guest is reached.
        holds(has_all_as_before, 60)

    assert cloud.remains()
    cloud.down()
    assert cloud.remains() == []
    cloud.up()
    is_back()

    for fall in (cloud.power_cut, cloud.lose_host):
        runs = in_all(RUN)
        fall()
        cloud.up()
        is_back()

    # Nothing of it runs, so nothing can be asked to end: what is left is cleared away all the same.
    cloud.power_cut()
    cloud.down()
    assert cloud.remains() == []


def _facts(project: Project) -> dict[str, Any]:
    """Of all that the project has, what must not change when its cloud goes and comes."""
    api = project.connection
    return {
        "servers": sorted(
            (s.id, s.name, s.status, str(s.addresses), s.host_id) for s in api.compute.servers()
        ),
        "ports": sorted(
            (p.id, p.mac_address, str(p.fixed_ips), p.status, p.device_id) for p in api.network.ports()
        ),
        "floating IPs": sorted((f.id, f.floating_ip_address, f.port_id, f.status) for f in api.network.ips()),
        "routers": sorted((r.id, r.status, str(r.external_gateway_info)) for r in api.network.routers()),
    }
