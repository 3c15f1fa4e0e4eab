"""Servers over simulated hosts: from the request to a guest and back to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from pileus.kernel.events.model import events
from pileus.services.compute.driver import Power
from pileus.services.compute.settings import Settings
from pileus.testing.compute import ComputeUnderTest, compute_alone
from pileus.testing.personas import PROJECT_ID
from pileus.testing.service import ADMIN
from pileus.testing.waiting import until


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone() as running:
        yield running


async def test_a_server_comes_and_goes(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    assert server["id"] in compute.guests
    assert len(compute.needs.networks.all_ports) == 1
    assert compute.needs.placement.allocations[server["id"]][1] == {"VCPU": 1, "MEMORY_MB": 128, "DISK_GB": 1}
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert compute.guests == {}
    assert compute.needs.networks.all_ports == {}
    assert compute.needs.placement.allocations == {}


async def names(compute: ComputeUnderTest, query: str, **more: Any) -> list[str]:
    return [
        each["name"]
        for each in (await compute.ask("GET", f"/servers?{query}", expect=200, **more))["servers"]
    ]


async def test_lists_are_narrowed(compute: ComputeUnderTest) -> None:
    web = await compute.boot(name="web-1", version="2.52", tags=["blue", "front"], metadata={"role": "web"})
    db = await compute.boot(name="db-1", version="2.52", tags=["blue"], metadata={"role": "db"})
    await compute.ask("POST", f"/servers/{db['id']}/action", {"os-stop": None}, expect=202)
    await compute.until(db["id"], "SHUTOFF")
    address = web["addresses"]["private"][0]["addr"]
    for query, found in (
        ("name=web", ["web-1"]),
        ("name=^db", ["db-1"]),
        ("name=1$", ["db-1", "web-1"]),
        ("name=b.1", ["web-1", "db-1"][::-1]),
        ("name=(web|db)-[0-9]", ["db-1", "web-1"]),
        ("name=WEB", []),
        ("status=ACTIVE", ["web-1"]),
        ("status=shutoff", ["db-1"]),
        ("status=ACTIVE&status=SHUTOFF", ["db-1", "web-1"]),
        ("status=NONSENSE", []),
        (f"ip={address}", ["web-1"]),
        (f"ip={address[:-1]}", ["db-1", "web-1"]),
        (f"image={compute.image_id}", ["db-1", "web-1"]),
        ("flavor=84", []),
        ("changes-since=2999-01-01T00:00:00Z", []),
        ('metadata={"role":"db"}', ["db-1"]),
        ('metadata={"role":"d"}', []),
        ("unknown=1", ["db-1", "web-1"]),
        ("vm_state=stopped", ["db-1", "web-1"]),
    ):
        assert await names(compute, query) == found, query
    for query, found in (
        ("ip6=fe80", []),
        ("tags=blue", ["db-1", "web-1"]),
        ("tags=blue,front", ["web-1"]),
        ("tags-any=front,back", ["web-1"]),
        ("not-tags=blue,front", ["db-1"]),
        ("not-tags-any=front", ["db-1"]),
    ):
        assert await names(compute, query, version="2.26") == found, query
    assert await names(compute, "vm_state=stopped", version="2.83") == ["db-1"]
    assert await names(compute, "vm_state=stopped&all_tenants=1", as_=ADMIN) == ["db-1"]
    await compute.ask("GET", "/servers?unknown=1", version="2.75", expect=400)
    await compute.ask("GET", "/servers?status=NONSENSE", version="2.38", expect=400)
    await compute.ask("GET", "/servers?status=DELETED", expect=403)


async def test_pages_and_order(compute: ComputeUnderTest) -> None:
    for name in ("b", "a", "c"):
        await compute.boot(name=name)
    assert await names(compute, "sort_key=display_name&sort_dir=asc") == ["a", "b", "c"]
    first = await compute.ask("GET", "/servers/detail?limit=2", expect=200)
    assert [each["name"] for each in first["servers"]] == ["c", "a"]
    following = first["servers_links"][0]["href"].partition("/compute/v2.1")[2]
    rest = await compute.ask("GET", following, expect=200)
    assert [each["name"] for each in rest["servers"]] == ["b"]
    assert "servers_links" not in rest
    await compute.ask("GET", "/servers?marker=00000000-0000-4000-8000-000000000000", expect=400)


async def test_deleted_servers_are_for_administrators(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert await names(compute, "") == []
    query = "deleted=true&all_tenants=1"
    gone = (await compute.ask("GET", f"/servers/detail?{query}", as_=ADMIN, expect=200))["servers"]
    assert [(each["id"], each["status"]) for each in gone] == [(server["id"], "DELETED")]
    since = (await compute.ask("GET", "/servers/detail?changes-since=2000-01-01T00:00:00Z", expect=200))[
        "servers"
    ]
    assert [each["status"] for each in since] == ["DELETED"]


@pytest.mark.slow
async def test_groups_keep_servers_apart_and_together() -> None:
    async with compute_alone(hosts={"a": {}, "b": {}, "c": {}}) as compute:
        for policy, hosts in (("anti-affinity", 3), ("affinity", 1)):
            body = {"server_group": {"name": policy, "policies": [policy]}}
            group = (await compute.ask("POST", "/os-server-groups", body, expect=200))["server_group"]
            wanted = {
                **compute.wanted(min_count=3, max_count=3),
                "os:scheduler_hints": {"group": group["id"]},
            }
            await compute.ask("POST", "/servers", wanted, expect=202)
            shown = (await compute.ask("GET", f"/os-server-groups/{group['id']}", expect=200))["server_group"]
            servers = [await compute.until(each, "ACTIVE") for each in shown["members"]]
            assert len({server["OS-EXT-SRV-ATTR:host"] for server in servers}) == hosts
            assert all(server["server_groups"] == [group["id"]] for server in servers)


@pytest.mark.slow
async def test_a_guest_that_ends_by_itself_is_shutoff(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    await asyncio.sleep(1.1)  # a server that has just been launched is not looked at
    compute.world.hosts["host-1"].crash(server["id"], "the kernel panicked")
    shown = await compute.until(server["id"], "SHUTOFF")
    assert shown["OS-EXT-STS:power_state"] == 4
    await compute.ask("POST", f"/servers/{server['id']}/action", {"os-start": None}, expect=202)
    await compute.until(server["id"], "ACTIVE")


@pytest.mark.slow
@pytest.mark.parametrize("resume", [True, False])
async def test_after_its_host_has_started_anew(resume: bool) -> None:
    async with compute_alone(
        settings=Settings(resume_guests_state_on_host_boot=resume, sync_seconds=0.05)
    ) as compute:
        server = await compute.boot()
        await asyncio.sleep(1.1)
        guest = compute.world.hosts["host-1"].guests[server["id"]]
        compute.cloud.runtime.state.hosts.get("host-1").boot_id = lambda: "another"
        guest.end(Power.STOPPED, None)
        compute.world.hosts["host-1"].changed(server["id"])  # type: ignore[misc]
        await until(lambda: not resume or guest.power is Power.RUNNING)
        await compute.until(server["id"], "ACTIVE" if resume else "SHUTOFF")
        assert guest.power == ("running" if resume else "stopped")


@pytest.mark.slow
@pytest.mark.parametrize(("power", "status"), [(Power.CRASHED, "ACTIVE"), (Power.STOPPED, "SHUTOFF")])
async def test_what_ended_while_nobody_looked(power: Power, status: str) -> None:
    """Killed with all the rest, it is started again; off by its own doing, it stays off."""
    async with compute_alone(settings=Settings(sync_seconds=0.05)) as compute:
        server = await compute.boot()
        await asyncio.sleep(1.1)
        guest = compute.world.hosts["host-1"].guests[server["id"]]
        guest.end(power, None)
        compute.cloud.runtime.state.hosts.get("host-1").known.clear()
        compute.world.hosts["host-1"].changed(server["id"])  # type: ignore[misc]
        await until(lambda: guest.power is (Power.RUNNING if status == "ACTIVE" else Power.STOPPED))
        await compute.until(server["id"], status)


async def test_ports_that_come_up_late_hold_the_server_back(compute: ComputeUnderTest) -> None:
    compute.needs.networks.active_after = float("inf")
    made = await compute.ask("POST", "/servers", compute.wanted(), expect=202)
    server_id = made["server"]["id"]
    await until(lambda: server_id in compute.guests)
    shown = (await compute.ask("GET", f"/servers/{server_id}", expect=200))["server"]
    assert shown["status"] == "BUILD"
    compute.needs.networks.active_after = 0
    await compute.until(server_id, "ACTIVE")


@pytest.mark.slow
async def test_a_driver_that_fails_for_good_is_told(compute: ComputeUnderTest) -> None:
    image_id = compute.needs.images.add(b"good")
    compute.needs.images.contents[image_id] = b"bad!"
    made = await compute.ask("POST", "/servers", compute.wanted(imageRef=image_id), expect=202)
    server = await compute.until(made["server"]["id"], "ERROR")
    assert "arrived damaged" in server["fault"]["message"]
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert compute.needs.networks.all_ports == {}


async def test_a_disabled_host_gets_no_servers(compute: ComputeUnderTest) -> None:
    services = await compute.ask("GET", "/os-services?binary=nova-compute", as_=ADMIN, version="2.53")
    service_id = services.json()["services"][0]["id"]
    body = {"status": "disabled", "disabled_reason": "worn"}
    await compute.ask("PUT", f"/os-services/{service_id}", body, as_=ADMIN, version="2.53", expect=200)
    made = await compute.ask("POST", "/servers", compute.wanted(), expect=202)
    server = await compute.until(made["server"]["id"], "ERROR")
    assert "disabled" in server["fault"]["message"]


async def test_a_servers_life_is_told(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    await compute.ask("PUT", f"/servers/{server['id']}", {"server": {"name": "renamed"}}, expect=200)
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    told = await compute.cloud.runtime.db.read(lambda tx: tx.rows(select(events).order_by(events.c.seq)))
    types = ["create.start", "create.end", "update", "delete.start", "delete.end"]
    assert [row.type for row in told] == [f"compute.server.{each}" for each in types]
    assert {row.resource_id for row in told} == {server["id"]}
    assert told[0].request_id == told[1].request_id != told[2].request_id


async def test_security_groups_come_and_go(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    group_id = compute.needs.networks.add_group(PROJECT_ID, "web")
    action = f"/servers/{server['id']}/action"
    await compute.ask("POST", action, {"addSecurityGroup": {"name": "web"}}, expect=202)
    (port,) = compute.needs.networks.all_ports.values()
    assert port["security_groups"] == [group_id]
    await compute.ask("POST", action, {"removeSecurityGroup": {"name": "web"}}, expect=202)
    assert next(iter(compute.needs.networks.all_ports.values()))["security_groups"] == []
    shown = (await compute.ask("GET", f"/servers/{server['id']}", expect=200))["server"]
    assert "security_groups" not in shown
    await compute.ask("POST", action, {"removeSecurityGroup": {"name": "web"}}, expect=404)


async def test_a_fresh_server_shows_a_floating_ip_at_once(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    networks = compute.needs.networks
    (port_id,) = networks.all_ports
    networks.floating.append({"floating_ip_address": "203.0.113.7", "port_id": port_id})
    event = {"name": "network-changed", "server_uuid": server["id"], "tag": port_id}
    await compute.ask("POST", "/os-server-external-events", {"events": [event]}, as_=ADMIN, expect=200)

    async def is_shown() -> bool:
        shown = (await compute.ask("GET", f"/servers/{server['id']}", expect=200))["server"]
        return "203.0.113.7" in [each["addr"] for entries in shown["addresses"].values() for each in entries]

    await until(is_shown, Settings().sync_seconds / 2)


async def test_a_fresh_server_gets_an_interface_at_once(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    guest = compute.guests[server["id"]]
    path = f"/servers/{server['id']}/os-interface"
    body = {"interfaceAttachment": {"net_id": compute.network_id}}
    made = (await compute.ask("POST", path, body, expect=200))["interfaceAttachment"]
    await until(lambda: len(guest.spec.nics) == 2, Settings().sync_seconds / 2)
    assert guest.spec.nics[1].port_id == made["port_id"]
    await compute.ask("DELETE", f"{path}/{made['port_id']}", expect=202)
    await until(lambda: len(guest.spec.nics) == 1, Settings().sync_seconds / 2)
    assert guest.boots == 1
