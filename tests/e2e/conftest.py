"""Guest images, built once for all runs, and clouds of real machines and containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pileus.cli.image_build import MicroImage
from pileus.testing.cloud import Cloud, running_cloud
from pileus.testing.images import micro_image


@pytest.fixture(scope="session")
def micro() -> MicroImage:
    return micro_image()


@pytest.fixture(scope="session")
def cloud(micro: MicroImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """With the images `machine` and `container`, for tests that leave it as they found it."""
    with running_cloud(tmp_path_factory.mktemp("cloud"), sim=False) as cloud:
        add_images(cloud, micro)
        yield cloud


def add_images(cloud: Cloud, micro: MicroImage) -> None:
    """The same guest twice: `machine` and `container`."""
    cloud.add_image("machine", micro.disk)
    cloud.add_image("container", micro.rootfs, disk_format="raw", container_format="docker")
