"""Every answer holds against Tempest's response schemas, at versions where they differ."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tempest.lib.services.compute import (
    aggregates_client,
    availability_zone_client,
    extensions_client,
    flavors_client,
    hypervisor_client,
    interfaces_client,
    keypairs_client,
    limits_client,
    migrations_client,
    quota_classes_client,
    quotas_client,
    server_external_events_client,
    server_groups_client,
    servers_client,
    services_client,
    tenant_usages_client,
    versions_client,
)

from pileus.kernel.context import Context
from pileus.services.compute.versions import V
from pileus.testing.compute import ComputeUnderTest, compute_alone
from pileus.testing.service import ADMIN, MEMBER
from pileus.testing.tempest import Asked, compute_version

pytestmark = pytest.mark.slow

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL4MXhSKEPjK3ktyJy2uwyH0ZC2ExmU/Rg9vHYyh1jUK somebody@somewhere"
)
TURNING_POINTS = ["2.1", "2.2", "2.26", "2.53", "2.75", "2.104"]
OTHERS = [
    "2.3",
    "2.9",
    "2.10",
    "2.11",
    "2.13",
    "2.16",
    "2.19",
    "2.28",
    "2.33",
    "2.35",
    "2.36",
    "2.41",
    "2.47",
    "2.48",
    "2.50",
    "2.51",
    "2.55",
    "2.57",
    "2.58",
    "2.61",
    "2.62",
    "2.63",
    "2.64",
    "2.71",
    "2.73",
    "2.84",
    "2.88",
    "2.89",
    "2.90",
    "2.92",
    "2.96",
    "2.98",
    "2.100",
    "2.102",
]
VERSIONS = [*TURNING_POINTS, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Any:
    with compute_version(request.param):
        yield request.param


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone() as running:
        yield running


def asked(compute: ComputeUnderTest, kind: Any, as_: Context = ADMIN, **more: Any) -> Any:
    return Asked(compute.cloud, "/compute/v2.1", as_).client(kind, **more)


def at(version: str) -> int:
    return int(version.partition(".")[2])


async def wanted(compute: ComputeUnderTest, version: str) -> dict[str, Any]:
    body = compute.wanted(metadata={"a": "b"}, user_data=base64.b64encode(b"#!/bin/sh").decode())["server"]
    return {name: value for name, value in body.items() if name not in ("name", "imageRef", "flavorRef")}


@pytest.mark.parametrize("as_", [MEMBER, ADMIN], ids=["member", "admin"])
async def test_servers(compute: ComputeUnderTest, version: str, as_: Context) -> None:
    servers = asked(compute, servers_client.ServersClient, as_)
    more = await wanted(compute, version)
    made = await servers.create_server(name="web", imageRef=compute.image_id, flavorRef="42", **more)
    server_id = made["server"]["id"]
    await compute.until(server_id, "ACTIVE")
    await servers.show_server(server_id)
    assert [each["id"] for each in (await servers.list_servers())["servers"]] == [server_id]
    assert [each["id"] for each in (await servers.list_servers(detail=True, limit=1))["servers"]] == [
        server_id
    ]
    await servers.update_server(server_id, name="web-2", accessIPv4="192.0.2.1")
    await servers.set_server_metadata(server_id, {"k": "v"})
    await servers.update_server_metadata(server_id, {"k2": "v2"})
    await servers.set_server_metadata_item(server_id, "k", {"k": "w"})
    assert (await servers.show_server_metadata_item(server_id, "k"))["meta"] == {"k": "w"}
    assert (await servers.list_server_metadata(server_id))["metadata"] == {"k": "w", "k2": "v2"}
    await servers.delete_server_metadata_item(server_id, "k")
    assert list((await servers.list_addresses(server_id))["addresses"]) == ["private"]
    await servers.list_addresses_by_network(server_id, "private")
    await servers.list_security_groups_by_server(server_id)
    assert (await servers.show_password(server_id))["password"] == ""
    await servers.delete_password(server_id)
    if 26 <= at(version) < 99:  # the clients have lost the schema since
        await servers.update_tag(server_id, "blue")
        await servers.update_all_tags(server_id, ["green", "blue"])
        await servers.check_tag_existence(server_id, "green")
        assert (await servers.list_tags(server_id))["tags"] == ["blue", "green"]
        await servers.delete_tag(server_id, "green")
        await servers.delete_all_tags(server_id)
    console = await servers.get_console_output(server_id, length=3)
    assert "login" in console["output"]
    assert len(console["output"].split("\n")) == 3
    await servers.stop_server(server_id)
    await compute.until(server_id, "SHUTOFF")
    await servers.start_server(server_id)
    await compute.until(server_id, "ACTIVE")
    for kind in ("SOFT", "HARD"):
        await servers.reboot_server(server_id, type=kind)
        await compute.until(server_id, "ACTIVE")
    await servers.lock_server(server_id)
    await servers.show_server(server_id)
    await servers.unlock_server(server_id)
    listed = (await servers.list_instance_actions(server_id))["instanceActions"]
    assert [each["action"] for each in listed] == [
        "unlock",
        "lock",
        "reboot",
        "reboot",
        "start",
        "stop",
        "create",
    ]
    await servers.show_instance_action(server_id, listed[-1]["request_id"])
    if as_ is ADMIN:
        await servers.show_server_diagnostics(server_id)
        await servers.reset_state(server_id, state="error")
        await servers.show_server(server_id)
    await servers.delete_server(server_id)
    await compute.gone(server_id)
    if at(version) >= 21:
        deleted = (await servers.list_instance_actions(server_id))["instanceActions"]
        assert deleted[0]["action"] == "delete"


async def test_interfaces(compute: ComputeUnderTest, version: str) -> None:
    interfaces = asked(compute, interfaces_client.InterfacesClient)
    server = await compute.boot()
    attached = (await interfaces.list_interfaces(server["id"]))["interfaceAttachments"]
    await interfaces.show_interface(server["id"], attached[0]["port_id"])
    made = (await interfaces.create_interface(server["id"], net_id=compute.network_id))["interfaceAttachment"]
    assert len((await interfaces.list_interfaces(server["id"]))["interfaceAttachments"]) == 2
    await interfaces.delete_interface(server["id"], made["port_id"])
    assert len((await interfaces.list_interfaces(server["id"]))["interfaceAttachments"]) == 1
    assert len(compute.needs.networks.all_ports) == 1


async def test_flavors(compute: ComputeUnderTest, version: str) -> None:
    flavors = asked(compute, flavors_client.FlavorsClient)
    made = await flavors.create_flavor(
        name="f", ram=64, vcpus=1, disk=1, id="f", **{"os-flavor-access:is_public": False}
    )
    flavor_id = made["flavor"]["id"]
    await flavors.show_flavor(flavor_id)
    assert len((await flavors.list_flavors())["flavors"]) == 6
    await flavors.list_flavors(detail=True, limit=1, sort_key="memory_mb", is_public="None")
    await flavors.set_flavor_extra_spec(flavor_id, hw="x", quota="y")
    await flavors.list_flavor_extra_specs(flavor_id)
    await flavors.show_flavor_extra_spec(flavor_id, "hw")
    await flavors.update_flavor_extra_spec(flavor_id, "hw", hw="z")
    await flavors.unset_flavor_extra_spec(flavor_id, "hw")
    await flavors.add_flavor_access(flavor_id, MEMBER.project_id)
    await flavors.list_flavor_access(flavor_id)
    await flavors.remove_flavor_access(flavor_id, MEMBER.project_id)
    if at(version) >= 55:
        await flavors.update_flavor(flavor_id, description="small")
    await flavors.delete_flavor(flavor_id)


async def test_keypairs(compute: ComputeUnderTest, version: str) -> None:
    keypairs = asked(compute, keypairs_client.KeyPairsClient, MEMBER)
    await keypairs.create_keypair(name="imported", public_key=PUBLIC_KEY)
    if at(version) < 92:
        made = (await keypairs.create_keypair(name="made"))["keypair"]
        assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    if 2 <= at(version) < 92:
        made = (await keypairs.create_keypair(name="windows", type="x509"))["keypair"]
        assert made["public_key"].startswith("-----BEGIN CERTIFICATE-----")
        again = (await keypairs.create_keypair(name="w2", type="x509", public_key=made["public_key"]))[
            "keypair"
        ]
        assert again["fingerprint"] == made["fingerprint"]
    await keypairs.list_keypairs()
    await keypairs.show_keypair("imported")
    await keypairs.delete_keypair("imported")


async def test_groups(compute: ComputeUnderTest, version: str) -> None:
    groups = asked(compute, server_groups_client.ServerGroupsClient, MEMBER)
    body = {"policy": "affinity"} if at(version) >= 64 else {"policies": ["affinity"]}
    made = (await groups.create_server_group(name="g", **body))["server_group"]
    await groups.show_server_group(made["id"])
    await groups.list_server_groups()
    await groups.delete_server_group(made["id"])


async def test_quotas_and_limits(compute: ComputeUnderTest, version: str) -> None:
    quotas = asked(compute, quotas_client.QuotasClient)
    project_id = MEMBER.project_id
    await quotas.show_quota_set(project_id)
    await quotas.show_quota_set(project_id, detail=True)
    await quotas.show_default_quota_set(project_id)
    changed = await quotas.update_quota_set(project_id, instances=3)
    assert changed["quota_set"]["instances"] == 3
    await quotas.delete_quota_set(project_id)
    assert (await quotas.show_quota_set(project_id))["quota_set"]["instances"] == 10
    classes = asked(compute, quota_classes_client.QuotaClassesClient)
    await classes.show_quota_class_set("default")
    await classes.update_quota_class_set("default", cores=30)
    await asked(compute, limits_client.LimitsClient, MEMBER).show_limits()


async def test_hosts(compute: ComputeUnderTest, version: str) -> None:
    await compute.boot()
    hypervisors = asked(compute, hypervisor_client.HypervisorClient)
    listed = (await hypervisors.list_hypervisors())["hypervisors"]
    if at(version) < 88:  # the clients have no schema for what came with HYPERVISOR_UPTIME
        await hypervisors.list_hypervisors(detail=True)
        await hypervisors.show_hypervisor(listed[0]["id"])
    if at(version) < 53:
        await hypervisors.search_hypervisor("host")
        await hypervisors.list_servers_on_hypervisor("host")
    if at(version) < 88:
        await hypervisors.show_hypervisor_statistics()
        await hypervisors.show_hypervisor_uptime(listed[0]["id"])
    services = asked(compute, services_client.ServicesClient)
    found = (await services.list_services(binary="nova-compute"))["services"]
    if at(version) >= 53:
        await services.update_service(found[0]["id"], status="disabled", disabled_reason="worn")
        await services.update_service(found[0]["id"], status="enabled", forced_down=False)
    else:
        of_host = {"host": "host-1", "binary": "nova-compute"}
        await services.disable_service(**of_host)
        await services.disable_log_reason(**of_host, disabled_reason="worn")
        await services.enable_service(**of_host)
        if at(version) >= 11:
            await services.update_forced_down(**of_host, forced_down=False)
    zones = asked(compute, availability_zone_client.AvailabilityZoneClient)
    await zones.list_availability_zones()
    await zones.list_availability_zones(detail=True)


async def test_aggregates(version: str) -> None:
    async with compute_alone(hosts={"a": {}, "b": {}}) as compute:
        aggregates = asked(compute, aggregates_client.AggregatesClient)
        made = (await aggregates.create_aggregate(name="rack", availability_zone="az1"))["aggregate"]
        await aggregates.add_host(made["id"], host="a")
        await aggregates.set_metadata(made["id"], metadata={"ssd": "true"})
        await aggregates.update_aggregate(made["id"], name="rack-2")
        shown = (await aggregates.show_aggregate(made["id"]))["aggregate"]
        assert (shown["hosts"], shown["metadata"]) == (["a"], {"availability_zone": "az1", "ssd": "true"})
        server = await compute.boot(availability_zone="az1")
        assert server["OS-EXT-SRV-ATTR:host"] == "a"
        await compute.ask("DELETE", f"/servers/{server['id']}", as_=ADMIN, expect=204)
        await compute.gone(server["id"])
        await aggregates.list_aggregates()
        await aggregates.remove_host(made["id"], host="a")
        await aggregates.delete_aggregate(made["id"])


async def test_the_rest(compute: ComputeUnderTest, version: str) -> None:
    server = await compute.boot()
    await asked(compute, extensions_client.ExtensionsClient).list_extensions()
    await asked(compute, migrations_client.MigrationsClient).list_migrations()
    usages = asked(compute, tenant_usages_client.TenantUsagesClient)
    assert (await usages.list_tenant_usages(detailed="1"))["tenant_usages"]
    await usages.show_tenant_usage(MEMBER.project_id)
    events = asked(compute, server_external_events_client.ServerExternalEventsClient)
    await events.create_server_external_events([{"name": "network-changed", "server_uuid": server["id"]}])


async def test_versions_are_discovered(compute: ComputeUnderTest) -> None:
    versions = Asked(compute.cloud, "/compute", MEMBER).client(versions_client.VersionsClient)
    reply = await compute.cloud.get("/compute")
    assert [each["id"] for each in reply.json()["versions"]] == ["v2.0", "v2.1"]
    for path in ("/compute/v2/", "/compute/v2.1/"):
        assert (await compute.cloud.get(path)).json()["version"]["links"][0]["href"].endswith(path)
    assert reply.json()["versions"][1]["version"] == str(V.newest()) == "2.104"
    assert versions is not None
