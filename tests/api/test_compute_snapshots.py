"""Images made of servers: over compute alone, and in a cloud with a real image service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.drivers.hypervisor.sim import Faults
from pileus.testing import waiting
from pileus.testing.cloud import running_cloud, until
from pileus.testing.compute import ComputeUnderTest, compute_alone


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone() as running:
        yield running


def wanted(name: str = "copy", **more: Any) -> dict[str, Any]:
    return {"createImage": {"name": name, **more}}


async def test_an_image_is_made_of_a_server(compute: ComputeUnderTest) -> None:
    base = compute.needs.images.add(min_ram=64, os_distro="plan9", img_signature="of another")
    server = await compute.boot(imageRef=base)
    path = f"/servers/{server['id']}/action"
    made = await compute.ask(
        "POST", path, wanted(metadata={"kind": "spare", "status": "active"}), version="2.45", expect=202
    )
    await compute.until(server["id"], "ACTIVE")
    image = compute.needs.images.images_by_id[made["image_id"]]
    assert image["status"] == "active"
    assert server["id"].encode() in compute.needs.images.contents[made["image_id"]]
    shown = {
        "name": "copy",
        "visibility": "private",
        "image_type": "snapshot",
        "instance_uuid": server["id"],
        "base_image_ref": base,
        "min_ram": 64,
        "os_distro": "plan9",
        "min_disk": 1,
        "kind": "spare",
        "disk_format": "raw",
    }
    assert {name: image[name] for name in shown} == shown
    assert "img_signature" not in image
    actions = await compute.ask("GET", f"/servers/{server['id']}/os-instance-actions", expect=200)
    assert actions["instanceActions"][0]["action"] == "createImage"


async def test_old_clients_are_told_where_it_is(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    path = f"/servers/{server['id']}/action"
    reply = await compute.ask("POST", path, wanted())
    assert (reply.status, reply.body) == (202, b"")
    assert reply.headers["location"].rpartition("/")[2] in compute.needs.images.images_by_id
    await compute.until(server["id"], "ACTIVE")


@pytest.mark.slow
async def test_one_at_a_time_and_not_in_every_state() -> None:
    faults = Faults()
    faults.latency["snapshot"] = (0.2, 0.2)
    async with compute_alone(faults=faults) as compute:
        server = await compute.boot()
        path = f"/servers/{server['id']}/action"
        await compute.ask("POST", path, wanted("first"), expect=202)
        for body in (wanted("second"), {"os-stop": None}, {"reboot": {"type": "SOFT"}}):
            assert (await compute.ask("POST", path, body)).status == 409
        await compute.until(server["id"], "ACTIVE")
        names = [each["name"] for each in compute.needs.images.images_by_id.values()]
        assert sorted(names) == ["first", "micro"]
        await compute.ask("POST", path, {"os-stop": None}, expect=202)
        await compute.until(server["id"], "SHUTOFF")
        await compute.ask("POST", path, wanted("off"), expect=202)
        await compute.until(server["id"], "SHUTOFF")
        await compute.ask("POST", path, {"lock": None}, expect=202)
        assert (await compute.ask("POST", path, wanted())).status == 409
        for bad in (
            {"name": ""},
            {"name": "x" * 256},
            {},
            {"name": "x", "metadata": {"a": 1}},
            {"name": "\0"},
        ):
            assert (await compute.ask("POST", path, {"createImage": bad})).status == 400, bad
        many = {str(number): "x" for number in range(129)}
        await compute.ask("POST", path, {"unlock": None}, expect=202)
        assert (await compute.ask("POST", path, wanted(metadata=many))).status == 403


@pytest.mark.slow
async def test_one_that_fails_leaves_no_image(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    del compute.world.hosts["host-1"].guests[server["id"]]  # the host has lost it
    path = f"/servers/{server['id']}/action"
    made = await compute.ask("POST", path, wanted(), version="2.45", expect=202)
    await waiting.until(lambda: made["image_id"] not in compute.needs.images.images_by_id)


@pytest.mark.parametrize(
    ("said", "content"), [("raw", b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(504)), ("qcow2", b"just text")]
)
@pytest.mark.slow
async def test_images_that_are_not_what_they_say_are_told(
    compute: ComputeUnderTest, said: str, content: bytes
) -> None:
    image_id = compute.needs.images.add(content, disk_format=said)
    body = compute.wanted(imageRef=image_id)
    made = await compute.ask("POST", "/servers", body, expect=202)
    server = await compute.until(made["server"]["id"], "ERROR")
    assert f"is said to be {said}" in server["fault"]["message"]


@pytest.mark.slow
def test_a_server_starts_from_an_image_of_another(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"x" * 4096)
    with running_cloud(tmp_path / "cloud") as cloud:
        base = cloud.add_image("base", disk, disk_format="raw")
        connection = cloud.connect()
        network = connection.network.create_network(name="n")
        connection.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.0.0.0/24")
        flavor = connection.compute.find_flavor("m1.tiny")
        values: dict[str, Any] = {"flavor_id": flavor.id, "networks": [{"uuid": network.id}]}
        first = connection.compute.create_server(name="one", image_id=getattr(base, "id", base), **values)
        first = connection.compute.wait_for_server(first, interval=0.1)
        image = connection.compute.create_server_image(first, "copy", wait=True, timeout=60)
        image = connection.image.get_image(image.id)
        assert (image.status, image.visibility) == ("active", "private")
        assert image.hash_value is not None
        assert image.properties["image_type"] == "snapshot"
        second = connection.compute.create_server(name="two", image_id=image.id, **values)
        connection.compute.wait_for_server(second, interval=0.1)
        until(lambda: connection.compute.get_server(first.id).task_state is None, 60, "the task to end")
