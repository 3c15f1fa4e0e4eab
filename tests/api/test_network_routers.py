"""Routers, their interfaces and gateways, and floating IPs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.services.network.driver import Router
from pileus.testing.service import ADMIN
from pileus.testing.waiting import until
from tests.network_cloud import OTHER, NetworkCloud, network_cloud


@pytest.fixture
async def cloud() -> AsyncIterator[NetworkCloud]:
    async with network_cloud() as running:
        yield running


def kind(error: Any) -> str:
    return str(error["NeutronError"]["type"])


async def joined(cloud: NetworkCloud, cidr: str = "10.0.0.0/24") -> tuple[Any, Any, Any]:
    """An external network, a router with its gateway there, and a network behind it."""
    external = await cloud.external()
    inner = await cloud.network(cidr)
    router = await cloud.make("router", name="r", external_gateway_info={"network_id": external["id"]})
    await cloud.put(f"/routers/{router['id']}/add_router_interface", {"subnet_id": inner["subnets"][0]})
    return external, inner, router


def made(cloud: NetworkCloud, router: Any) -> Router | None:
    return cloud.world.routers.get(router["id"])


async def test_a_router_with_a_gateway_and_an_interface(cloud: NetworkCloud) -> None:
    external, inner, router = await joined(cloud)
    info = router["external_gateway_info"]
    assert (info["network_id"], info["enable_snat"]) == (external["id"], True)
    await until(lambda: bool((found := made(cloud, router)) and found.interfaces))
    found = made(cloud, router)
    assert found is not None
    assert found.gateway is not None
    assert found.interfaces[0].addresses == ("10.0.0.1/24",)
    assert found.gateway.addresses == (info["external_fixed_ips"][0]["ip_address"] + "/24",)
    assert found.gateway.next_hops == ("172.24.4.1",)
    (interface,) = (await cloud.get(f"/ports?device_id={router['id']}"))["ports"]
    assert interface["device_owner"] == "network:router_interface"
    await cloud.until_status("port", interface["id"], "ACTIVE")
    everything = (await cloud.get(f"/ports?device_id={router['id']}", as_=ADMIN))["ports"]
    gateway = next(each for each in everything if each["device_owner"] == "network:router_gateway")
    assert gateway["project_id"] == ""
    for port in (interface, gateway):
        assert kind(await cloud.delete(f"/ports/{port['id']}", status=409, as_=ADMIN)) == "ServicePortInUse"
    assert kind(await cloud.delete(f"/routers/{router['id']}", status=409)) == "RouterInUse"
    assert kind(await cloud.delete(f"/networks/{inner['id']}", status=409)) == "NetworkInUse"
    assert kind(await cloud.delete(f"/subnets/{inner['subnets'][0]}", status=409)) == "SubnetInUse"
    assert (
        kind(await cloud.put(f"/subnets/{inner['subnets'][0]}", {"subnet": {"gateway_ip": None}}, 409))
        == "GatewayIpInUse"
    )
    body = {"subnet_id": inner["subnets"][0]}
    removed = await cloud.put(f"/routers/{router['id']}/remove_router_interface", body)
    assert removed["port_id"] == interface["id"]
    assert kind(await cloud.put(f"/routers/{router['id']}/remove_router_interface", body, 404)) == (
        "RouterInterfaceNotFoundForSubnet"
    )
    await cloud.delete(f"/routers/{router['id']}")
    await until(lambda: router["id"] not in cloud.world.routers)
    await cloud.delete(f"/networks/{inner['id']}")
    await cloud.delete(f"/networks/{external['id']}", as_=ADMIN)


async def test_the_gateway_comes_and_goes(cloud: NetworkCloud) -> None:
    external = await cloud.external()
    router = await cloud.make("router")
    assert router["external_gateway_info"] is None
    path = f"/routers/{router['id']}"
    info = {"network_id": external["id"]}
    await cloud.put(path, {"router": {"external_gateway_info": {**info, "enable_snat": False}}}, status=403)
    asked = {**info, "enable_snat": False, "external_fixed_ips": [{"ip_address": "172.24.4.50"}]}
    changed = (await cloud.put(path, {"router": {"external_gateway_info": asked}}, as_=ADMIN))["router"]
    assert changed["external_gateway_info"]["external_fixed_ips"][0]["ip_address"] == "172.24.4.50"
    await until(
        lambda: bool((found := made(cloud, router)) and found.gateway and not found.gateway.enable_snat)
    )
    changed = (await cloud.put(path, {"router": {"external_gateway_info": info}}))["router"]
    kept = changed["external_gateway_info"]
    assert (kept["enable_snat"], kept["external_fixed_ips"][0]["ip_address"]) == (False, "172.24.4.50")
    inner = await cloud.network()
    for network_id, status in ((inner["id"], 400), (router["id"], 404), ("x", 400)):
        body = {"router": {"external_gateway_info": {"network_id": network_id}}}
        await cloud.put(path, body, status=status)
    await cloud.put(path, {"router": {"external_gateway_info": {"enable_snat": True}}}, status=400, as_=ADMIN)
    cleared = (await cloud.put(path, {"router": {"external_gateway_info": {}}}))["router"]
    assert cleared["external_gateway_info"] is None
    await until(lambda: bool((found := made(cloud, router)) and found.gateway is None))
    await cloud.delete(f"/networks/{external['id']}", as_=ADMIN)


async def test_interfaces_that_cannot_be(cloud: NetworkCloud) -> None:
    one, two = await cloud.network(), await cloud.network()
    router = await cloud.make("router")
    path = f"/routers/{router['id']}/add_router_interface"
    await cloud.put(path, {"subnet_id": one["subnets"][0]})
    for subnet_id, words in ((one["subnets"][0], "already has a port"), (two["subnets"][0], "overlaps")):
        error = await cloud.put(path, {"subnet_id": subnet_id}, 400)
        assert words in error["NeutronError"]["message"]
    await cloud.put(path, {}, status=400)
    await cloud.put(path, {"subnet_id": router["id"]}, status=404)
    await cloud.put(path, {"subnet_id": one["subnets"][0], "port_id": router["id"]}, status=400)
    third = await cloud.make("network")
    headless = {"ip_version": 4, "cidr": "10.3.0.0/24", "gateway_ip": None}
    bare = await cloud.make("subnet", network_id=third["id"], **headless)
    await cloud.put(path, {"subnet_id": bare["id"]}, status=400)
    port = await cloud.make("port", network_id=third["id"], device_id="server")
    assert kind(await cloud.put(path, {"port_id": port["id"]}, 409)) == "PortInUse"
    empty = await cloud.make("port", network_id=third["id"], fixed_ips=[])
    await cloud.put(path, {"port_id": empty["id"]}, status=400)
    await cloud.put(path, {"subnet_id": one["subnets"][0]}, status=404, as_=OTHER)


async def test_a_port_becomes_a_routers(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    router = await cloud.make("router")
    port = await cloud.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.77"}])
    await until(lambda: port["id"] in cloud.world.ports)
    shown = await cloud.put(f"/routers/{router['id']}/add_router_interface", {"port_id": port["id"]})
    assert (shown["port_id"], shown["subnet_id"]) == (port["id"], network["subnets"][0])
    await until(lambda: bool((found := made(cloud, router)) and found.interfaces))
    found = made(cloud, router)
    assert found is not None
    assert found.interfaces[0].addresses == ("10.0.0.77/24",)
    assert port["id"] not in cloud.world.ports, "it is no guest's port any more"
    assert (await cloud.show("port", port["id"]))["device_id"] == router["id"]
    await cloud.put(f"/ports/{port['id']}", {"port": {"device_id": "x"}}, status=409)
    path = f"/routers/{router['id']}/remove_router_interface"
    other = (await cloud.network("10.9.0.0/24"))["subnets"][0]
    error = await cloud.put(path, {"port_id": port["id"], "subnet_id": other}, 409)
    assert kind(error) == "SubnetMismatchForPort"
    await cloud.put(path, {"port_id": port["id"]})
    await cloud.get(f"/ports/{port['id']}", status=404)
    assert kind(await cloud.put(path, {"port_id": port["id"]}, 404)) == "RouterInterfaceNotFound"
    await until(lambda: bool((found := made(cloud, router)) and not found.interfaces))


async def test_ipv6_subnets_of_a_network_share_an_interface(cloud: NetworkCloud) -> None:
    network = await cloud.network("fd00:1::/64")
    second = await cloud.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00:2::/64")
    router = await cloud.make("router")
    path = f"/routers/{router['id']}"
    first = await cloud.put(f"{path}/add_router_interface", {"subnet_id": network["subnets"][0]})
    both = await cloud.put(f"{path}/add_router_interface", {"subnet_id": second["id"]})
    assert first["port_id"] == both["port_id"]
    assert set(both["subnet_ids"]) == {network["subnets"][0], second["id"]}
    await cloud.put(f"{path}/remove_router_interface", {"subnet_id": second["id"]})
    assert len((await cloud.show("port", first["port_id"]))["fixed_ips"]) == 1
    await cloud.put(f"{path}/remove_router_interface", {"subnet_id": network["subnets"][0]})
    await cloud.get(f"/ports/{first['port_id']}", status=404)


async def test_extra_routes(cloud: NetworkCloud) -> None:
    network = await cloud.network()
    router = await cloud.make("router")
    path = f"/routers/{router['id']}"
    await cloud.put(f"{path}/add_router_interface", {"subnet_id": network["subnets"][0]})
    one = {"destination": "10.5.0.0/16", "nexthop": "10.0.0.5"}
    two = {"destination": "10.6.0.0/16", "nexthop": "10.0.0.6"}
    assert (await cloud.put(path, {"router": {"routes": [one]}}))["router"]["routes"] == [one]
    told = (("10.5.0.0/16", "10.0.0.5"),)
    await until(lambda: bool((found := made(cloud, router)) and found.routes == told))
    added = await cloud.put(f"{path}/add_extraroutes", {"router": {"routes": [one, two]}})
    assert added["router"]["routes"] == [one, two]
    removed = await cloud.put(f"{path}/remove_extraroutes", {"router": {"routes": [one]}})
    assert removed["router"]["routes"] == [two]
    for nexthop in ("10.0.0.1", "10.77.0.1", "fd00::1", "x"):
        body = {"router": {"routes": [{"destination": "10.8.0.0/16", "nexthop": nexthop}]}}
        await cloud.put(path, body, status=400)
    many = [{"destination": f"10.{n}.0.0/16", "nexthop": "10.0.0.5"} for n in range(100, 131)]
    assert kind(await cloud.put(path, {"router": {"routes": many}}, 400)) == "RoutesExhausted"
    body = {"subnet_id": network["subnets"][0]}
    error = await cloud.put(f"{path}/remove_router_interface", body, 409)
    assert kind(error) == "RouterInterfaceInUseByRoute"
    assert (await cloud.put(path, {"router": {"routes": None}}))["router"]["routes"] == []
    await cloud.put(f"{path}/remove_router_interface", body)


async def test_a_floating_ip_and_its_life(cloud: NetworkCloud) -> None:
    external, inner, router = await joined(cloud)
    port = await cloud.make("port", network_id=inner["id"], name="web")
    floating = await cloud.make("floatingip", floating_network_id=external["id"], port_id=port["id"])
    assert floating["router_id"] == router["id"]
    assert floating["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert floating["port_details"]["name"] == "web"
    await cloud.until_status("floatingip", floating["id"], "ACTIVE")
    found = made(cloud, router)
    assert found is not None
    assert [each.floating_ip for each in found.floating_ips] == [floating["floating_ip_address"]]
    path = f"/floatingips/{floating['id']}"
    error = await cloud.put(f"/routers/{router['id']}", {"router": {"external_gateway_info": None}}, 409)
    assert kind(error) == "RouterExternalGatewayInUseByFloatingIp"
    body = {"subnet_id": inner["subnets"][0]}
    error = await cloud.put(f"/routers/{router['id']}/remove_router_interface", body, 409)
    assert kind(error) == "RouterInterfaceInUseByFloatingIP"
    again = {"floating_network_id": external["id"], "port_id": port["id"]}
    error = await cloud.post("/floatingips", {"floatingip": again}, 409)
    assert kind(error) == "FloatingIPPortAlreadyAssociated"
    other = await cloud.make("port", network_id=inner["id"])
    moved = (await cloud.put(path, {"floatingip": {"port_id": other["id"]}}))["floatingip"]
    assert (moved["port_id"], moved["status"]) == (other["id"], "DOWN")
    await cloud.until_status("floatingip", floating["id"], "ACTIVE")
    described = (await cloud.put(path, {"floatingip": {"description": "d"}}))["floatingip"]
    assert described["port_id"] == other["id"]
    assert (await cloud.put(path, {"floatingip": {}}))["floatingip"]["port_id"] is None, "blank: let go"
    await cloud.put(path, {"floatingip": {"port_id": other["id"]}})
    loose = (await cloud.put(path, {"floatingip": {"port_id": None}}))["floatingip"]
    assert (loose["port_id"], loose["fixed_ip_address"], loose["router_id"]) == (None, None, None)
    await until(lambda: bool((found := made(cloud, router)) and not found.floating_ips))
    await cloud.put(path, {"floatingip": {"port_id": other["id"]}})
    await cloud.delete(f"/ports/{other['id']}")
    shown = await cloud.show("floatingip", floating["id"])
    assert (shown["port_id"], shown["router_id"], shown["port_details"]) == (None, None, None)
    assert shown["status"] == "DOWN"
    await until(lambda: bool((found := made(cloud, router)) and not found.floating_ips))
    await cloud.delete(path)
    await cloud.get(path, status=404)
    assert (await cloud.get("/ports?device_owner=network:floatingip", as_=ADMIN))["ports"] == []


async def test_floating_ips_that_cannot_be(cloud: NetworkCloud) -> None:
    external, inner, _ = await joined(cloud)
    lonely = await cloud.network("10.8.0.0/24")
    unreachable = await cloud.make("port", network_id=lonely["id"])
    double = await cloud.make(
        "port", network_id=inner["id"], fixed_ips=[{"ip_address": "10.0.0.8"}, {"ip_address": "10.0.0.9"}]
    )
    addressless = await cloud.make("port", network_id=inner["id"], fixed_ips=[])
    base = {"floating_network_id": external["id"]}
    cases: list[tuple[dict[str, Any], int]] = [
        ({"floating_network_id": inner["id"]}, 400),
        ({"floating_network_id": double["id"]}, 404),
        ({**base, "port_id": unreachable["id"]}, 404),
        ({**base, "port_id": external["id"]}, 404),
        ({**base, "port_id": double["id"]}, 400),
        ({**base, "port_id": addressless["id"]}, 400),
        ({**base, "port_id": double["id"], "fixed_ip_address": "10.0.0.99"}, 400),
        ({**base, "fixed_ip_address": "10.0.0.8"}, 400),
        ({**base, "subnet_id": inner["subnets"][0]}, 400),
        ({**base, "floating_ip_address": "172.24.4.9"}, 403),
        ({}, 400),
    ]
    for body, status in cases:
        await cloud.post("/floatingips", {"floatingip": body}, status=status)
    chosen = {**base, "floating_ip_address": "172.24.4.9"}
    made_ip = await cloud.make("floatingip", as_=ADMIN, **chosen)
    assert made_ip["floating_ip_address"] == "172.24.4.9"
    await cloud.post("/floatingips", {"floatingip": chosen}, status=409, as_=ADMIN)
    foreign = {**base, "floating_ip_address": "10.0.0.9"}
    await cloud.post("/floatingips", {"floatingip": foreign}, 400, as_=ADMIN)
    two = await cloud.make("floatingip", **base, port_id=double["id"], fixed_ip_address="10.0.0.9")
    assert two["fixed_ip_address"] == "10.0.0.9"
    path = f"/floatingips/{two['id']}"
    body = {"port_id": double["id"], "fixed_ip_address": "10.0.0.8"}
    moved = (await cloud.put(path, {"floatingip": body}))["floatingip"]
    assert moved["fixed_ip_address"] == "10.0.0.8"
    await cloud.put(path, {"floatingip": {"port_id": unreachable["id"]}}, status=404)
    fewer = {"port": {"fixed_ips": [{"ip_address": "10.0.0.9"}]}}
    await cloud.put(f"/ports/{double['id']}", fewer)
    assert (await cloud.show("floatingip", two["id"]))["port_id"] is None


async def test_a_floating_ip_moves_to_another_router(cloud: NetworkCloud) -> None:
    external, inner, router = await joined(cloud)
    port = await cloud.make("port", network_id=inner["id"])
    floating = await cloud.make("floatingip", floating_network_id=external["id"], port_id=port["id"])
    await cloud.until_status("floatingip", floating["id"], "ACTIVE")
    elsewhere = await cloud.network("10.4.0.0/24")
    second = await cloud.make("router", external_gateway_info={"network_id": external["id"]})
    await cloud.put(f"/routers/{second['id']}/add_router_interface", {"subnet_id": elsewhere["subnets"][0]})
    target = await cloud.make("port", network_id=elsewhere["id"])
    moved = await cloud.put(f"/floatingips/{floating['id']}", {"floatingip": {"port_id": target["id"]}})
    assert moved["floatingip"]["router_id"] == second["id"]
    await cloud.until_status("floatingip", floating["id"], "ACTIVE")
    await until(lambda: bool((found := made(cloud, router)) and not found.floating_ips))
    found = made(cloud, second)
    assert found is not None
    assert [each.id for each in found.floating_ips] == [floating["id"]]


async def test_what_is_external_stays_so_while_it_is_used(cloud: NetworkCloud) -> None:
    external, _, router = await joined(cloud)
    path = f"/networks/{external['id']}"
    body = {"network": {"router:external": False}}
    assert kind(await cloud.put(path, body, 409, as_=ADMIN)) == "ExternalNetworkInUse"
    await cloud.put(f"/routers/{router['id']}", {"router": {"external_gateway_info": None}})
    await cloud.put(path, body, as_=ADMIN)


async def test_the_interfaces_of_a_router_that_is_off_stay_plugged_in(cloud: NetworkCloud) -> None:
    _, inner, router = await joined(cloud)
    (interface,) = (await cloud.get(f"/ports?network_id={inner['id']}"))["ports"]
    await cloud.until_status("port", interface["id"], "ACTIVE")
    await cloud.put(f"/routers/{router['id']}", {"router": {"admin_state_up": False, "name": "down"}})
    await until(lambda: bool((found := made(cloud, router)) and not found.admin_state_up))
    await cloud.until_status("port", interface["id"], "ACTIVE")
    await cloud.get(f"/routers/{router['id']}", status=404, as_=OTHER)
    await cloud.post("/routers", {"router": {"colour": "red"}}, status=400)
    await cloud.post("/routers", {"router": {"routes": []}}, status=400)


async def test_floating_ips_that_lead_nowhere_go_with_their_network(cloud: NetworkCloud) -> None:
    external = await cloud.external()
    floating = await cloud.make("floatingip", floating_network_id=external["id"])
    await cloud.delete(f"/networks/{external['id']}", as_=ADMIN)
    await cloud.get(f"/floatingips/{floating['id']}", status=404)


async def test_where_a_router_runs_is_not_the_clients_choice(cloud: NetworkCloud) -> None:
    await cloud.post("/routers", {"router": {"distributed": True}}, status=403)
    await cloud.post("/routers", {"router": {"ha": True}}, status=400, as_=ADMIN)
    router = await cloud.make("router", as_=ADMIN, distributed=False)
    assert "distributed" not in router
