"""`pileus.testing`: a simulated cloud as a process of its own, for those who test their tools against one."""

from __future__ import annotations

from pathlib import Path

import pytest

import pileus
from pileus.testing.cloud import Cloud, CloudError, running_cloud, until
from pileus.testing.project import Project, ServerFailed

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow


def test_a_server_in_a_project(tmp_path: Path) -> None:
    """Through all services; and it is there again when the cloud, which simulates it, comes back."""
    with running_cloud(tmp_path, settings={"PILEUS_SIM_HOSTS": "3"}) as cloud:
        assert len(list(cloud.connect().compute.hypervisors())) == 3
        disk = tmp_path / "disk"
        disk.write_bytes(bytes(1 << 16))
        cloud.add_image("disk", disk, disk_format="raw")
        project = Project.create(cloud, "tenant", tmp_path)
        network = project.network("net", "10.0.0.0/24", "fd00::/64", router=project.router("router"))
        server = project.boot("first", "disk", [{"uuid": network}])
        address = project.floating_ip(server)
        cloud.connect().set_compute_quotas(project.id, ram=-1)
        with pytest.raises(ServerFailed, match="memory"):
            project.boot("giant", "disk", [{"uuid": network}], flavor=_giant(cloud))

        for fall in (cloud.kill, cloud.power_cut, cloud.down):
            fall()
            assert cloud.pid is None
            assert cloud.remains() == []
            cloud.up()
            until(lambda: project.active(server.id).power_state == 1, 60, "the server to run again")
            until(
                lambda: address in str(project.active(server.id).addresses),
                60,
                "the server to have its address",
            )
            project.delete(project.boot("another", "disk", [{"uuid": network}]).id)


def _giant(cloud: Cloud) -> str:
    return str(cloud.connect().compute.create_flavor(name="giant", ram=1 << 30, vcpus=1, disk=1).name)


def test_a_cloud_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="there is no setting wrong"):
        with running_cloud(tmp_path, settings={"PILEUS_WRONG": "1"}):
            pass


def test_the_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(pileus.__file__).parents[1]))
    pytester.makeconftest('pytest_plugins = ["pileus.testing.plugin"]')
    pytester.makepyfile(
        """
        def test_it_answers(pileus_cloud):
            assert pileus_cloud.connect().compute.find_flavor("m1.tiny")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
