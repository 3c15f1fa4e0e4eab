"""From a server's row to the guest that its host should have."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.services.compute.domain import format_on_host
from pileus.services.compute.driver import Firmware, Guest, Image, Nic, Vif

_decode = msgspec.json.Decoder().decode


def guest_of(row: Row[Any], nics: list[dict[str, Any]], config_drive: dict[str, bytes] | None) -> Guest:
    """The same row and NICs always give the same guest."""
    image = _decode(row.image)
    flavor = _decode(row.flavor)
    properties = image["properties"]
    more = {"command_line": properties["os_command_line"]} if properties.get("os_command_line") else {}
    return Guest(
        id=row.id,
        hostname=row.hostname,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        root_gib=flavor["disk"],
        image=image_of(row.image_id, image),
        kernel=_part(image, "kernel"),
        ramdisk=_part(image, "ramdisk"),
        firmware=Firmware.UEFI if properties.get("hw_firmware_type") == "uefi" else Firmware.BIOS,
        nics=tuple(
            Nic(
                port_id=nic["port_id"],
                mac=nic["mac"],
                mtu=nic["mtu"],
                vif=Vif(type=nic["vif_type"], details=nic["vif_details"]),
            )
            for nic in nics
        ),
        config_drive=config_drive,
        extra_specs=flavor["extra_specs"],
        **more,
    )


def image_of(image_id: str, image: dict[str, Any]) -> Image:
    return Image(
        id=image_id,
        disk_format=format_on_host(image),
        size_bytes=image["size"] or 0,
        sha512=image["sha512"],
        kernel_id=image.get("kernel_id"),
        ramdisk_id=image.get("ramdisk_id"),
    )


def _part(image: dict[str, Any], name: str) -> Image | None:
    part_id = image.get(f"{name}_id")
    return image_of(part_id, image[name]) if part_id else None
