"""What guests learn of themselves, from the metadata service and from the config drive."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.services.compute.metadata_service import MetadataService
from pileus.testing.compute import ComputeUnderTest, compute_alone
from pileus.testing.personas import PROJECT_ID

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL4MXhSKEPjK3ktyJy2uwyH0ZC2ExmU/Rg9vHYyh1jUK me@here"
SCRIPT = b"#!/bin/sh\necho hello\n"


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone() as running:
        yield running


async def ask(
    compute: ComputeUnderTest,
    path: str,
    address: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    network: str = "",
) -> tuple[int, str]:
    application = MetadataService(compute.cloud.runtime.state, compute.needs.networks)
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": (address, 1),
        "state": {"network_id": network or compute.network_id},
    }
    await application(scope, receive, send)
    return said[0]["status"], said[1]["body"].decode()


async def booted(compute: ComputeUnderTest, **more: Any) -> dict[str, Any]:
    await compute.ask("POST", "/os-keypairs", {"keypair": {"name": "mine", "public_key": KEY}}, expect=200)
    return await compute.boot(
        key_name="mine", user_data=base64.b64encode(SCRIPT).decode(), metadata={"role": "db"}, **more
    )


def address_of(server: dict[str, Any]) -> str:
    return str(server["addresses"]["private"][0]["addr"])


async def test_openstack_format(compute: ComputeUnderTest) -> None:
    server = await booted(compute)
    at = address_of(server)
    assert "latest" in (await ask(compute, "/openstack", at))[1].split()
    assert (await ask(compute, "/openstack/latest", at))[1].split() == [
        "meta_data.json",
        "user_data",
        "password",
        "vendor_data.json",
        "network_data.json",
        "vendor_data2.json",
    ]
    said = json.loads((await ask(compute, "/openstack/2018-08-27/meta_data.json", at))[1])
    assert (said["uuid"], said["name"], said["hostname"]) == (server["id"], "web", "web")
    assert (said["meta"], said["public_keys"], said["project_id"]) == (
        {"role": "db"},
        {"mine": KEY},
        PROJECT_ID,
    )
    assert (await ask(compute, "/openstack/latest/user_data", at)) == (200, SCRIPT.decode())
    network = json.loads((await ask(compute, "/openstack/latest/network_data.json", at))[1])
    assert (
        network["links"][0]["ethernet_mac_address"]
        == server["addresses"]["private"][0]["OS-EXT-IPS-MAC:mac_addr"]
    )
    assert network["networks"][0]["type"] == "ipv4_dhcp"
    assert network["services"] == [{"type": "dns", "address": "10.0.0.1"}]
    assert (await ask(compute, "/openstack/2012-08-10/network_data.json", at))[0] == 404


async def test_ec2_format(compute: ComputeUnderTest) -> None:
    server = await booted(compute)
    at = address_of(server)
    assert "2009-04-04" in (await ask(compute, "/", at))[1].split()
    assert (await ask(compute, "/latest/", at))[1].split() == ["meta-data/", "user-data"]
    names = (await ask(compute, "/2009-04-04/meta-data/", at))[1].split()
    assert {"instance-id", "local-ipv4", "placement/", "public-keys/"} <= set(names)
    assert (await ask(compute, "/latest/meta-data/local-ipv4", at)) == (200, at)
    assert (await ask(compute, "/latest/meta-data/public-keys/", at)) == (200, "0=mine")
    assert (await ask(compute, "/latest/meta-data/public-keys/0/openssh-key", at)) == (200, KEY)
    assert (await ask(compute, "/latest/meta-data/placement/availability-zone", at)) == (200, "nova")
    assert (await ask(compute, "/1.0/user-data", at)) == (200, SCRIPT.decode())
    assert (await ask(compute, "/latest/meta-data/nothing", at))[0] == 404
    assert (await ask(compute, "/etc/passwd", at))[0] == 404


async def test_a_guest_learns_of_nobody_else(compute: ComputeUnderTest) -> None:
    server = await booted(compute)
    other = compute.needs.networks.add_network("other")
    at = address_of(server)
    assert (await ask(compute, "/latest/meta-data/hostname", at, network=other))[0] == 404
    assert (await ask(compute, "/latest/meta-data/hostname", "10.0.77.77"))[0] == 404
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert (await ask(compute, "/latest/meta-data/hostname", at))[0] == 404


async def test_a_link_local_address_names_its_port(compute: ComputeUnderTest) -> None:
    server = await booted(compute)
    mac = bytes.fromhex(server["addresses"]["private"][0]["OS-EXT-IPS-MAC:mac_addr"].replace(":", ""))
    tail = (bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]).hex()
    address = "fe80::" + ":".join(tail[i : i + 4] for i in range(0, 16, 4))
    assert (await ask(compute, "/latest/meta-data/hostname", address + "%eth0")) == (200, "web")


async def test_a_password_is_given_once(compute: ComputeUnderTest) -> None:
    server = await booted(compute)
    at, path = address_of(server), "/openstack/latest/password"
    assert (await ask(compute, path, at)) == (200, "")
    assert (await ask(compute, path, at, method="POST", body=b"c2VjcmV0"))[0] == 200
    assert (await ask(compute, path, at, method="POST", body=b"x"))[0] == 409
    assert (await ask(compute, path, at, method="POST", body=b"x" * 2000))[0] == 400
    shown = await compute.ask("GET", f"/servers/{server['id']}/os-server-password", expect=200)
    assert shown == {"password": "c2VjcmV0"}


async def test_the_config_drive_says_the_same(compute: ComputeUnderTest) -> None:
    server = await booted(compute, config_drive=True)
    assert server["config_drive"] == "True"
    drive = compute.guests[server["id"]].spec.config_drive
    assert drive is not None
    at = address_of(server)
    for name in ("meta_data.json", "user_data", "network_data.json", "vendor_data.json"):
        served = (await ask(compute, f"/openstack/latest/{name}", at))[1]
        assert drive[f"openstack/latest/{name}"].decode() == served
    assert json.loads(drive["ec2/latest/meta-data.json"])["hostname"] == "web"
