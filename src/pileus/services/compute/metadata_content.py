"""What a server may know of itself: the files of its config drive, and the metadata service's answers.

Formats: OpenStack's metadata (user guide, "Metadata") and EC2's instance metadata. One source for both ways.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.services.compute.needs import SERVICE, Networks

OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
)
VENDOR_DATA_SINCE = "2013-10-17"
NETWORK_DATA_SINCE = "2015-10-15"
VENDOR_DATA2_SINCE = "2016-10-06"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def user_data(row: Row[Any]) -> bytes | None:
    """As it was before it was encoded for the API."""
    if row.user_data is None:
        return None
    try:
        return base64.b64decode(row.user_data)
    except (binascii.Error, ValueError):
        return None


def meta_data(row: Row[Any], nics: list[dict[str, Any]]) -> dict[str, Any]:
    """OpenStack's `meta_data.json`."""
    said: dict[str, Any] = {
        "uuid": row.id,
        "name": row.name,
        "hostname": row.hostname,
        "launch_index": row.launch_index,
        "availability_zone": row.availability_zone,
        "project_id": row.project_id,
        "random_seed": base64.b64encode(_seed(row.id)).decode(),
        "devices": [
            {"type": "nic", "bus": "none", "mac": nic["mac"], "tags": [nic["tag"]]}
            for nic in nics
            if nic.get("tag")
        ],
        "dedicated_cpus": [],
    }
    if metadata := _decode(row.metadata):
        said["meta"] = metadata
    if row.key_name is not None:
        said["public_keys"] = {row.key_name: row.public_key}
        said["keys"] = [{"name": row.key_name, "type": row.key_type, "data": row.public_key}]
    if row.personality:
        said["files"] = [
            {"path": each["path"], "content_path": f"/content/{number:04d}"}
            for number, each in enumerate(row.personality)
        ]
    return said


def _seed(server_id: str) -> bytes:
    """Bytes for the guest's random numbers; the same on every look, as the drive is made anew."""
    return b"".join(hashlib.sha512(f"{server_id} {part}".encode()).digest() for part in range(8))


def network_data(nics: list[dict[str, Any]], subnets: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """OpenStack's `network_data.json`."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: list[dict[str, Any]] = []
    for nic in nics:
        link = "tap" + nic["port_id"][:11]
        links.append(
            {
                "id": link,
                "vif_id": nic["port_id"],
                "type": nic["vif_type"] if nic["vif_type"] == "ovs" else "phy",
                "mtu": nic["mtu"],
                "ethernet_mac_address": nic["mac"],
            }
        )
        for fixed in nic["fixed_ips"]:
            subnet = subnets.get(fixed["subnet_id"])
            if subnet is None:
                continue
            networks.append(_network(f"network{len(networks)}", link, nic, fixed["address"], subnet))
            services += [{"type": "dns", "address": each} for each in subnet.get("dns_nameservers", ())]
    return {"links": links, "networks": networks, "services": services}


def _network(
    name: str, link: str, nic: dict[str, Any], address: str, subnet: dict[str, Any]
) -> dict[str, Any]:
    version = subnet["ip_version"]
    cidr = ipaddress.ip_network(subnet["cidr"])
    netmask = str(cidr.netmask)
    said: dict[str, Any] = {
        "id": name,
        "link": link,
        "network_id": nic["network_id"],
        "type": _type(subnet),
    }
    if said["type"] in ("ipv4", "ipv6"):
        said |= {"ip_address": address, "netmask": netmask}
    routes = [_route(each["destination"], each["nexthop"]) for each in subnet.get("host_routes", ())]
    if subnet.get("gateway_ip"):
        routes.insert(0, _route("0.0.0.0/0" if version == 4 else "::/0", subnet["gateway_ip"]))
    said["routes"] = routes
    said["services"] = [{"type": "dns", "address": each} for each in subnet.get("dns_nameservers", ())]
    return said


def _type(subnet: Mapping[str, Any]) -> str:
    if subnet["ip_version"] == 4:
        return "ipv4_dhcp" if subnet.get("enable_dhcp") else "ipv4"
    mode = subnet.get("ipv6_address_mode")
    if mode == "slaac":
        return "ipv6_slaac"
    return {"dhcpv6-stateful": "ipv6_dhcpv6-stateful", "dhcpv6-stateless": "ipv6_dhcpv6-stateless"}.get(
        str(mode), "ipv6"
    )


def _route(destination: str, gateway: str) -> dict[str, str]:
    cidr = ipaddress.ip_network(destination, strict=False)
    return {"network": str(cidr.network_address), "netmask": str(cidr.netmask), "gateway": gateway}


def content(row: Row[Any], number: int) -> bytes | None:
    """An injected file by its number."""
    files = row.personality or []
    return base64.b64decode(files[number]["contents"]) if 0 <= number < len(files) else None


def ec2(row: Row[Any], nics: list[dict[str, Any]]) -> dict[str, Any]:
    """EC2's `meta-data` as a tree; a leaf is text, a list one item a line."""
    fixed = [each["address"] for nic in nics for each in nic["fixed_ips"] if ":" not in each["address"]]
    floating = [each for nic in nics for each in nic["floating_ips"]]
    flavor = _decode(row.flavor)
    tree: dict[str, Any] = {
        "ami-id": "ami-" + row.image_id[:8],
        "ami-launch-index": str(row.launch_index),
        "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
        "hostname": row.hostname,
        "instance-action": "none",
        "instance-id": "i-" + row.id.replace("-", "")[:8],
        "instance-type": flavor["original_name"],
        "local-hostname": row.hostname,
        "local-ipv4": fixed[0] if fixed else "",
        "placement": {"availability-zone": row.availability_zone or ""},
        "public-hostname": row.hostname,
        "public-ipv4": floating[0] if floating else "",
        "reservation-id": row.reservation_id,
        "security-groups": [each["name"] for each in _decode(row.security_groups)],
    }
    if row.key_name is not None:
        tree["public-keys"] = {f"0={row.key_name}": {"openssh-key": row.public_key}}
    return tree


async def config_drive(row: Row[Any], nics: list[dict[str, Any]], networks: Networks) -> dict[str, bytes]:
    """The files of a config drive, in both formats."""
    subnets = await subnets_of(nics, networks)
    meta, network = _encode(meta_data(row, nics)), _encode(network_data(nics, subnets))
    data = user_data(row)
    files: dict[str, bytes] = {}
    for version in (*OPENSTACK_VERSIONS, "latest"):
        folder = f"openstack/{version}"
        files[f"{folder}/meta_data.json"] = meta
        if data is not None:
            files[f"{folder}/user_data"] = data
        if version >= VENDOR_DATA_SINCE:
            files[f"{folder}/vendor_data.json"] = b"{}"
        if version >= NETWORK_DATA_SINCE:
            files[f"{folder}/network_data.json"] = network
        if version >= VENDOR_DATA2_SINCE:
            files[f"{folder}/vendor_data2.json"] = b"{}"
    tree = _encode(ec2(row, nics))
    for version in ("2009-04-04", "latest"):
        files[f"ec2/{version}/meta-data.json"] = tree
        if data is not None:
            files[f"ec2/{version}/user-data"] = data
    for number in range(len(row.personality or ())):
        files[f"openstack/content/{number:04d}"] = content(row, number) or b""
    return files


async def subnets_of(nics: list[dict[str, Any]], networks: Networks) -> dict[str, dict[str, Any]]:
    """The subnets of a server's addresses, by id."""
    ids = sorted({fixed["subnet_id"] for nic in nics for fixed in nic["fixed_ips"]})
    return {each["id"]: each for each in await networks.subnets(SERVICE, id=ids)} if ids else {}
