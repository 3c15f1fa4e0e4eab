"""What changes ports: create, update (with binding to a host), delete."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.lib.address import canonical_mac
from pileus.services.network.api.addressing import fulfil, mac_for
from pileus.services.network.api.port import AddressPair, DhcpOption, FixedIpBody, Port
from pileus.services.network.api.security_group import ensure_default_group
from pileus.services.network.api.standard import enforce_attributes, given
from pileus.services.network.api.tags import checked_tags, declare_tags
from pileus.services.network.domain import allocation
from pileus.services.network.domain.dns import checked_domain, checked_name
from pileus.services.network.domain.subnet import canonical_address, is_automatic
from pileus.services.network.driver import Binding, NetworkError
from pileus.services.network.events import announce
from pileus.services.network.model import ports
from pileus.services.network.state import state_of
from pileus.services.network.store import networks as network_store
from pileus.services.network.store import ports as store
from pileus.services.network.store import rows
from pileus.services.network.work.port import PortProgram

MOST_PAIRS: Final = 10
UNBOUND: Final = Binding(vif_type="unbound")
FAILED: Final = Binding(vif_type="binding_failed")


@Port.create(policy="create_port", status=201, quota={"port": 1})
def create_port(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a port on a network, with addresses of its subnets."""
    enforce_attributes(call, "create_port", body, Port.target_of_new(call, tx, body))
    network = call.gathered[body.network_id]
    project_id = owner_project(call, body)
    mac = mac_for(tx, network.id, body.mac_address or None)
    wishes = _wishes(tx, network.id, body.fixed_ips, body.device_owner, mac)
    secured = (
        network.port_security_enabled if body.port_security_enabled is UNSET else body.port_security_enabled
    )
    pairs = _pairs(body.allowed_address_pairs or [], mac)
    groups = _groups(
        call, tx, body.security_groups, project_id, default=secured and not _is_trusted(body.device_owner)
    )
    _check_security(secured, groups, pairs)
    row = store.add(
        tx,
        {
            "project_id": project_id,
            "network_id": network.id,
            **given(body, "name", "description", "admin_state_up", "device_id", "device_owner", "vnic_type"),
            "mac_address": mac,
            "fixed_ips": fulfil(tx, network.id, wishes),
            "security_group_ids": groups,
            "allowed_address_pairs": pairs,
            "extra_dhcp_opts": _options([], body.extra_dhcp_opts or []),
            "port_security_enabled": secured,
            "host": body.host or "",
            **_binding(call, body.host or "", body.vnic_type or "normal"),
            "profile": body.profile or {},
            "dns_name": checked_name(body.dns_name),
            "dns_domain": checked_domain(body.dns_domain),
            "tags": checked_tags(body.tags),
        },
    )
    call.runtime.work.begin(tx, PortProgram, row.id, request_id=call.request_id)
    announce(call, tx, Port, "create", row)
    return row


@Port.update(policy="update_port")
def update_port(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a port; one that is bound to a host says at once how it is plugged there."""
    target = {**Port.target(row), **given(body, "device_owner")}
    enforce_attributes(call, "update_port", body, target)
    values = given(body, "name", "description", "admin_state_up", "device_id", "device_owner", "vnic_type")
    if row.router_id is not None and {"device_id", "device_owner"}.intersection(values):
        raise Conflict(
            f"Port {row.id} belongs to router {row.router_id}: its device can't be changed. Remove the "
            "interface from the router instead.",
            kind="ServicePortInUse",
        )
    mac = _changed_mac(tx, row, body)
    values |= {"mac_address": mac} if mac != row.mac_address else {}
    if body.dns_name is not UNSET:
        values["dns_name"] = checked_name(body.dns_name)
    if body.dns_domain is not UNSET:
        values["dns_domain"] = checked_domain(body.dns_domain)
    if body.extra_dhcp_opts is not UNSET:
        values["extra_dhcp_opts"] = _options(row.extra_dhcp_opts, body.extra_dhcp_opts or [])
    values |= _security_changes(call, tx, row, body, mac)
    values |= _binding_changes(call, row, body)
    woken: set[str] = {row.router_id} if row.router_id is not None else set()
    if body.fixed_ips is not UNSET or mac != row.mac_address:
        woken |= _readdress(tx, row, body, values.get("device_owner", row.device_owner), mac)
    if not values and body.fixed_ips is UNSET:
        return row
    rows.change(tx, ports, row.id, **values)
    if any(each is not UNSET for each in (body.fixed_ips, body.security_groups)) or mac != row.mac_address:
        store.leave_untold(tx, row.id)
    for strand_id in (row.id, *woken):
        call.runtime.work.wake(tx, strand_id, request_id=call.request_id)
    row = Port.load_again(call, tx, row.id)
    announce(call, tx, Port, "update", row)
    return row


@Port.delete(policy="delete_port")
def delete_port(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a port; those of routers and floating IPs go with these."""
    if row.router_id is not None or row.device_owner == "network:floatingip":
        raise Conflict(
            f"Port {row.id} cannot be deleted directly via the port API: has device owner "
            f"{row.device_owner}. Remove the router's interface or gateway, or delete the floating IP, "
            "instead.",
            kind="ServicePortInUse",
        )
    for router_id in store.remove(tx, row):
        call.runtime.work.wake(tx, router_id, request_id=call.request_id)
    call.runtime.work.destroy(tx, row.id, request_id=call.request_id)
    announce(call, tx, Port, "delete", row)


Port.show(policy="get_port")
Port.list(policy="get_port")
declare_tags(Port)


def _is_trusted(device_owner: str) -> bool:
    """Whether the port is the network's own, so that no security group guards it."""
    return device_owner.startswith("network:")


def _wishes(tx: Tx, network_id: str, fixed_ips: Any, device_owner: str, mac: str) -> list[allocation.Wish]:
    subnets = network_store.subnets_of(tx, network_id)
    if fixed_ips is UNSET:
        return allocation.default_wishes(subnets, device_owner, mac)
    return allocation.requested_wishes(subnets, network_id, _asked(fixed_ips or []), device_owner, mac)


def _asked(fixed_ips: Sequence[FixedIpBody]) -> list[tuple[str | None, str | None]]:
    return [
        (
            None if each.subnet_id is UNSET else each.subnet_id,
            None if each.ip_address is UNSET else each.ip_address,
        )
        for each in fixed_ips
    ]


def _readdress(tx: Tx, row: Row[Any], body: Any, device_owner: str, mac: str) -> set[str]:
    """Gives the port the addresses that the body asks for, or those that go with a new MAC address. Gives the
    routers that have to hear of it."""
    subnets = network_store.subnets_of(tx, row.network_id)
    if body.fixed_ips is UNSET:
        automatic = {each.id for each in subnets if is_automatic(each)}
        asked: list[tuple[str | None, str | None]] = [
            (each["subnet_id"], each["ip_address"])
            for each in row.fixed_ips
            if each["subnet_id"] not in automatic
        ]
    else:
        asked = _asked(body.fixed_ips or [])
    wishes = allocation.requested_wishes(subnets, row.network_id, asked, device_owner, mac)
    fixed_ips = fulfil(tx, row.network_id, wishes, row.fixed_ips, row.id)
    if fixed_ips == row.fixed_ips:
        return set()
    return store.set_addresses(tx, row, fixed_ips)


def _changed_mac(tx: Tx, row: Row[Any], body: Any) -> str:
    current: str = row.mac_address
    if body.mac_address is UNSET:
        return current
    if body.mac_address is not None:
        with contextlib.suppress(ValueError):  # mac_for says what is wrong with it
            if canonical_mac(body.mac_address) == current:
                return current
    if row.vif_type not in (UNBOUND.vif_type, FAILED.vif_type):
        raise Conflict(
            f"Unable to complete operation on port {row.id}, port is already bound, port type: "
            f"{row.vif_type}, old_mac {current}, new_mac {body.mac_address}. Detach it from its server "
            "first.",
            kind="PortBound",
        )
    return mac_for(tx, row.network_id, body.mac_address)


def _pairs(wanted: Sequence[AddressPair], mac: str) -> list[dict[str, str]]:
    """Allowed address pairs in their usual form; the port's own MAC address where none is named."""
    if len(wanted) > MOST_PAIRS:
        raise BadRequest(
            f"Exceeded maximum amount of fixed ips per port: at most {MOST_PAIRS} allowed address pairs.",
            kind="AddressPairsExhausted",
        )
    pairs: list[dict[str, str]] = []
    for each in wanted:
        try:
            pair = {
                "ip_address": canonical_address(each.ip_address),
                "mac_address": mac if each.mac_address is UNSET else canonical_mac(each.mac_address),
            }
        except ValueError as error:
            raise BadRequest(f"Invalid input for allowed_address_pairs. Reason: {error}.") from error
        if pair in pairs:
            raise BadRequest(
                f"Request contains duplicate address pair: mac_address {pair['mac_address']} ip_address "
                f"{pair['ip_address']}.",
                kind="DuplicateAddressPairInRequest",
            )
        pairs.append(pair)
    return pairs


def _options(current: Sequence[Mapping[str, Any]], wanted: Sequence[DhcpOption]) -> list[dict[str, Any]]:
    """Extra DHCP options after a change: one of each name and family; a null value takes it away."""
    options = {(each["opt_name"], each["ip_version"]): each["opt_value"] for each in current}
    for each in wanted:
        options[each.opt_name, each.ip_version] = each.opt_value
    return [
        {"opt_name": name, "opt_value": value, "ip_version": version}
        for (name, version), value in options.items()
        if value is not None
    ]


def _groups(call: Call, tx: Tx, wanted: Any, project_id: str, *, default: bool) -> list[str]:
    if wanted is UNSET:
        return [ensure_default_group(call, tx, project_id)] if default and project_id else []
    groups = list(wanted or [])
    if len(set(groups)) != len(groups):
        raise BadRequest("Invalid input for security_groups. Reason: Duplicate items in the list.")
    known = store.known_groups(tx, groups, None if Port.sees_all(call) else project_id)
    for group_id in groups:
        if group_id not in known:
            raise NotFound(f"Security group {group_id} does not exist", kind="SecurityGroupNotFound")
    if len({known[group_id] for group_id in groups}) > 1:
        raise Conflict(
            "Cannot apply both stateful and stateless security groups on the same port.",
            kind="SecurityGroupConflict",
        )
    return groups


def _check_security(secured: bool, groups: Sequence[str], pairs: Sequence[Any]) -> None:
    if not secured and groups:
        raise BadRequest(
            "Port security must be enabled and port must have an IP address in order to use security groups.",
            kind="PortSecurityAndIPRequiredForSecurityGroups",
        )
    if not secured and pairs:
        raise Conflict(
            "Port Security must be enabled in order to have allowed address pairs on a port.",
            kind="AddressPairAndPortSecurityRequired",
        )


def _security_changes(call: Call, tx: Tx, row: Row[Any], body: Any, mac: str) -> dict[str, Any]:
    """What changes of port security, groups and address pairs."""
    values: dict[str, Any] = given(body, "port_security_enabled")
    secured = values.get("port_security_enabled", row.port_security_enabled)
    groups, pairs = row.security_group_ids, row.allowed_address_pairs
    if body.allowed_address_pairs is not UNSET:
        values["allowed_address_pairs"] = pairs = _pairs(body.allowed_address_pairs or [], mac)
    if body.security_groups is not UNSET:
        values["security_group_ids"] = groups = _groups(
            call, tx, body.security_groups, row.project_id, default=False
        )
        store.set_groups(tx, row.id, groups)
    if not secured and groups and body.security_groups is UNSET:
        raise Conflict(
            "Port has security group associated. Cannot disable port security or IP address until security "
            "group is removed.",
            kind="PortSecurityPortHasSecurityGroup",
        )
    if values:
        _check_security(secured, groups, pairs)
    return values


def _binding_changes(call: Call, row: Row[Any], body: Any) -> dict[str, Any]:
    """Another host, profile or kind of interface undoes the binding; the next one is made for them."""
    values: dict[str, Any] = {}
    if body.host is not UNSET:
        values["host"] = body.host or ""
    if body.profile is not UNSET:
        values["profile"] = body.profile or {}
    moved = values.get("host", row.host) != row.host or body.vnic_type not in (UNSET, row.vnic_type)
    if moved or (values.get("host") and row.vif_type == FAILED.vif_type):
        vnic_type = row.vnic_type if body.vnic_type is UNSET else body.vnic_type
        values |= {**_binding(call, values.get("host", row.host), vnic_type), "status": "DOWN"}
    return values


def _binding(call: Call, host: str, vnic_type: str) -> dict[str, Any]:
    """The columns that say how a port is plugged on its host."""
    if not host:
        return {"vif_type": UNBOUND.vif_type, "vif_details": {}}
    binding = FAILED
    if vnic_type == "normal":
        with contextlib.suppress(NetworkError):
            binding = state_of(call).engine.binding(host)
    return {"vif_type": binding.vif_type, "vif_details": binding.vif_details}
