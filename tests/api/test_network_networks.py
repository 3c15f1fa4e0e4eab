"""Networks and subnets, and what all collections share: tags, revisions, pages, filters, fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.drivers.network.sim import Faults
from pileus.kernel.work.program import LabelSpec
from pileus.services.network.bootstrap import first_rows
from pileus.services.network.driver import Network, NetworkError, SecurityGroup
from pileus.services.network.settings import Settings
from pileus.services.network.work import attach
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER
from pileus.testing.waiting import until
from tests.network_cloud import OTHER, NetworkCloud, network_cloud

READER = persona("project", "reader")


@pytest.fixture
async def cloud() -> AsyncIterator[NetworkCloud]:
    async with network_cloud() as running:
        yield running


async def test_a_network_and_its_subnets_reach_the_engine(cloud: NetworkCloud) -> None:
    network = await cloud.make("network", name="n", mtu=1400, dns_domain="Example.org.")
    assert (network["status"], network["dns_domain"], network["mtu"]) == ("ACTIVE", "example.org.", 1400)
    assert "provider:network_type" not in network
    assert (await cloud.show("network", network["id"], as_=ADMIN))["provider:network_type"] == "geneve"
    subnet = await cloud.make(
        "subnet",
        network_id=network["id"],
        ip_version=4,
        cidr="10.1.0.0/24",
        dns_nameservers=["9.9.9.9"],
        host_routes=[{"destination": "10.2.0.0/16", "nexthop": "10.1.0.9"}],
    )
    await until(
        lambda: bool(cloud.world.networks.get(network["id"]) and cloud.world.networks[network["id"]].subnets)
    )
    made = cloud.world.networks[network["id"]]
    assert (made.mtu, made.external, made.dns_domain) == (1400, False, "example.org.")
    assert (made.subnets[0].cidr, made.subnets[0].gateway_ip) == ("10.1.0.0/24", "10.1.0.1")
    assert made.subnets[0].host_routes == (("10.2.0.0/16", "10.1.0.9"),)
    await cloud.put(f"/subnets/{subnet['id']}", {"subnet": {"dns_nameservers": None, "name": "s"}})
    await until(lambda: cloud.world.networks[network["id"]].subnets[0].dns_nameservers == ())
    await cloud.delete(f"/networks/{network['id']}")
    await cloud.get(f"/subnets/{subnet['id']}", status=404)
    await until(lambda: network["id"] not in cloud.world.networks)


async def test_what_is_in_use_stays(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", network_id=network["id"])
    error = await cloud.delete(f"/networks/{network['id']}", status=409)
    assert error["NeutronError"]["type"] == "NetworkInUse"
    error = await cloud.delete(f"/subnets/{network['subnets'][0]}", status=409)
    assert (error["NeutronError"]["type"], port["id"] in error["NeutronError"]["message"]) == (
        "SubnetInUse",
        True,
    )
    await cloud.delete(f"/ports/{port['id']}")
    await cloud.delete(f"/subnets/{network['subnets'][0]}")
    await cloud.delete(f"/networks/{network['id']}")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"colour": "red"}, "Unrecognized attribute(s) 'colour'"),
        ({"id": "x"}, "Attribute 'id' not allowed in POST"),
        ({"status": "UP"}, "Attribute 'status' not allowed in POST"),
        ({"name": None}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"admin_state_up": "perhaps"}, "admin_state_up"),
        ({"mtu": 9000}, "maximum is 1500"),
        ({"mtu": -1}, "mtu"),
        ({"mtu": 2**70}, "mtu"),
        ({"dns_domain": "no-dot"}, "dot"),
        ({"dns_domain": "-x.org."}, "PQDN"),
        ({"name": "a\x00b"}, "NUL"),
    ],
)
async def test_networks_that_cannot_be(cloud: NetworkCloud, body: Any, words: str) -> None:
    error = await cloud.post("/networks", {"network": body}, status=400)
    assert words in error["NeutronError"]["message"]


async def test_provider_attributes_are_the_administrators(cloud: NetworkCloud) -> None:
    flat = {"provider:network_type": "flat", "provider:physical_network": "public"}
    await cloud.post("/networks", {"network": flat}, status=403)
    await cloud.post("/networks", {"network": {"router:external": True}}, status=403)
    await cloud.post("/networks", {"network": {"router:external": False, "shared": False}})
    assert (await cloud.external())["router:external"] is True
    error = await cloud.post("/networks", {"network": flat}, status=409, as_=ADMIN)
    assert error["NeutronError"]["type"] == "FlatNetworkInUse"
    for wrong in (
        {"provider:network_type": "vlan"},
        {"provider:network_type": "flat", "provider:physical_network": "moon"},
        {"provider:network_type": "geneve", "provider:physical_network": "public"},
        {"provider:segmentation_id": 7},
    ):
        await cloud.post("/networks", {"network": wrong}, status=400, as_=ADMIN)
    (external,) = (await cloud.get("/networks?router:external=True", as_=OTHER))["networks"]
    assert external["name"] == "public"
    assert (await cloud.get(f"/subnets/{external['subnets'][0]}", as_=OTHER))["subnet"][
        "router:external"
    ] is True
    assert len((await cloud.get("/subnets?router:external=true", as_=OTHER))["subnets"]) == 1
    await cloud.post("/ports", {"port": {"network_id": external["id"]}}, status=403, as_=OTHER)


async def test_default_quotas_are_settings(cloud: NetworkCloud) -> None:
    state = cloud.served.runtime.state
    state.settings = Settings(quotas={"network": 1})
    await first_rows(cloud.served.runtime, "admins")
    await cloud.make("network")
    await cloud.post("/networks", {"network": {}}, status=409)
    state.settings = Settings(quotas={"unicorn": 1})
    with pytest.raises(ValueError, match="unicorn"):
        await first_rows(cloud.served.runtime, "admins")


async def test_a_new_cloud_has_an_external_network(cloud: NetworkCloud) -> None:
    first = await first_rows(cloud.served.runtime, "admins")
    assert await first_rows(cloud.served.runtime, "admins") == first
    network = await cloud.show("network", first)
    assert (network["name"], network["router:external"], network["is_default"]) == ("public", True, True)
    found = (await cloud.get(f"/subnets?network_id={first}"))["subnets"]
    assert sorted(each["ip_version"] for each in found) == [4, 6]
    await until(lambda: first in cloud.world.networks and cloud.world.networks[first].external)
    error = await cloud.post(
        "/networks", {"network": {"is_default": True, "router:external": True}}, 409, as_=ADMIN
    )
    assert error["NeutronError"]["type"] == "DefaultExternalNetworkExists"


async def test_tags(cloud: NetworkCloud) -> None:
    one, two = await cloud.make("network", name="one"), await cloud.make("network", name="two")
    path = f"/networks/{one['id']}/tags"
    assert await cloud.put(path, {"tags": ["b", "a", "a"]}) == {"tags": ["a", "b"]}
    await cloud.put(f"{path}/c", status=201)
    await cloud.get(f"{path}/c", status=204)
    await cloud.get(f"{path}/d", status=404)
    assert await cloud.get(path) == {"tags": ["a", "b", "c"]}
    await cloud.delete(f"{path}/b")
    await cloud.delete(f"{path}/b", status=404)
    await cloud.post(f"{path}", {"tags": ["100%"]})
    await cloud.put(f"/networks/{two['id']}/tags", {"tags": ["a", "1000"]})
    before = await cloud.show("network", one["id"])
    assert (before["tags"], before["revision_number"]) == (["100%", "a", "c"], 4)

    async def names(query: str) -> list[str]:
        return sorted(each["name"] for each in (await cloud.get(f"/networks?{query}"))["networks"])

    assert await names("tags=a") == ["one", "two"]
    assert await names("tags=a,c") == ["one"]
    assert await names("tags-any=c,1000") == ["one", "two"]
    assert await names("not-tags=a,c") == ["two"]
    assert await names("not-tags-any=c,nothing") == ["two"]
    assert await names("tags=100%25") == ["one"]
    await cloud.put(path, {"tags": ["x,y"]}, status=400)
    await cloud.put(path, {"tags": "a"}, status=400)
    await cloud.put(path, {"tags": ["a"]}, status=403, as_=READER)
    await cloud.delete(path)
    assert await cloud.get(path) == {"tags": []}


async def test_revisions_guard_against_lost_updates(cloud: NetworkCloud) -> None:
    network = await cloud.make("network")
    path = f"/networks/{network['id']}"
    body = {"network": {"name": "x"}}
    seen = {"if-match": f"revision_number={network['revision_number']}"}
    changed = (await cloud.put(path, body, headers=seen))["network"]
    assert changed["revision_number"] == network["revision_number"] + 1
    error = await cloud.put(path, body, headers=seen, status=412)
    assert error["NeutronError"]["type"] == "RevisionNumberConstraintFailed"
    await cloud.delete(path, headers=seen, status=412)
    await cloud.delete(path, headers={"if-match": "nonsense"}, status=400)
    await cloud.delete(path, headers={"if-match": f"revision_number={changed['revision_number']}"})


async def test_pages_sorting_filters_and_fields(cloud: NetworkCloud) -> None:
    for n in range(5):
        await cloud.make("network", name=f"n{n}", description="" if n else "first")
    page = await cloud.get("/networks?limit=2&sort_key=name&sort_dir=desc")
    assert [each["name"] for each in page["networks"]] == ["n4", "n3"]
    links = {
        each["rel"]: each["href"].removeprefix("http://localhost/networking/v2.0")
        for each in page["networks_links"]
    }
    following = await cloud.get(links["next"])
    assert [each["name"] for each in following["networks"]] == ["n2", "n1"]
    links = {
        each["rel"]: each["href"].removeprefix("http://localhost/networking/v2.0")
        for each in following["networks_links"]
    }
    assert [each["name"] for each in (await cloud.get(links["previous"]))["networks"]] == ["n4", "n3"]
    assert len((await cloud.get("/networks?name=n1&name=n2"))["networks"]) == 2
    assert len((await cloud.get("/networks?description="))["networks"]) == 4
    assert len((await cloud.get(f"/networks?tenant_id={MEMBER.project_id}"))["networks"]) == 5
    (slim,) = (await cloud.get("/networks?name=n0&fields=id&fields=mtu"))["networks"]
    assert set(slim) == {"id", "mtu"}
    assert set((await cloud.get(f"/networks/{slim['id']}?fields=name"))["network"]) == {"name"}
    for wrong in (
        "colour=red",
        "sort_key=colour",
        "admin_state_up=perhaps",
        "limit=-1",
        "sort_key=name&sort_dir=up",
    ):
        await cloud.get(f"/networks?{wrong}", status=400)
    await cloud.get("/networks?marker=nowhere&limit=1", status=404)


async def test_discovery(cloud: NetworkCloud) -> None:
    reply = await cloud.served.get("/networking/")
    (version,) = reply.json()["versions"]
    assert (version["id"], version["status"]) == ("v2.0", "CURRENT")
    assert version["links"][0]["href"].endswith("/networking/v2.0/")
    names = {each["name"] for each in (await cloud.get("/"))["resources"]}
    assert {"network", "subnet", "port"} <= names
    aliases = {each["alias"] for each in (await cloud.get("/extensions"))["extensions"]}
    assert {"router", "security-group", "external-net", "binding", "quotas", "standard-attr-tag"} <= aliases
    assert not {"qos", "trunk", "address-scope", "metering", "logging"} & aliases
    assert (await cloud.get("/extensions/router"))["extension"]["alias"] == "router"
    await cloud.get("/extensions/qos", status=404)
    zones = (await cloud.get("/availability_zones"))["availability_zones"]
    assert {(each["name"], each["resource"]) for each in zones} == {("nova", "network"), ("nova", "router")}
    await cloud.post("/networks", {"network": {"availability_zone_hints": ["mars"]}}, status=404)


async def test_agents_and_availability_are_for_administrators(cloud: NetworkCloud) -> None:
    network = await cloud.network("10.0.0.0/24")
    await cloud.make("port", network_id=network["id"])

    async def beats() -> bool:
        return bool((await cloud.get("/agents", as_=ADMIN))["agents"])

    await until(beats)
    (agent,) = (await cloud.get("/agents?alive=True", as_=ADMIN))["agents"]
    assert (agent["host"], agent["alive"]) == ("host-1", True)
    assert (await cloud.get("/agents?alive=False", as_=ADMIN))["agents"] == []
    assert (await cloud.get("/agents"))["agents"] == []
    await cloud.get(f"/agents/{agent['id']}", status=404)
    changed = await cloud.put(f"/agents/{agent['id']}", {"agent": {"description": "d"}}, as_=ADMIN)
    assert changed["agent"]["description"] == "d"
    await cloud.delete(f"/agents/{agent['id']}", status=409, as_=ADMIN)
    path = f"/network-ip-availabilities/{network['id']}"
    shown = (await cloud.get(path, as_=ADMIN))["network_ip_availability"]
    assert (shown["total_ips"], shown["used_ips"]) == (253, 1)
    assert shown["subnet_ip_availability"][0]["cidr"] == "10.0.0.0/24"
    assert (await cloud.get("/network-ip-availabilities?ip_version=6", as_=ADMIN))[
        "network_ip_availabilities"
    ] == []
    assert (await cloud.get("/network-ip-availabilities"))["network_ip_availabilities"] == []


async def test_quotas(cloud: NetworkCloud) -> None:
    path = f"/quotas/{MEMBER.project_id}"
    await cloud.get(path, status=403)
    manager = persona("project", "manager")
    assert (await cloud.get(path, as_=manager))["quota"]["network"] == 100
    await cloud.put(path, {"quota": {"network": 1}}, status=403, as_=manager)
    assert (await cloud.put(path, {"quota": {"network": 1, "tenant_id": "x"}}, as_=ADMIN))["quota"][
        "network"
    ] == 1
    await cloud.make("network")
    error = await cloud.post("/networks", {"network": {}}, status=409)
    assert "network" in error["NeutronError"]["message"]
    details = (await cloud.get(f"{path}/details.json", as_=manager))["quota"]
    assert details["network"] == {"limit": 1, "used": 1, "reserved": 0}
    assert [each["project_id"] for each in (await cloud.get("/quotas", as_=ADMIN))["quotas"]] == [
        MEMBER.project_id
    ]
    assert (await cloud.get(f"{path}/default", as_=manager))["quota"]["network"] == 100
    await cloud.put(path, {"quota": {"unicorns": 1}}, status=400, as_=ADMIN)
    await cloud.put(path, {"quota": {"network": -2}}, status=400, as_=ADMIN)
    await cloud.put(path, {"quota": {"network": 0}}, status=400, as_=ADMIN)
    await cloud.put(path, {"quota": {"network": 0, "force": True}}, as_=ADMIN)
    await cloud.delete(path, as_=ADMIN)
    await cloud.make("network")
    assert (await cloud.get("/quotas/tenant"))["tenant"]["tenant_id"] == MEMBER.project_id


async def test_readers_read(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    await cloud.get(f"/networks/{network['id']}", as_=READER)
    assert len((await cloud.get("/networks", as_=READER))["networks"]) == 1
    await cloud.post("/networks", {"network": {}}, status=403, as_=READER)
    await cloud.put(f"/networks/{network['id']}", {"network": {"name": "x"}}, status=403, as_=READER)
    await cloud.delete(f"/networks/{network['id']}", status=403, as_=READER)
    body = {"network_id": network["id"], "ip_version": 4, "cidr": "10.7.0.0/24"}
    await cloud.post("/subnets", {"subnet": body}, status=403, as_=READER)
    await cloud.post("/networks", {"network": {"project_id": OTHER.project_id}}, status=403)
    made = await cloud.make("network", as_=ADMIN, tenant_id=OTHER.project_id)
    assert made["project_id"] == OTHER.project_id
    await cloud.get("/networks", status=403, as_=persona("system", "admin"))


async def test_what_happens_is_told(cloud: NetworkCloud) -> None:
    stream = cloud.served.runtime.events.stream(MEMBER.project_id)
    await anext(stream)
    network = await cloud.network()
    told = b""
    async with asyncio.timeout(60):
        while b"network.subnet.create.end" not in told:
            told += await anext(stream)
    await stream.aclose()
    assert b"network.network.create.end" in told
    assert network["id"].encode() in told


async def test_what_the_engine_lost_is_made_anew_and_what_nobody_wants_goes(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", network_id=network["id"])
    router = await cloud.make("router")
    await until(lambda: port["id"] in cloud.world.ports and router["id"] in cloud.world.routers)
    (group,) = port["security_groups"]
    for things in (cloud.world.networks, cloud.world.ports, cloud.world.routers, cloud.world.security_groups):
        things.clear()
    cloud.world.networks["orphan"] = Network(id="orphan", mtu=1500)
    cloud.world.security_groups["orphan"] = SecurityGroup(id="orphan")
    cloud.world.epochs["network", "orphan"] = 1000
    await attach(cloud.served.runtime)  # as at every start
    await until(lambda: port["id"] in cloud.world.ports and router["id"] in cloud.world.routers)
    assert set(cloud.world.networks) == {network["id"]}
    assert set(cloud.world.security_groups) == {group}


class Broken(Faults):
    """Makes no network."""

    def before(self, verb: str, subject_id: str) -> None:
        if verb == "ensure_network":
            raise NetworkError("the switch is on fire; put it out")


async def test_what_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabelSpec, "deadline_at", lambda spec, entered_at: entered_at)
    async with network_cloud() as cloud:
        cloud.world.faults = Broken()
        stream = cloud.served.runtime.events.stream(MEMBER.project_id)
        await anext(stream)
        network = await cloud.make("network")
        told = b""
        async with asyncio.timeout(60):
            while b"network.network.fault" not in told:
                told += await anext(stream)
        await stream.aclose()
        assert b"on fire" in told
        await cloud.until_status("network", network["id"], "ERROR")
        cloud.world.faults = Faults()
        await cloud.put(f"/networks/{network['id']}", {"network": {"name": "again"}})
        await cloud.until_status("network", network["id"], "ACTIVE")
