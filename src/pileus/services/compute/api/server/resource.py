"""A server as clients see it, version by version, and which ones they see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, Select, and_, bindparam, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import brief, field, read_only
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.errors import Forbidden, NotFound
from pileus.services.compute import domain
from pileus.services.compute.api.server.filters import FILTERS
from pileus.services.compute.links import member_links
from pileus.services.compute.model import servers
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V

_ALIVE = servers.c.deleted_at.is_(None)
_DELETED = servers.c.deleted_at.is_not(None)
EVERY_OWN = servers.c.project_id == bindparam("visible_project_id")
_ALIVE_OWN = and_(_ALIVE, EVERY_OWN)
_DELETED_OWN = and_(_DELETED, EVERY_OWN)
_decode = msgspec.json.Decoder().decode

ATTRIBUTES = "os_compute_api:os-extended-server-attributes"
HOST_STATUS = "os_compute_api:servers:show:host_status"
EXTRA_SPECS = "os_compute_api:servers:show:flavor-extra-specs"


class ImageOfServer(msgspec.Struct):
    id: str
    links: list[dict[str, str]]
    properties: dict[str, Any] | UnsetType = UNSET


class FlavorLink(msgspec.Struct):
    id: str
    links: list[dict[str, str]]


class EmbeddedFlavor(msgspec.Struct):
    """A flavor as it was when the server was made of it."""

    vcpus: int
    ram: int
    disk: int
    ephemeral: int
    swap: int
    original_name: str
    extra_specs: dict[str, str] | UnsetType = UNSET


class Address(msgspec.Struct, rename={"type": "OS-EXT-IPS:type", "mac_address": "OS-EXT-IPS-MAC:mac_addr"}):
    version: int
    addr: str
    type: str
    mac_address: str


class ServerFault(msgspec.Struct):
    code: int
    created: str
    message: str
    details: str | UnsetType = UNSET


def _links(call: Call, row: Row[Any]) -> Any:
    return member_links(call, "servers", row.id)


def _image(call: Call, row: Row[Any]) -> ImageOfServer:
    image_id = row.image_id
    href = f"{call.root_url}/compute/images/{image_id}"
    properties = _decode(row.image)["properties"] if call.has(V.IMAGE_PROPERTIES) else UNSET
    return ImageOfServer(image_id, [{"rel": "bookmark", "href": href}], properties)


def _flavor_link(call: Call, row: Row[Any]) -> FlavorLink:
    href = f"{call.root_url}/compute/flavors/{row.flavor_id}"
    return FlavorLink(row.flavor_id, [{"rel": "bookmark", "href": href}])


def _flavor(call: Call, row: Row[Any]) -> Any:
    if call.allows(EXTRA_SPECS):
        return row.flavor
    return {name: value for name, value in _decode(row.flavor).items() if name != "extra_specs"}


def _precise(moment: datetime | None) -> str | None:
    """The one place where the API has microseconds and no zone."""
    return None if moment is None else moment.isoformat(timespec="microseconds")[:26]


def _status(call: Call, row: Row[Any]) -> str:
    return domain.status_of(row.vm_state, row.task_state)


def _progress(call: Call, row: Row[Any]) -> Any:
    if domain.status_of(row.vm_state, row.task_state) not in domain.PROGRESSING:
        return UNSET
    return 100 if row.vm_state == domain.VmState.ACTIVE else 0


def _fault(call: Call, row: Row[Any]) -> Any:
    """As recorded; its details are for administrators."""
    if row.fault is None or domain.status_of(row.vm_state, row.task_state) not in domain.WITH_FAULT:
        return UNSET
    fault = _decode(row.fault)
    if not call.context.is_admin and fault.get("code") != 500:
        return fault
    if not call.context.is_admin:
        fault.pop("details", None)
    return fault


def _host_status(call: Call, row: Row[Any]) -> str:
    return "" if row.host is None else call.runtime.state.host_status(row.host)


def _security_groups(call: Call, row: Row[Any]) -> Any:
    """The name is missing where there are none, as upstream."""
    return row.security_groups if bytes(row.security_groups) != b"[]" else UNSET


def _server_groups(call: Call, row: Row[Any]) -> Any:
    return [row.group_id] if row.group_id else []


class Server(Resource, member="server", collection="servers", table=servers):
    id: str = field(read_only, brief)
    name: str = field(read_only, brief)
    links: list[dict[str, str]] = field(brief, render=_links)
    status: str = field(render=_status)
    tenant_id: str = field(column="project_id")
    user_id: str = field()
    metadata: dict[str, str] = field()
    hostId: str = field(render=lambda call, row: domain.host_id(row.project_id, row.host))
    image: ImageOfServer = field(render=_image)
    flavor_link: FlavorLink = field(wire="flavor", render=_flavor_link, until=V.EMBEDDED_FLAVOR.previous)
    flavor: EmbeddedFlavor = field(render=_flavor, since=V.EMBEDDED_FLAVOR)
    created: datetime = field(column="created_at")
    updated: datetime = field(column="updated_at")
    addresses: dict[str, list[Address]] = field()
    access_ip_v4: str = field(wire="accessIPv4")
    access_ip_v6: str = field(wire="accessIPv6")
    disk_config: str = field(wire="OS-DCF:diskConfig")
    zone: str = field(
        wire="OS-EXT-AZ:availability_zone", render=lambda call, row: row.availability_zone or ""
    )
    config_drive: str = field(render=lambda call, row: "True" if row.config_drive else "")
    key_name: str | None = field()
    launched: str | None = field(
        wire="OS-SRV-USG:launched_at", render=lambda call, row: _precise(row.launched_at)
    )
    terminated: str | None = field(
        wire="OS-SRV-USG:terminated_at", render=lambda call, row: _precise(row.deleted_at)
    )
    security_groups: list[dict[str, str]] = field(render=_security_groups)
    task_state: str | None = field(wire="OS-EXT-STS:task_state")
    vm_state: str = field(wire="OS-EXT-STS:vm_state")
    power_state: int = field(wire="OS-EXT-STS:power_state")
    volumes: list[dict[str, Any]] = field(
        wire="os-extended-volumes:volumes_attached", render=lambda call, row: []
    )
    progress: int = field(render=_progress)
    fault: ServerFault = field(render=_fault)
    host: str | None = field(wire="OS-EXT-SRV-ATTR:host", policy=ATTRIBUTES)
    instance_name: str = field(
        wire="OS-EXT-SRV-ATTR:instance_name",
        render=lambda call, row: domain.instance_name(row.id),
        policy=ATTRIBUTES,
    )
    node: str | None = field(wire="OS-EXT-SRV-ATTR:hypervisor_hostname", column="host", policy=ATTRIBUTES)
    reservation_id: str = field(
        wire="OS-EXT-SRV-ATTR:reservation_id", policy=ATTRIBUTES, since=V.EC2_ATTRIBUTES
    )
    launch_index: int = field(wire="OS-EXT-SRV-ATTR:launch_index", policy=ATTRIBUTES, since=V.EC2_ATTRIBUTES)
    kernel_id: str = field(
        wire="OS-EXT-SRV-ATTR:kernel_id",
        render=lambda call, row: _decode(row.image).get("kernel_id") or "",
        policy=ATTRIBUTES,
        since=V.EC2_ATTRIBUTES,
    )
    ramdisk_id: str = field(
        wire="OS-EXT-SRV-ATTR:ramdisk_id",
        render=lambda call, row: _decode(row.image).get("ramdisk_id") or "",
        policy=ATTRIBUTES,
        since=V.EC2_ATTRIBUTES,
    )
    hostname_for_admins: str = field(
        wire="OS-EXT-SRV-ATTR:hostname",
        column="hostname",
        policy=ATTRIBUTES,
        since=V.EC2_ATTRIBUTES,
        until=V.HOSTNAME.previous,
    )
    hostname: str = field(wire="OS-EXT-SRV-ATTR:hostname", since=V.HOSTNAME)
    root_device_name: str = field(
        wire="OS-EXT-SRV-ATTR:root_device_name",
        render=lambda call, row: "/dev/vda",
        policy=ATTRIBUTES,
        since=V.EC2_ATTRIBUTES,
    )
    user_data: str | None = field(wire="OS-EXT-SRV-ATTR:user_data", policy=ATTRIBUTES, since=V.EC2_ATTRIBUTES)
    locked: bool = field(render=lambda call, row: row.locked_by is not None, since=V.LOCKED)
    host_status: str = field(render=_host_status, policy=HOST_STATUS, since=V.HOST_STATUS)
    description: str | None = field(since=V.DESCRIPTION)
    tags: list[str] = field(since=V.SERVER_TAGS)
    trusted_image_certificates: list[str] | None = field(
        column="trusted_certificates", since=V.TRUSTED_CERTIFICATES
    )
    server_groups: list[str] = field(render=_server_groups, since=V.SERVER_GROUPS)
    locked_reason: str | None = field(since=V.LOCKED_REASON)
    pinned_availability_zone: str | None = field(column="pinned_zone", since=V.PINNED_ZONE)
    scheduler_hints: dict[str, Any] = field(since=V.SCHEDULER_HINTS)

    filters = FILTERS

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        if call.context.is_admin:
            return _ALIVE, {}
        return _ALIVE_OWN, {"visible_project_id": call.context.project_id}

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        everywhere = call.flag("all_tenants") if call.arg("all_tenants") else "all_tenants" in call.query
        if everywhere:
            which = "index" if call.operation.view == "brief" else "detail"
            call.enforce(f"os_compute_api:servers:{which}:get_all_tenants")
        own = {} if everywhere else {"visible_project_id": call.project_id}
        if call.arg("deleted") is not None and call.context.is_admin and call.flag("deleted"):
            return (_DELETED if everywhere else _DELETED_OWN), own
        if _asks_for_deleted(call):
            if not call.context.is_admin:
                raise Forbidden("Only administrators may list deleted instances")
            return (_DELETED if everywhere else _DELETED_OWN), own
        if call.arg("changes-since") is not None:
            return None if everywhere else (EVERY_OWN, own)
        return (_ALIVE if everywhere else _ALIVE_OWN), own

    @classmethod
    def select(cls) -> Select[Any]:
        return select(*store.SHOWN)

    @classmethod
    def shown(cls, call: Call, view: str) -> Any:
        """Lists leave out the server group; what an update answers had fewer names before STRICT_QUERIES."""
        fields = super().shown(call, view)
        if view == "update" and not call.has(V.STRICT_QUERIES):
            return [each for each in fields if each.name in UPDATED]
        return (
            fields
            if view in ("full", "update")
            else [each for each in fields if each.name != "server_groups"]
        )

    @classmethod
    def sort_columns(cls) -> Mapping[str, str]:
        return SORT

    @classmethod
    def rejects_unknown_filters(cls, call: Call) -> bool:
        return call.has(V.STRICT_QUERIES)

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Instance {key} could not be found.")


def _asks_for_deleted(call: Call) -> bool:
    return any(value.upper() == "DELETED" for value in call.query.get("status", ()))


UPDATED = frozenset(
    [
        "id",
        "name",
        "links",
        "status",
        "tenant_id",
        "user_id",
        "metadata",
        "hostId",
        "image",
        "flavor_link",
        "flavor",
        "created",
        "updated",
        "addresses",
        "access_ip_v4",
        "access_ip_v6",
        "disk_config",
        "progress",
        "fault",
        "locked",
        "description",
        "tags",
        "trusted_image_certificates",
        "server_groups",
        "locked_reason",
    ]
)
SORT = {
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
    "auto_disk_config": "disk_config",
    "availability_zone": "availability_zone",
    "config_drive": "config_drive",
    "created_at": "created_at",
    "display_description": "description",
    "display_name": "name",
    "host": "host",
    "hostname": "hostname",
    "image_ref": "image_id",
    "instance_type_id": "flavor_id",
    "key_name": "key_name",
    "launch_index": "launch_index",
    "launched_at": "launched_at",
    "locked": "locked_by",
    "node": "host",
    "power_state": "power_state",
    "project_id": "project_id",
    "task_state": "task_state",
    "terminated_at": "deleted_at",
    "updated_at": "updated_at",
    "user_id": "user_id",
    "uuid": "id",
    "vm_state": "vm_state",
}
"""What servers can be sorted by."""
