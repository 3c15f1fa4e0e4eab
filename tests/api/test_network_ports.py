"""Ports: addresses, MAC addresses, security, binding, and who may do what to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.services.network.driver import Address
from pileus.testing.service import ADMIN, MEMBER
from pileus.testing.waiting import until
from tests.network_cloud import COMPUTE, HOST, OTHER, NetworkCloud, network_cloud


@pytest.fixture
async def cloud() -> AsyncIterator[NetworkCloud]:
    async with network_cloud() as running:
        yield running


async def test_a_port_reaches_the_engine_and_leaves_it(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", network_id=network["id"], name="p", dns_name="web")
    assert port["status"] == "DOWN"
    (fixed_ip,) = port["fixed_ips"]
    assert fixed_ip["subnet_id"] == network["subnets"][0]
    assert port["dns_assignment"] == [
        {"ip_address": fixed_ip["ip_address"], "hostname": "web", "fqdn": "web.openstacklocal."}
    ]
    await until(lambda: port["id"] in cloud.world.ports)
    made = cloud.world.ports[port["id"]]
    assert made.mac == port["mac_address"]
    assert made.addresses == (Address(subnet_id=fixed_ip["subnet_id"], ip=fixed_ip["ip_address"]),)
    assert list(made.security_group_ids) == port["security_groups"]
    await cloud.delete(f"/ports/{port['id']}")
    await cloud.get(f"/ports/{port['id']}", status=404)
    await until(lambda: port["id"] not in cloud.world.ports)


async def test_binding_answers_at_once_and_the_port_comes_up(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", network_id=network["id"])
    assert "binding:host_id" not in port, "only services and administrators see where a port is"
    bound = (await cloud.put(f"/ports/{port['id']}", {"port": {"binding:host_id": HOST}}, as_=COMPUTE))[
        "port"
    ]
    assert (bound["binding:vif_type"], bound["binding:host_id"]) == ("sim", HOST)
    await cloud.until_status("port", port["id"], "ACTIVE")
    loose = (await cloud.put(f"/ports/{port['id']}", {"port": {"binding:host_id": ""}}, as_=COMPUTE))["port"]
    assert (loose["binding:vif_type"], loose["status"]) == ("unbound", "DOWN")
    await cloud.until_status("port", port["id"], "DOWN")
    await cloud.put(f"/ports/{port['id']}", {"port": {"binding:host_id": HOST}}, status=403)


async def test_a_port_made_for_a_host_is_bound_by_its_strand(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", as_=COMPUTE, network_id=network["id"], more={"binding:host_id": HOST})
    shown = await cloud.until_status("port", port["id"], "ACTIVE")
    assert shown["binding:vif_type"] == "sim"
    await cloud.put(
        f"/ports/{port['id']}", {"port": {"mac_address": "fa:16:3e:00:00:99"}}, as_=ADMIN, status=409
    )


async def test_a_port_that_is_down_is_told_so(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", as_=COMPUTE, network_id=network["id"], more={"binding:host_id": HOST})
    await cloud.until_status("port", port["id"], "ACTIVE")
    await cloud.put(f"/ports/{port['id']}", {"port": {"admin_state_up": False}}, as_=COMPUTE)
    await cloud.until_status("port", port["id"], "DOWN")


async def test_an_unsupported_interface_is_a_failed_binding(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make("port", network_id=network["id"], more={"binding:vnic_type": "direct"})
    bound = (await cloud.put(f"/ports/{port['id']}", {"port": {"binding:host_id": HOST}}, as_=COMPUTE))[
        "port"
    ]
    assert bound["binding:vif_type"] == "binding_failed"


async def test_addresses_by_subnet_by_address_and_none(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    (subnet_id,) = network["subnets"]
    by_ip = await cloud.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.9"}])
    assert by_ip["fixed_ips"] == [{"subnet_id": subnet_id, "ip_address": "10.0.0.9"}]
    none = await cloud.make("port", network_id=network["id"], fixed_ips=[])
    assert none["fixed_ips"] == []
    body = {"port": {"fixed_ips": [{"ip_address": "10.0.0.10"}, {"ip_address": "10.0.0.9"}]}}
    assert len((await cloud.put(f"/ports/{by_ip['id']}", body))["port"]["fixed_ips"]) == 2
    two = await cloud.make(
        "port", network_id=network["id"], fixed_ips=[{"subnet_id": subnet_id}, {"subnet_id": subnet_id}]
    )
    assert len({each["ip_address"] for each in two["fixed_ips"]}) == 2
    (found,) = (await cloud.get("/ports?fixed_ips=ip_address=10.0.0.10"))["ports"]
    assert found["id"] == by_ip["id"]
    assert len((await cloud.get(f"/ports?fixed_ips=subnet_id={subnet_id}"))["ports"]) == 2
    both = f"/ports?fixed_ips=subnet_id={subnet_id}&fixed_ips=ip_address=10.0.0.9&network_id={network['id']}"
    assert [each["id"] for each in (await cloud.get(both, as_=COMPUTE))["ports"]] == [by_ip["id"]]
    assert (await cloud.get("/ports?fixed_ips=ip_address_substr=0.0.1"))["ports"] != []
    await cloud.get("/ports?fixed_ips=colour=red", status=400)


@pytest.mark.parametrize(
    ("fixed_ip", "status"),
    [
        ({"ip_address": "10.0.0.7"}, 409),
        ({"ip_address": "10.0.1.7"}, 400),
        ({"ip_address": "10.0.0.0"}, 400),
        ({"ip_address": "10.0.0.255"}, 400),
        ({"ip_address": "nonsense"}, 400),
        ({"ip_address": "fe80::1%eth0"}, 400),
        ({"subnet_id": "11111111-1111-4111-8111-111111111111"}, 400),
        ({"subnet_id": "x"}, 400),
        ({}, 400),
        ({"colour": "red"}, 400),
    ],
)
async def test_addresses_that_cannot_be(cloud: NetworkCloud, fixed_ip: Any, status: int) -> None:
    network = await cloud.network()
    await cloud.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.7"}])
    body = {"port": {"network_id": network["id"], "fixed_ips": [fixed_ip]}}
    reply = await cloud.post("/ports", body, status=status)
    assert reply["NeutronError"]["message"]


async def test_a_full_subnet_says_so(cloud: NetworkCloud) -> None:
    network = await cloud.network("10.0.0.0/29")
    taken = [await cloud.make("port", network_id=network["id"]) for _ in range(5)]
    assert {port["fixed_ips"][0]["ip_address"] for port in taken} == {f"10.0.0.{n}" for n in range(2, 7)}
    error = await cloud.post("/ports", {"port": {"network_id": network["id"]}}, status=409)
    assert error["NeutronError"]["type"] == "IpAddressGenerationFailure"
    await cloud.delete(f"/ports/{taken[0]['id']}")
    again = await cloud.make("port", network_id=network["id"])
    assert again["fixed_ips"] == taken[0]["fixed_ips"]


async def test_slaac_addresses_follow_from_the_mac_address(cloud: NetworkCloud) -> None:
    network = await cloud.network(cidr=None)
    early = await cloud.make("port", network_id=network["id"], mac_address="fa:16:3e:12:34:56")
    slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = await cloud.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00:1::/64", **slaac)
    shown = await cloud.show("port", early["id"])
    assert shown["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "fd00:1::f816:3eff:fe12:3456"}]
    late = await cloud.make("port", network_id=network["id"], mac_address="FA-16-3E-12-34-57")
    assert late["fixed_ips"][0]["ip_address"] == "fd00:1::f816:3eff:fe12:3457"
    wrong = {
        "network_id": network["id"],
        "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "fd00:1::9"}],
    }
    error = await cloud.post("/ports", {"port": wrong}, status=400)
    assert error["NeutronError"]["type"] == "AllocationOnAutoAddressSubnet"
    moved = (
        await cloud.put(f"/ports/{late['id']}", {"port": {"mac_address": "fa:16:3e:00:00:01"}}, as_=ADMIN)
    )["port"]
    assert moved["fixed_ips"][0]["ip_address"] == "fd00:1::f816:3eff:fe00:1"
    await cloud.delete(f"/subnets/{subnet['id']}")
    assert (await cloud.show("port", early["id"]))["fixed_ips"] == []


async def test_mac_addresses_are_unique_on_a_network_and_free_when_the_port_is_gone(
    cloud: NetworkCloud,
) -> None:
    network = await cloud.network()
    port = await cloud.make("port", network_id=network["id"])
    wanted = {"network_id": network["id"], "mac_address": port["mac_address"]}
    assert (await cloud.post("/ports", {"port": wanted}, status=409))["NeutronError"][
        "type"
    ] == "MacAddressInUse"
    await cloud.delete(f"/ports/{port['id']}")
    assert (await cloud.make("port", **wanted))["mac_address"] == port["mac_address"]
    (held,) = (await cloud.get("/ports"))["ports"]
    renewed = (await cloud.put(f"/ports/{held['id']}", {"port": {"mac_address": None}}, as_=ADMIN))["port"]
    assert renewed["mac_address"] not in (None, held["mac_address"])
    for wrong in ("nonsense", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00"):
        await cloud.post("/ports", {"port": {"network_id": network["id"], "mac_address": wrong}}, status=400)


async def test_security_groups_pairs_and_options(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    group = await cloud.make("security_group", name="web")
    port = await cloud.make(
        "port",
        network_id=network["id"],
        security_groups=[group["id"]],
        allowed_address_pairs=[{"ip_address": "10.0.0.0/28"}],
        extra_dhcp_opts=[
            {"opt_name": "bootfile-name", "opt_value": "a"},
            {"opt_name": "mtu", "opt_value": "1400"},
        ],
    )
    assert port["security_groups"] == [group["id"]]
    assert port["allowed_address_pairs"] == [
        {"ip_address": "10.0.0.0/28", "mac_address": port["mac_address"]}
    ]
    (found,) = (await cloud.get(f"/ports?security_groups={group['id']}"))["ports"]
    assert found["id"] == port["id"]
    path = f"/ports/{port['id']}"
    body = {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": None}]}
    changed = (await cloud.put(path, {"port": body}))["port"]
    assert changed["extra_dhcp_opts"] == [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}]
    assert (await cloud.delete(f"/security-groups/{group['id']}", status=409))["NeutronError"]["type"] == (
        "SecurityGroupInUse"
    )
    await cloud.put(path, {"port": {"port_security_enabled": False}}, status=409)
    both = {"port_security_enabled": False, "security_groups": [group["id"]]}
    await cloud.put(path, {"port": both}, status=400)
    await cloud.put(path, {"port": {"security_groups": [group["id"]] * 2}}, status=400)
    stateless = await cloud.make("security_group", name="stateless", stateful=False)
    await cloud.put(path, {"port": {"security_groups": [group["id"], stateless["id"]]}}, status=409)
    body = {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []}
    changed = (await cloud.put(path, {"port": body}))["port"]
    assert (changed["port_security_enabled"], changed["security_groups"]) == (False, [])
    await cloud.put(path, {"port": {"allowed_address_pairs": [{"ip_address": "10.0.0.1"}]}}, status=409)
    await cloud.delete(f"/security-groups/{group['id']}")
    await cloud.put(path, {"port": {"security_groups": [group["id"]]}}, status=404)
    pairs = [{"ip_address": "10.0.0.1"}] * 2
    await cloud.post(
        "/ports", {"port": {"network_id": network["id"], "allowed_address_pairs": pairs}}, status=400
    )


async def test_others_see_and_use_only_what_is_shared(cloud: NetworkCloud) -> None:
    mine = await cloud.network()
    port = await cloud.make("port", network_id=mine["id"])
    for path in (f"/networks/{mine['id']}", f"/ports/{port['id']}", f"/subnets/{mine['subnets'][0]}"):
        await cloud.get(path, status=404, as_=OTHER)
        await cloud.delete(path, status=404, as_=OTHER)
    await cloud.post("/ports", {"port": {"network_id": mine["id"]}}, status=404, as_=OTHER)
    await cloud.put(f"/networks/{mine['id']}", {"network": {"shared": True}}, status=403)
    await cloud.put(f"/networks/{mine['id']}", {"network": {"shared": True}}, as_=ADMIN)
    theirs = await cloud.make("port", network_id=mine["id"], as_=OTHER)
    await cloud.get(f"/subnets/{mine['subnets'][0]}", as_=OTHER)
    assert (await cloud.show("port", theirs["id"]))["id"] == theirs["id"], (
        "the network's owner sees its ports"
    )
    asked = {"network_id": mine["id"], "fixed_ips": [{"ip_address": "10.0.0.77"}]}
    await cloud.post("/ports", {"port": asked}, status=403, as_=OTHER)
    await cloud.post(
        "/ports", {"port": {"network_id": mine["id"], "mac_address": "fa:16:3e:1:2:3"}}, 403, as_=OTHER
    )
    unshared = await cloud.put(
        f"/networks/{mine['id']}", {"network": {"shared": False}}, status=409, as_=ADMIN
    )
    assert unshared["NeutronError"]["type"] == "InvalidSharedSetting"
    await cloud.get(f"/networks/{mine['id']}", as_=OTHER)
    await cloud.put(f"/networks/{mine['id']}", {"network": {"name": "x"}}, status=403, as_=OTHER)


async def test_a_port_of_a_server_is_not_its_users_to_delete(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    port = await cloud.make(
        "port", network_id=network["id"], as_=COMPUTE, device_owner="compute:nova", device_id="s"
    )
    assert port["project_id"] == COMPUTE.project_id
    owned = await cloud.make(
        "port",
        as_=COMPUTE,
        network_id=network["id"],
        project_id=MEMBER.project_id,
        device_owner="compute:nova",
    )
    await cloud.delete(f"/ports/{owned['id']}", status=403)
    await cloud.delete(f"/ports/{owned['id']}", as_=COMPUTE)
    await cloud.post(
        "/ports",
        {"port": {"network_id": network["id"], "project_id": OTHER.project_id}},
        status=201,
        as_=ADMIN,
    )


async def test_the_same_key_makes_one_port(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    body = {"port": {"network_id": network["id"]}}
    key = {"idempotency-key": "boot-1"}
    first = await cloud.post("/ports", body, as_=COMPUTE, headers=key)
    assert await cloud.post("/ports", body, as_=COMPUTE, headers=key) == first
    assert len((await cloud.get("/ports", as_=COMPUTE))["ports"]) == 1


async def test_bulk_makes_all_or_none(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    wanted = [{"network_id": network["id"], "tags": ["a"]}, {"network_id": network["id"]}]
    made = (await cloud.post("/ports", {"ports": wanted}))["ports"]
    assert [port["tags"] for port in made] == [["a"], []]
    await cloud.post(
        "/ports", {"ports": [*wanted, {"network_id": network["id"], "mac_address": "x"}]}, status=400
    )
    error = await cloud.post("/ports", {"ports": []}, status=400)
    assert error["NeutronError"]["message"] == "Resources required: the list of ports is empty."
    assert len((await cloud.get("/ports"))["ports"]) == 2


async def test_quota_counts_ports(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    await cloud.put(f"/quotas/{MEMBER.project_id}", {"quota": {"port": 2}}, as_=ADMIN)
    for _ in range(2):
        await cloud.make("port", network_id=network["id"])
    error = await cloud.post("/ports", {"port": {"network_id": network["id"]}}, status=409)
    assert error["NeutronError"]["type"] == "OverQuota"


async def test_a_burst_of_ports_comes_up_with_addresses_of_their_own(database_url: str) -> None:
    async with network_cloud(database_url) as cloud:
        network = await cloud.network("10.0.0.0/22")
        body = {"network_id": network["id"], "project_id": MEMBER.project_id, "binding:host_id": HOST}
        calls = (cloud.post("/ports", {"port": body}, as_=COMPUTE) for _ in range(200))
        made = await asyncio.gather(*calls)
        ips = {each["port"]["fixed_ips"][0]["ip_address"] for each in made}
        assert len(ips) == 200

        async def all_up() -> bool:
            return len((await cloud.get("/ports?status=ACTIVE", as_=COMPUTE))["ports"]) == 200

        await until(all_up, seconds=60)
        assert set(cloud.world.ports) == {each["port"]["id"] for each in made}


async def test_the_last_addresses_go_to_one_port_each(database_url: str) -> None:
    async with network_cloud(database_url) as cloud:
        network = await cloud.network("10.0.0.0/28")
        body = {"port": {"network_id": network["id"]}}
        calls = (cloud.served.post("/networking/v2.0/ports", body) for _ in range(20))
        replies = await asyncio.gather(*calls)
        assert sorted(reply.status for reply in replies) == [201] * 13 + [409] * 7
        ips = [each["fixed_ips"][0]["ip_address"] for each in (await cloud.get("/ports"))["ports"]]
        assert len(set(ips)) == 13


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    moves=st.lists(
        st.one_of(
            st.just(("add", None)),
            st.tuples(st.just("at"), st.integers(0, 15)),
            st.tuples(st.just("drop"), st.integers(0, 20)),
        ),
        max_size=30,
    ),
    pool=st.tuples(st.integers(2, 8), st.integers(8, 14)),
)
async def test_no_address_is_given_twice_and_none_beyond_the_pool(
    moves: list[tuple[str, int | None]], pool: tuple[int, int]
) -> None:
    async with network_cloud() as cloud:
        network = await cloud.network(cidr=None)
        pools = [{"start": f"10.9.0.{pool[0]}", "end": f"10.9.0.{pool[1]}"}]
        await cloud.make(
            "subnet", network_id=network["id"], ip_version=4, cidr="10.9.0.0/28", allocation_pools=pools
        )
        held: dict[str, str] = {}
        for verb, number in moves:
            taken = set(held.values())
            if verb == "drop":
                if held:
                    port_id = sorted(held)[(number or 0) % len(held)]
                    await cloud.delete(f"/ports/{port_id}")
                    del held[port_id]
                continue
            body: dict[str, Any] = {"network_id": network["id"]}
            wanted = f"10.9.0.{number}"
            if verb == "at":
                body["fixed_ips"] = [{"ip_address": wanted}]
            free = {f"10.9.0.{n}" for n in range(pool[0], pool[1] + 1)} - taken
            expected = 201
            if verb == "at":
                expected = 400 if number in (0, 15) else 409 if wanted in taken else 201
            elif not free:
                expected = 409
            reply = await cloud.post("/ports", {"port": body}, status=expected)
            if expected == 201:
                ip = reply["port"]["fixed_ips"][0]["ip_address"]
                assert ip not in taken
                assert ip == wanted if verb == "at" else ip in free
                held[reply["port"]["id"]] = ip
        shown = (await cloud.get("/ports"))["ports"]
        assert {port["id"]: port["fixed_ips"][0]["ip_address"] for port in shown} == held
