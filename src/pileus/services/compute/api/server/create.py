"""Making servers: everything that can be checked at once is checked here; the rest is the program's."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import ApiError, BadRequest, Forbidden, OverQuota
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_uuid
from pileus.services.compute import domain
from pileus.services.compute.api.server.bodies import BlockDevice, CreateServer, SchedulerHints
from pileus.services.compute.api.server.image import bootable_image, check_fits
from pileus.services.compute.api.server.networks import resolve, security_groups
from pileus.services.compute.api.server.resource import Server
from pileus.services.compute.api.types import truth
from pileus.services.compute.events import announce
from pileus.services.compute.links import member_links
from pileus.services.compute.model import groups
from pileus.services.compute.quotas import QUOTAS
from pileus.services.compute.store import action as actions
from pileus.services.compute.store import host as hosts
from pileus.services.compute.store import keypair as keypairs
from pileus.services.compute.store import server as store
from pileus.services.compute.versions import V
from pileus.services.compute.work.server import ServerProgram

CREATE = "os_compute_api:servers:create"
_UUID = re.compile(r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\Z")


class NewServer(msgspec.Struct, kw_only=True):
    """What is known of a server at once."""

    id: str
    links: list[dict[str, str]]
    disk_config: str = msgspec.field(name="OS-DCF:diskConfig")
    security_groups: list[dict[str, str]]
    admin_password: str | UnsetType = msgspec.field(name="adminPass", default=UNSET)


class NewAnswer(msgspec.Struct):
    server: NewServer


class ReservationAnswer(msgspec.Struct):
    reservation_id: str


@Server.create(policy=CREATE, status=202, body=CreateServer, answers=(NewAnswer, ReservationAnswer))
async def create(call: Call, body: Any) -> Reply:
    """Makes one server, or several alike."""
    wanted = body.value
    hints = _hints(body.hints or body.old_hints)
    least, most = _counts(wanted)
    values = _plain_values(call, wanted, hints)
    image_id = _image_id(wanted)
    zone, host = _destination(call, wanted)
    image, nics, chosen = await asyncio.gather(
        bootable_image(call, image_id),
        resolve(call, wanted.networks, most),
        security_groups(call, [group.name for group in wanted.security_groups]),
    )
    if nics:
        call.enforce(f"{CREATE}:attach_network")
    values |= {
        "image_id": image_id,
        "image": image,
        "networks": {"nics": nics, "security_group_ids": [group["id"] for group in chosen]},
        "security_groups": [{"name": group["name"]} for group in chosen] or [{"name": "default"}],
        "pinned_zone": zone,
        "wanted_host": host,
    }
    made = await call.runtime.db.write(_insert, call, wanted, values, least, most)
    if truth("return_reservation_id", wanted.return_reservation_id):
        return Reply.json(ReservationAnswer(made[0]["reservation_id"]), 202)
    first = made[0]
    shown = NewServer(
        id=first["id"],
        links=member_links(call, "servers", first["id"]),
        disk_config=first["disk_config"],
        security_groups=first["security_groups"],
    )
    if call.runtime.state.settings.enable_instance_password:
        shown.admin_password = wanted.admin_password or secrets.token_urlsafe(9)
    return Reply.json(NewAnswer(shown), 202, {"location": f"{call.base_url}/servers/{first['id']}"})


def _counts(wanted: Any) -> tuple[int, int]:
    least, most = wanted.min_count, wanted.max_count or max(wanted.min_count, 1)
    if least > most:
        raise BadRequest("min_count must be <= max_count")
    return least, most


def _image_id(wanted: Any) -> str:
    """The image that the server starts from; volumes are refused until there is a block storage service."""
    image_id = str(wanted.image).rpartition("/")[2]
    for device in [*wanted.block_device_mapping, *wanted.block_device_mapping_v2]:
        source = _local_image(device)
        if not image_id:
            image_id = source
        elif image_id != source:
            raise BadRequest("The image of block_device_mapping_v2 and imageRef differ; give one of them.")
    if not image_id:
        raise BadRequest("Invalid imageRef provided: this server has no image to boot from.")
    if not _UUID.match(image_id):
        raise BadRequest(
            f"Invalid input for field/attribute imageRef. Value: {wanted.image}. It is no image id."
        )
    return image_id


def _local_image(device: BlockDevice) -> str:
    if device.source_type == "image" and device.destination_type == "local" and isinstance(device.uuid, str):
        if str(device.boot_index) != "0":
            raise BadRequest("Block Device Mapping is Invalid: the image's boot_index must be 0.")
        return device.uuid
    raise BadRequest(
        "Block Device Mapping is Invalid: this cloud boots servers from images onto local disks only "
        "(source_type image, destination_type local). Volumes need the block storage service."
    )


def _hints(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        known = msgspec.convert(given, SchedulerHints)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for field/attribute os:scheduler_hints. {error}.") from error
    ids = [known.group] if isinstance(known.group, str) else []
    for each in (known.same_host, known.different_host):
        ids += [each] if isinstance(each, str) else each if isinstance(each, list) else []
    for one in ids:
        if not _UUID.match(one):
            raise BadRequest(
                f"Invalid input for field/attribute os:scheduler_hints. {one!r} is not a 'uuid'."
            )
    return dict(given)


def _destination(call: Call, wanted: Any) -> tuple[str | None, str | None]:
    """The zone, and the host that is asked for with it (`zone:host`) or by name."""
    zone, host = wanted.availability_zone, None
    if zone is not None and ":" in zone:
        zone, host, *rest = zone.split(":")
        if len(rest) > 1:
            raise BadRequest("Unable to parse availability_zone.")
        host = host or (rest[0] if rest else None)
        call.enforce(f"{CREATE}:forced_host")
    for asked in (getattr(wanted, "host", None), getattr(wanted, "node", None)):
        if asked is not None:
            call.enforce("compute:servers:create:requested_destination")
            if host is not None and host != asked:
                raise BadRequest(f"Compute host {asked} could not be found.")
            host = asked
    return zone or None, host


def _plain_values(call: Call, wanted: Any, hints: dict[str, Any]) -> dict[str, Any]:
    """What needs no look at anything else."""
    if wanted.user_data is not None:
        try:
            base64.b64decode(wanted.user_data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest("Invalid user data: it must be Base64.") from error
    hostname = getattr(wanted, "hostname", None)
    if hostname is not None:
        check_hostname(call, hostname)
        if (wanted.max_count or wanted.min_count) > 1:
            raise BadRequest("A hostname can't be given to several servers.")
    return {
        "name": wanted.name,
        "description": getattr(wanted, "description", None) if call.has(V.DESCRIPTION) else wanted.name,
        "hostname": hostname or "",
        "user_data": wanted.user_data,
        "metadata": wanted.metadata,
        "tags": sorted(set(getattr(wanted, "tags", []))),
        "personality": _personality(wanted),
        "trusted_certificates": getattr(wanted, "trusted_certificates", None),
        "config_drive": wanted.config_drive is not None
        and truth("config_drive", wanted.config_drive or "false"),
        "disk_config": wanted.disk_config,
        "access_ip_v4": read_address(4, wanted.access_ip_v4),
        "access_ip_v6": read_address(6, wanted.access_ip_v6),
        "scheduler_hints": hints,
        "group_id": hints.get("group"),
        "forced_host": wanted.availability_zone is not None and ":" in wanted.availability_zone,
    }


def check_hostname(call: Call, hostname: str) -> None:
    limit = 255 if call.has(V.FQDN_HOSTNAME) else 63
    label = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    pattern = rf"^{label}(\.{label})*\Z" if call.has(V.FQDN_HOSTNAME) else rf"^{label}\Z"
    if len(hostname) > limit or not re.match(pattern, hostname):
        raise BadRequest(f"Invalid input for field/attribute hostname. Value: {hostname}. It is no hostname.")


def read_address(version: int, text: str | None) -> str:
    """An access address; empty for none."""
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise BadRequest(
            f"Invalid input for field/attribute accessIPv{version}. {text!r} is not a 'ipv{version}'."
        )
    return str(address)


def _personality(wanted: Any) -> list[dict[str, str]] | None:
    files = getattr(wanted, "personality", [])
    for each in files:
        try:
            base64.b64decode(each.contents, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"Personality content for {each.path} cannot be decoded") from error
    return [{"path": each.path, "contents": each.contents} for each in files] or None


def _insert(
    tx: Tx, call: Call, wanted: Any, values: dict[str, Any], least: int, most: int
) -> list[dict[str, Any]]:
    project_id, user_id = call.project_id, call.context.user_id or ""
    flavor = _flavor(call, tx, str(wanted.flavor).rpartition("/")[2])
    check_fits(values["image"], flavor)
    _check_group_and_place(tx, call, values)
    if wanted.key_name is not None:
        key = keypairs.find(tx, user_id, wanted.key_name)
        if key is None:
            raise BadRequest("Invalid key_name provided.")
        values |= {"key_name": key.name, "key_type": key.type, "public_key": key.public_key}
    count = _admitted(tx, call, flavor, values, least, most)
    shape = {
        "vcpus": flavor.vcpus,
        "ram": flavor.memory_mib,
        "disk": flavor.root_gib,
        "ephemeral": flavor.ephemeral_gib,
        "swap": flavor.swap_mib,
        "original_name": flavor.name,
        "extra_specs": flavor.extra_specs,
    }
    common = {
        "key_name": None,
        "key_type": None,
        "public_key": None,
        **values,
        "project_id": project_id,
        "user_id": user_id,
        "created_at": tx.now,
        "updated_at": tx.now,
        "vm_state": domain.VmState.BUILDING,
        "task_state": domain.Task.SCHEDULING,
        "task_since": tx.now,
        "power_state": domain.PowerState.NOSTATE,
        "flavor": shape,
        "flavor_id": flavor.id,
        "vcpus": flavor.vcpus,
        "memory_mib": flavor.memory_mib,
        "disk_gib": flavor.root_gib + flavor.ephemeral_gib + -(-flavor.swap_mib // 1024),
        "reservation_id": "r-" + secrets.token_hex(4),
        "nics": [],
        "addresses": {},
    }
    rows = [_one(common, number, count) for number in range(count)]
    store.insert(tx, rows)
    actions.begin_many(tx, [_created(row, call) for row in rows])
    for row in rows:
        call.runtime.work.begin(tx, ServerProgram, row["id"], request_id=call.request_id)
        announce(call.runtime.events, tx, "create.start", row, call.request_id)
    return rows


def _one(common: dict[str, Any], number: int, count: int) -> dict[str, Any]:
    server_id = new_uuid()
    row = {**common, "id": server_id, "launch_index": number}
    if count > 1:
        row["name"] = f"{common['name'][:240]}-{number + 1}"
    row["hostname"] = common["hostname"] or domain.sanitised_hostname(row["name"], f"server-{server_id}")
    return row


def _created(row: dict[str, Any], call: Call) -> dict[str, Any]:
    return {
        "server_id": row["id"],
        "request_id": call.request_id,
        "action": "create",
        "user_id": row["user_id"],
        "project_id": row["project_id"],
        "message": None,
        "started_at": row["created_at"],
        "updated_at": row["created_at"],
        "events": [],
    }


def _flavor(call: Call, tx: Tx, flavor_id: str) -> Row[Any]:
    from pileus.services.compute.api.flavor import Flavor

    try:
        return Flavor.load(call, tx, flavor_id)
    except ApiError as error:
        raise BadRequest(error.message) from error


def _check_group_and_place(tx: Tx, call: Call, values: dict[str, Any]) -> None:
    if values["group_id"] is not None:
        group = rows.get(tx, groups, values["group_id"])
        if group is None or (group.project_id != call.project_id and not call.context.is_admin):
            raise BadRequest(f"Instance group {values['group_id']} could not be found.")
        limit = QUOTAS.limits(tx, call.project_id)["server_group_members"]
        if 0 <= limit <= len(store.in_group(tx, group.id)):
            raise OverQuota("Quota exceeded, too many servers in group", status=403)
    host, zone = values["wanted_host"], values["pinned_zone"]
    if zone is not None and zone not in hosts.zones(
        tx, call.runtime.state.settings.default_availability_zone
    ):
        raise BadRequest("The requested availability zone is not available")
    if host is not None and hosts.find(tx, host) is None:
        raise BadRequest(f"Compute host {host} could not be found.")


def _admitted(tx: Tx, call: Call, flavor: Row[Any], values: dict[str, Any], least: int, most: int) -> int:
    """How many servers the quota lets the project have; 403 where it is fewer than the least wanted."""
    limits = QUOTAS.limits(tx, call.project_id)
    if flavor.root_gib == 0 and not call.allows(f"{CREATE}:zero_disk_flavor"):
        raise Forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
    if 0 <= limits["metadata_items"] < len(values["metadata"]):
        raise OverQuota(f"Maximum number of metadata items exceeds {limits['metadata_items']}", status=403)
    _check_personality(values["personality"] or [], limits)
    count = most
    each = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.memory_mib}
    for name, amount in each.items():
        if limits[name] >= 0 and amount > 0:
            room = limits[name] - QUOTAS.used(tx, call.project_id, name)
            count = min(count, room // amount)
    if count < least:
        QUOTAS.require(tx, call.project_id, {name: amount * least for name, amount in each.items()}, 403)
    return count


def _check_personality(files: list[dict[str, str]], limits: Mapping[str, int]) -> None:
    if 0 <= limits["injected_files"] < len(files):
        raise OverQuota("Maximum number of injected files is exceeded", status=403)
    for each in files:
        if 0 <= limits["injected_file_path_bytes"] < len(each["path"].encode()):
            raise OverQuota("Personality file path exceeds maximum length", status=403)
        if 0 <= limits["injected_file_content_bytes"] < len(base64.b64decode(each["contents"])):
            raise OverQuota("Personality file content exceeds maximum length", status=403)
