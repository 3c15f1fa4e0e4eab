"""What may be said when a server is made or changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.fields import field
from pileus.services.compute.api.types import (
    Bool,
    Description,
    Hostname,
    Id255,
    Metadata,
    Name,
    PositiveInt,
    Tag,
    Text255,
)
from pileus.services.compute.versions import V

DiskConfig = Literal["AUTO", "MANUAL"]
UserData = Annotated[str, Meta(max_length=65535)]
Address = Annotated[str, Meta(max_length=45)]
"""The longest is an IPv6 address that ends in dotted decimals."""


class WantedNic(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `networks`."""

    uuid: str | UnsetType | None = UNSET
    port: str | UnsetType | None = UNSET
    fixed_ip: Address | UnsetType | None = UNSET
    tag: Tag | UnsetType | None = UNSET


class InjectedFile(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    contents: str


class WantedGroup(msgspec.Struct, forbid_unknown_fields=True):
    name: Id255


class BlockDevice(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `block_device_mapping_v2`."""

    source_type: Literal["volume", "image", "snapshot", "blank"] | UnsetType = UNSET
    destination_type: Literal["volume", "local"] | UnsetType = UNSET
    uuid: str | UnsetType | None = UNSET
    image_id: str | UnsetType | None = UNSET
    volume_id: str | UnsetType | None = UNSET
    snapshot_id: str | UnsetType | None = UNSET
    volume_size: int | str | UnsetType | None = UNSET
    boot_index: int | str | UnsetType | None = UNSET
    delete_on_termination: Bool | UnsetType = UNSET
    device_name: Text255 | UnsetType | None = UNSET
    device_type: Text255 | UnsetType | None = UNSET
    disk_bus: Text255 | UnsetType | None = UNSET
    guest_format: Text255 | UnsetType | None = UNSET
    no_device: Any = UNSET
    virtual_name: Text255 | UnsetType | None = UNSET
    tag: Tag | UnsetType | None = UNSET
    volume_type: Text255 | UnsetType | None = UNSET


class SchedulerHints(msgspec.Struct):
    """What the scheduler understands; more names may be given and are kept."""

    group: str | UnsetType = UNSET
    same_host: list[str] | str | UnsetType = UNSET
    different_host: list[str] | str | UnsetType = UNSET


class Hints(Body):
    """Stands beside `server`."""

    hints: dict[str, Any] = field(wire="os:scheduler_hints", default={})
    old_hints: dict[str, Any] = field(wire="OS-SCH-HNT:scheduler_hints", default={})


class CreateServer(Body, wrapper="server", beside=Hints):
    name: Name = field(required=True)
    flavor: Id255 | int = field(wire="flavorRef", required=True)
    image: str = field(wire="imageRef", default="")
    networks: list[WantedNic] | str | None = field(default=None)
    key_name: Id255 | None = field(default=None)
    user_data: UserData | None = field(default=None)
    metadata: Metadata = field(default={})
    security_groups: list[WantedGroup] = field(default=[])
    config_drive: Bool | None = field(default=None)
    availability_zone: Id255 | None = field(default=None)
    min_count: PositiveInt = field(default=1)
    max_count: PositiveInt = field(default=0)
    return_reservation_id: Bool = field(default=False)
    admin_password: str | None = field(wire="adminPass", default=None)
    access_ip_v4: Address | None = field(wire="accessIPv4", default=None)
    access_ip_v6: Address | None = field(wire="accessIPv6", default=None)
    disk_config: DiskConfig = field(wire="OS-DCF:diskConfig", default="AUTO")
    personality: list[InjectedFile] = field(default=[], until=V.NO_PERSONALITY.previous)
    block_device_mapping: list[BlockDevice] = field(default=[])
    block_device_mapping_v2: list[BlockDevice] = field(default=[])
    description: Description | None = field(default=None, since=V.DESCRIPTION)
    tags: Annotated[list[Tag], Meta(max_length=50)] = field(default=[], since=V.TAGS_AT_CREATE)
    trusted_certificates: Annotated[list[Id255], Meta(min_length=1, max_length=50)] | None = field(
        wire="trusted_image_certificates", default=None, since=V.TRUSTED_CERTIFICATES
    )
    host: Id255 | None = field(default=None, since=V.REQUESTED_HOST)
    node: Id255 | None = field(wire="hypervisor_hostname", default=None, since=V.REQUESTED_HOST)
    hostname: Hostname | None = field(default=None, since=V.HOSTNAME)


class UpdateServer(Body, wrapper="server"):
    name: Name = field()
    access_ip_v4: Address | None = field(wire="accessIPv4")
    access_ip_v6: Address | None = field(wire="accessIPv6")
    disk_config: DiskConfig = field(wire="OS-DCF:diskConfig")
    description: Description | None = field(since=V.DESCRIPTION)
    hostname: Hostname = field(since=V.HOSTNAME)
    pinned_zone: Id255 | None = field(wire="pinned_availability_zone", since=V.UPDATE_PINNED_ZONE)
