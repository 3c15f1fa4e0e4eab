"""A second process of the image service: another address, another cache, the same database, stage and stores."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.cloud import admin_password
from pileus.testing.cloud import Cloud
from pileus.testing.postgres import postgres_server

SERVICE_TYPE = "image_remote"
SHARED = ("identity", "image/data", "image/stage")
"""In the state folder: keys, and what several processes have on one filesystem."""


@contextmanager
def shared_database() -> Iterator[Mapping[str, str]]:
    """The settings of a cloud of several processes."""
    with postgres_server() as server:
        yield {"PILEUS_DATABASE_URL": server.create_database()}


@contextmanager
def second_worker(cloud: Cloud, settings: Mapping[str, str]) -> Iterator[None]:
    """Raises it beside the cloud, and lists it in the catalog as `image_remote`."""
    state = cloud.state.with_name("worker")
    for name in SHARED:
        (state / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / name).symlink_to(cloud.state / name)
    own = {
        "PILEUS_NODE": "worker",
        "PILEUS_ONLY": '["identity", "image"]',
        "PILEUS_PUBLIC_URL": cloud.base_url,  # what the catalog says of the others stays as it is
        "PILEUS_ADMIN_PASSWORD": admin_password(cloud),
    }
    shutil.copy(cloud.state / "pileus.toml", state)
    worker = Cloud(state, settings={**settings, **own})
    try:
        worker.up()
        _list_in_catalog(cloud, f"{worker.base_url}{_image_path(cloud)}")
        yield
    finally:
        worker.purge()


def _image_path(cloud: Cloud) -> str:
    address = cloud.connect().session.get_endpoint(service_type="image", interface="public")
    return str(address).removeprefix(cloud.base_url)


def _list_in_catalog(cloud: Cloud, url: str) -> None:
    identity = cloud.connect().identity
    service = identity.create_service(type=SERVICE_TYPE, name="glance-remote")
    identity.create_endpoint(
        service_id=service.id, interface="public", url=url, region_id="RegionOne", is_enabled=True
    )
