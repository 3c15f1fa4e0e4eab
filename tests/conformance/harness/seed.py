"""What Tempest wants to find in a cloud, made through the public API as an operator would."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openstack.connection import Connection

from harness.cloud import admin_password
from pileus.testing.cloud import Cloud
from pileus.testing.images import micro_image

SMALL_DISK_BYTES = 1024 * 1024
PUBLIC_NETWORK = "public"
PUBLIC_CIDR = "203.0.113.0/24"
"""TEST-NET-3 (RFC 5737), for clouds that come without an external network; it stays on this machine."""
FLAVORS = {"FLAVOR_ID": ("tempest.nano", 128), "FLAVOR_ALT_ID": ("tempest.micro", 192)}
"""Name and memory in MiB; one processor, one GiB of disk."""


@dataclass(frozen=True)
class Seeded:
    """What the cloud offers, and what was laid in it."""

    values: Mapping[str, str]
    """What the `@NAMES@` of the configuration stand for."""
    service_types: frozenset[str]
    network_extensions: frozenset[str]


def seed(cloud: Cloud, workspace: Path) -> Seeded:
    """Makes what the cloud has services for; names of the rest stand for nothing."""
    admin = cloud.connect()
    offered = frozenset(entry.type for entry in admin.identity.services())
    values = {"BASE_URL": cloud.base_url, "ADMIN_PASSWORD": admin_password(cloud), "VOLUME_TYPE": ""}
    values |= _images(admin, cloud, workspace) if "image" in offered else {"IMAGE_ID": "", "IMAGE_ALT_ID": ""}
    values |= _flavors(admin) if "compute" in offered else dict.fromkeys(FLAVORS, "")
    values["PUBLIC_NET_ID"] = _public_network(admin) if "network" in offered else ""
    extensions = admin.network.extensions() if "network" in offered else ()
    return Seeded(values, offered, frozenset(extension.alias for extension in extensions))


def _images(admin: Connection, cloud: Cloud, workspace: Path) -> Mapping[str, str]:
    """Two images: of the micro guest where servers are real, of nothing much where they are simulated."""
    file = workspace / "guest.img"
    if cloud.sim:
        _small_disk(file)
    else:
        file.symlink_to(micro_image().disk)
    (workspace / "archive.tar.gz").write_bytes(gzip.compress(bytes(SMALL_DISK_BYTES)))
    made = {}
    for placeholder, name in (("IMAGE_ID", "cirros"), ("IMAGE_ALT_ID", "cirros-alt")):
        image = admin.image.create_image(
            name,
            filename=str(file),
            disk_format="qcow2",
            container_format="bare",
            visibility="public",
            wait=True,
        )
        made[placeholder] = image.id
    return made


def _small_disk(file: Path) -> None:
    """An empty qcow2 disk (version 2: a header, one empty table of references, one of clusters)."""
    cluster = 65536
    header = b"QFI\xfb" + (2).to_bytes(4, "big") + bytes(12) + (16).to_bytes(4, "big")
    header += SMALL_DISK_BYTES.to_bytes(8, "big") + bytes(4) + (1).to_bytes(4, "big")
    header += (
        (3 * cluster).to_bytes(8, "big") + cluster.to_bytes(8, "big") + (1).to_bytes(4, "big") + bytes(12)
    )
    blocks = [header, (2 * cluster).to_bytes(8, "big"), b"\x00\x01" * 4, b""]
    file.write_bytes(b"".join(block.ljust(cluster, b"\0") for block in blocks))


def _flavors(admin: Connection) -> Mapping[str, str]:
    made = {}
    for placeholder, (name, ram) in FLAVORS.items():
        flavor = admin.compute.create_flavor(name=name, vcpus=1, ram=ram, disk=1)
        made[placeholder] = flavor.id
    return made


def _public_network(admin: Connection) -> str:
    """The cloud's own external network, or one made now."""
    for network in admin.network.networks(is_router_external=True):
        return str(network.id)
    network = admin.network.create_network(name=PUBLIC_NETWORK, is_router_external=True)
    admin.network.create_subnet(network_id=network.id, ip_version=4, cidr=PUBLIC_CIDR, is_dhcp_enabled=False)
    return str(network.id)
