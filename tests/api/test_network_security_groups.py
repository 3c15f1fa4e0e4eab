"""Security groups and their rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.testing.service import ADMIN
from pileus.testing.waiting import until
from tests.network_cloud import OTHER, NetworkCloud, network_cloud


@pytest.fixture
async def cloud() -> AsyncIterator[NetworkCloud]:
    async with network_cloud() as running:
        yield running


async def test_every_project_has_one_default_group(cloud: NetworkCloud) -> None:
    await asyncio.gather(*(cloud.get("/security-groups") for _ in range(5)))
    (group,) = (await cloud.get("/security-groups"))["security_groups"]
    assert group["name"] == "default"
    rules = {
        (rule["direction"], rule["ethertype"], rule["remote_group_id"])
        for rule in group["security_group_rules"]
    }
    assert rules == {
        ("egress", "IPv4", None),
        ("egress", "IPv6", None),
        ("ingress", "IPv4", group["id"]),
        ("ingress", "IPv6", group["id"]),
    }
    await until(lambda: group["id"] in cloud.world.security_groups)
    path = f"/security-groups/{group['id']}"
    assert (await cloud.delete(path, status=409))["NeutronError"][
        "type"
    ] == "SecurityGroupCannotRemoveDefault"
    await cloud.put(path, {"security_group": {"name": "other"}}, status=409)
    await cloud.put(path, {"security_group": {"description": "d"}})
    for name in ("default", "Default"):
        await cloud.post("/security-groups", {"security_group": {"name": name}}, status=409)
    await cloud.get(path, status=404, as_=OTHER)
    await cloud.delete(path, as_=ADMIN)


async def test_a_group_its_rules_and_the_engine(cloud: NetworkCloud) -> None:
    group = await cloud.make("security_group", name="web", description="d", stateful=False)
    assert {rule["direction"] for rule in group["security_group_rules"]} == {"egress"}
    rule = await cloud.make(
        "security_group_rule",
        security_group_id=group["id"],
        direction="ingress",
        protocol="TCP",
        port_range_min=80,
        port_range_max=81,
        remote_ip_prefix="10.0.0.9/8",
    )
    assert (rule["protocol"], rule["remote_ip_prefix"], rule["normalized_cidr"]) == (
        "tcp",
        "10.0.0.9/8",
        "10.0.0.0/8",
    )
    shown = await cloud.show("security_group", group["id"])
    assert shown["revision_number"] == group["revision_number"] + 1
    assert rule["id"] in {each["id"] for each in shown["security_group_rules"]}

    def rules() -> set[str]:
        made = cloud.world.security_groups.get(group["id"])
        return {each.id for each in made.rules} if made is not None else set()

    await until(lambda: rule["id"] in rules())
    assert cloud.world.security_groups[group["id"]].stateful is False
    await cloud.delete(f"/security-group-rules/{rule['id']}")
    await until(lambda: rule["id"] not in rules())
    await cloud.put(f"/security-groups/{group['id']}", {"security_group": {"name": "default"}}, status=409)
    (slim,) = (await cloud.get("/security-groups?name=web&fields=security_group_rules"))["security_groups"]
    assert set(slim) == {"security_group_rules"}
    assert "direction" in slim["security_group_rules"][0]
    await cloud.delete(f"/security-groups/{group['id']}")
    await until(lambda: group["id"] not in cloud.world.security_groups)
    assert all(
        each["security_group_id"] != group["id"]
        for each in (await cloud.get("/security-group-rules"))["security_group_rules"]
    )


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"protocol": 17}, 201, ""),
        ({"protocol": "17"}, 201, ""),
        ({"protocol": "any"}, 201, ""),
        ({"protocol": "vrrp"}, 201, ""),
        ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, 201, ""),
        ({"protocol": "icmp", "port_range_min": 11}, 201, ""),
        ({"protocol": "ipv6-icmp", "ethertype": "ipv6"}, 201, ""),
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "ethertype": "IPv6"}, 201, ""),
        ({"protocol": "bad_protocol_name"}, 400, "not supported"),
        ({"protocol": 256}, 400, "not supported"),
        ({"protocol": -1}, 400, "not supported"),
        ({"protocol": "ipv6-icmp"}, 400, "Invalid ethertype"),
        ({"ethertype": "bad"}, 400, "ethertype"),
        ({"direction": "sideways"}, 400, "direction"),
        ({"port_range_min": 22, "port_range_max": 22}, 400, "protocol"),
        ({"protocol": "vrrp", "port_range_min": 1, "port_range_max": 2}, 400, "no ports"),
        ({"protocol": "tcp", "port_range_min": -16, "port_range_max": 80}, 400, "Invalid value for port -16"),
        ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 79}, 400, "port_range_min must be <="),
        (
            {"protocol": "tcp", "port_range_min": 80, "port_range_max": 65536},
            400,
            "Invalid value for port 65536",
        ),
        ({"protocol": "tcp", "port_range_max": 6}, 400, "port_range_min must be <="),
        ({"protocol": "tcp", "port_range_min": 2**70, "port_range_max": 2**71}, 400, ""),
        (
            {"protocol": "icmp", "port_range_min": 1, "port_range_max": 256},
            400,
            "Invalid value for ICMP code",
        ),
        ({"protocol": "icmp", "port_range_max": 6}, 400, "ICMP type (port-range-min) is missing"),
        (
            {"protocol": "icmp", "port_range_min": 300, "port_range_max": 1},
            400,
            "Invalid value for ICMP type",
        ),
        ({"remote_ip_prefix": "192.168.1./24"}, 400, "CIDR"),
        ({"remote_ip_prefix": "192.168.1.1/33"}, 400, "CIDR"),
        ({"remote_ip_prefix": "fd00::/64"}, 400, "Conflicting value ethertype"),
        ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "self"}, 400, "not both"),
        ({"remote_group_id": "bad_group_id"}, 404, "does not exist"),
        ({"remote_group_id": "self"}, 201, ""),
    ],
)
async def test_rules(cloud: NetworkCloud, more: dict[str, Any], status: int, words: str) -> None:
    group = await cloud.make("security_group", name="g")
    body = {"security_group_id": group["id"], "direction": "ingress", **more}
    if body.get("remote_group_id") == "self":
        body["remote_group_id"] = group["id"]
    reply = await cloud.post("/security-group-rules", {"security_group_rule": body}, status=status)
    if status != 201:
        assert words in reply["NeutronError"]["message"]
        return
    again = await cloud.post("/security-group-rules", {"security_group_rule": body}, status=409)
    assert again["NeutronError"]["type"] == "SecurityGroupRuleExists"


async def test_the_same_said_otherwise_is_the_same_rule(cloud: NetworkCloud) -> None:
    group = await cloud.make("security_group", name="g")
    base = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv6"}
    pairs = [
        ({"protocol": "icmpv6"}, {"protocol": "ipv6-icmp"}),
        (
            {"protocol": "tcp", "remote_ip_prefix": "fd00::1/64"},
            {"protocol": "6", "remote_ip_prefix": "fd00::/64"},
        ),
        ({"protocol": None}, {"protocol": "any"}),
    ]
    for one, other in pairs:
        await cloud.make("security_group_rule", **base, **one)
        await cloud.post("/security-group-rules", {"security_group_rule": {**base, **other}}, status=409)


async def test_groups_of_others_are_not_there(cloud: NetworkCloud) -> None:
    group = await cloud.make("security_group", name="g")
    body = {"security_group_id": group["id"], "direction": "ingress"}
    await cloud.post("/security-group-rules", {"security_group_rule": body}, status=404, as_=OTHER)
    theirs = await cloud.make("security_group", name="g", as_=OTHER)
    body = {"security_group_id": theirs["id"], "direction": "ingress", "remote_group_id": group["id"]}
    await cloud.post("/security-group-rules", {"security_group_rule": body}, status=404, as_=OTHER)
    network = await cloud.network(as_=OTHER)
    await cloud.post(
        "/ports",
        {"port": {"network_id": network["id"], "security_groups": [group["id"]]}},
        status=404,
        as_=OTHER,
    )


async def test_a_remote_group_that_goes_takes_the_rules_about_it_along(cloud: NetworkCloud) -> None:
    one, two = await cloud.make("security_group", name="one"), await cloud.make("security_group", name="two")
    rule = await cloud.make(
        "security_group_rule", security_group_id=one["id"], direction="ingress", remote_group_id=two["id"]
    )
    await cloud.delete(f"/security-groups/{two['id']}")
    await cloud.get(f"/security-group-rules/{rule['id']}", status=404)
