"""Compute's proxies of other services, which old versions have, held to the schemas of Tempest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tempest.lib.services.compute import (
    floating_ips_client,
    hosts_client,
    images_client,
    security_group_rules_client,
    security_groups_client,
    tenant_networks_client,
)

from pileus.kernel.context import Context
from pileus.testing.compute import ComputeUnderTest, compute_alone
from pileus.testing.service import ADMIN, MEMBER
from pileus.testing.tempest import Asked, compute_version


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone() as running:
        yield running


def asked(compute: ComputeUnderTest, kind: Any, as_: Context = ADMIN, **more: Any) -> Any:
    return Asked(compute.cloud, "/compute/v2.1", as_).client(kind, **more)


async def test_security_groups_of_old(compute: ComputeUnderTest) -> None:
    with compute_version("2.35"):
        groups = asked(compute, security_groups_client.SecurityGroupsClient, MEMBER)
        rules = asked(compute, security_group_rules_client.SecurityGroupRulesClient, MEMBER)
        made = (await groups.create_security_group(name="web", description="d"))["security_group"]
        rule = await rules.create_security_group_rule(
            parent_group_id=made["id"], ip_protocol="tcp", from_port=22, to_port=22
        )
        assert rule["security_group_rule"]["ip_range"] == {"cidr": "0.0.0.0/0"}
        near = await rules.create_security_group_rule(
            parent_group_id=made["id"], ip_protocol="tcp", from_port=1, to_port=2, group_id=made["id"]
        )
        assert near["security_group_rule"]["group"]["name"] == "web"
        assert len((await groups.show_security_group(made["id"]))["security_group"]["rules"]) == 2
        await groups.update_security_group(made["id"], name="web-2", description="e")
        await rules.delete_security_group_rule(rule["security_group_rule"]["id"])
        server = await compute.boot(security_groups=[{"name": "web-2"}])
        assert server["security_groups"] == [{"name": "web-2"}]
        await compute.ask("DELETE", f"/os-security-groups/{made['id']}", expect=400)
        await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
        await compute.gone(server["id"])
        await groups.delete_security_group(made["id"])
        assert (await groups.list_security_groups())["security_groups"] == []
    await compute.ask("GET", "/os-security-groups", version="2.36", expect=404)


async def test_images_of_old(compute: ComputeUnderTest) -> None:
    with compute_version("2.35"):
        images = asked(compute, images_client.ImagesClient, MEMBER)
        other = compute.needs.images.add(
            b"other", name="other", instance_uuid=compute.image_id, status="queued"
        )
        assert len((await images.list_images())["images"]) == 2
        (shown,) = (await images.list_images(detail=True, name="other"))["images"]
        assert (shown["status"], shown["progress"], shown["OS-EXT-IMG-SIZE:size"]) == ("SAVING", 25, 5)
        assert shown["server"]["id"] == compute.image_id
        await images.set_image_metadata(other, {"os_distro": "debian", "a~c": "d"})
        assert "instance_uuid" not in compute.needs.images.images_by_id[other]
        await images.update_image_metadata(other, {"os_distro": "micro"})
        await images.set_image_metadata_item(other, "arch", {"arch": "x86_64"})
        await images.delete_image_metadata_item(other, "a~c")
        assert (await images.list_image_metadata(other))["metadata"] == {
            "os_distro": "micro",
            "arch": "x86_64",
        }
        assert (await images.show_image_metadata_item(other, "arch"))["meta"] == {"arch": "x86_64"}
        await compute.ask("GET", f"/images/{other}/metadata/none", expect=404)
        forged = {"metadata": {"visibility": "public"}}
        await compute.ask("POST", f"/images/{other}/metadata", forged, expect=400)
        await images.delete_image(other)
        await compute.ask("GET", f"/images/{other}", expect=404)
    await compute.ask("GET", "/images", version="2.36", expect=404)
    await compute.ask("GET", f"/images/{compute.image_id}/metadata", version="2.39", expect=404)


async def test_networks_of_old(compute: ComputeUnderTest) -> None:
    with compute_version("2.35"):
        networks = asked(compute, tenant_networks_client.TenantNetworksClient, MEMBER)
        shown = {"id": compute.network_id, "label": "private", "cidr": None}
        assert (await networks.list_tenant_networks())["networks"] == [shown]
        assert (await networks.show_tenant_network(compute.network_id))["network"] == shown
    (whole,) = (await compute.ask("GET", "/os-networks", expect=200))["networks"]
    assert (whole["id"], whole["label"], whole["cidr"]) == (compute.network_id, "private", None)
    path = f"/os-networks/{compute.network_id}"
    assert (await compute.ask("GET", path, expect=200))["network"] == whole
    await compute.ask("GET", "/os-networks/none", expect=404)
    await compute.ask("GET", path, version="2.36", expect=404)


async def test_floating_ips_of_old(compute: ComputeUnderTest) -> None:
    external = {"router:external": "true", "shared": True}
    compute.needs.networks.add_network("operators", "public", **external)
    with compute_version("2.35"):
        pools = await compute.ask("GET", "/os-floating-ip-pools", expect=200)
        assert pools == {"floating_ip_pools": [{"name": "public"}]}
        floating = asked(compute, floating_ips_client.FloatingIPsClient, MEMBER)
        made = (await floating.create_floating_ip(pool="public"))["floating_ip"]
        assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("public", None, None)
        await compute.ask("POST", "/os-floating-ips", {"pool": "none"}, expect=404)
        server = await compute.boot(networks=[{"uuid": compute.network_id}])
        (entry,) = server["addresses"]["private"]
        await floating.associate_floating_ip_to_server(made["ip"], server["id"])
        shown = (await floating.show_floating_ip(made["id"]))["floating_ip"]
        assert (shown["instance_id"], shown["fixed_ip"]) == (server["id"], entry["addr"])
        action = f"/servers/{server['id']}/action"
        wrong = {"addFloatingIp": {"address": made["ip"], "fixed_address": "10.9.9.9"}}
        await compute.ask("POST", action, wrong, expect=400)
        await floating.disassociate_floating_ip_from_server(made["ip"], server["id"])
        loose = {"removeFloatingIp": {"address": made["ip"]}}
        await compute.ask("POST", action, loose, expect=409)
        assert len((await floating.list_floating_ips())["floating_ips"]) == 1
        await floating.delete_floating_ip(made["id"])
        await compute.ask("POST", action, loose, expect=404)
    await compute.ask("GET", "/os-floating-ips", version="2.36", expect=404)
    await compute.ask("POST", action, loose, version="2.44", expect=400)


async def test_hosts_of_old(compute: ComputeUnderTest) -> None:
    with compute_version("2.42"):
        hosts = asked(compute, hosts_client.HostsClient)
        listed = (await hosts.list_hosts())["hosts"]
        assert {"host_name": "host-1", "service": "compute", "zone": "nova"} in listed
        assert (await hosts.show_host("host-1"))["host"][0]["resource"]["cpu"] == 64
        assert (await hosts.update_host("host-1", status="disable"))["status"] == "disabled"
        assert (await hosts.update_host("host-1", status="enable"))["status"] == "enabled"
    await compute.ask("GET", "/os-hosts/host-1/reboot", as_=ADMIN, expect=501)
    await compute.ask("GET", "/os-hosts/nowhere", as_=ADMIN, expect=404)
    await compute.ask("GET", "/os-hosts", as_=ADMIN, version="2.43", expect=404)
