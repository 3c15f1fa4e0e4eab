"""Plugging a guest's NIC into the host's network, for every hypervisor driver.

For a `Vif` of type `ovs` the guest gets a tap, or a container one end of a veth pair, whose host side is a
port of the Open vSwitch bridge that `details` names, in the namespace where that bridge lives:

- `netns`: name or path of the namespace, "" for the host's own
- `bridge`: the integration bridge, `br-int`
- `ovsdb`: path of the database's unix socket

`external_ids:iface-id` ties it to the logical port: OVN does the rest. A `Vif` of type `sim` needs nothing.
All here is idempotent: a NIC that is plugged stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from pileus.drivers import netns, ovsdb
from pileus.services.compute.driver import HypervisorError, Nic

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000


class Tap(msgspec.Struct, frozen=True, kw_only=True):
    """An open tap. Whoever plugged it owns `fd` and closes it after handing it on."""

    fd: int
    name: str
    offloads: bool
    """Whether checksums and segmentation may be left to the other side. Open vSwitch's userspace datapath
    forwards a packet as it finds it, so over it each packet must be complete: TCP dies silently if not."""


def link_name(port_id: str) -> str:
    """The host side's name, as Neutron's agents name it: `tap` and 11 characters of the port's id."""
    return f"tap{port_id[:11]}"


async def plug_tap(nic: Nic) -> Tap | None:
    """Make the NIC's tap, put it on its bridge and open it; None where there is nothing to plug."""
    if nic.vif.type == "sim":
        return None
    place = _place(nic)
    name = link_name(nic.port_id)
    with _told(nic):
        bridge = await _bridge(place)
        offloads = bridge["datapath_type"] != "netdev"
        fd = await netns.run_in(place.netns, lambda: _open_tap(name, nic.mtu, offloads))
        try:
            await _add_port(place, bridge, nic)
        except BaseException:
            os.close(fd)
            raise
    return Tap(fd=fd, name=name, offloads=offloads)


async def keep_plugged(nic: Nic) -> None:
    """See to it that the tap of a running guest is on its bridge, as after the bridge was made anew."""
    if nic.vif.type == "sim":
        return
    place = _place(nic)
    with _told(nic):
        await _add_port(place, await _bridge(place), nic)


async def plug_veth(nic: Nic, container_netns: str, name: str) -> None:
    """Give the container's namespace (a name or a path) an interface `name` with the NIC's address and MTU,
    up, its other end on the bridge. Addresses and routes inside are the caller's."""
    if nic.vif.type == "sim":
        return
    place = _place(nic)
    host_name = link_name(nic.port_id)
    with _told(nic):
        bridge = await _bridge(place)
        complete = bridge["datapath_type"] == "netdev"
        if not await netns.run_in(container_netns, lambda: _has_link(name, nic.mac)):
            await netns.run_in(
                place.netns, lambda: _add_veth(host_name, container_netns, name, nic.mac, nic.mtu)
            )
        await netns.run_in(place.netns, lambda: _raise_link(host_name, complete))
        await netns.run_in(container_netns, lambda: _raise_link(name, complete))
        await _add_port(place, bridge, nic)


async def unplug(nic: Nic) -> None:
    """Take the NIC off its bridge and remove its tap or veth pair. What is not there is no error; with the
    bridge's namespace, all of it is gone. The link goes even where the bridge's database does not answer, which
    raises `HypervisorError` nevertheless."""
    if nic.vif.type == "sim":
        return
    place = _place(nic)
    name = link_name(nic.port_id)
    with _told(nic):
        if netns.exists(place.netns):
            try:
                await _remove_port(place, name)
            finally:
                await netns.run_in(place.netns, lambda: _delete_link(name))


class _Place(msgspec.Struct, frozen=True):
    netns: str
    bridge: str
    ovsdb: str


def _place(nic: Nic) -> _Place:
    if nic.vif.type != "ovs":
        raise HypervisorError(
            f"Port {nic.port_id} is bound as {nic.vif.type!r}, which this host cannot plug; it plugs 'ovs'."
        )
    try:
        return msgspec.convert(nic.vif.details, _Place)
    except msgspec.ValidationError as error:
        raise HypervisorError(f"Port {nic.port_id} has incomplete binding details: {error}") from error


@contextlib.contextmanager
def _told(nic: Nic) -> Iterator[None]:
    """Say which port could not be plugged, and why, instead of a bare system error."""
    try:
        yield
    except (OSError, ovsdb.OvsdbError) as error:
        raise HypervisorError(f"Port {nic.port_id} cannot be plugged: {error}") from error


async def _bridge(place: _Place) -> dict[str, Any]:
    (found,) = await ovsdb.transact(
        place.ovsdb, ovsdb.select("Bridge", "name", place.bridge, ["_uuid", "datapath_type", "ports"])
    )
    if not found["rows"]:
        raise HypervisorError(f"There is no bridge {place.bridge} in {place.ovsdb}; is the network up?")
    row: dict[str, Any] = found["rows"][0]
    return row


async def _add_port(place: _Place, bridge: dict[str, Any], nic: Nic) -> None:
    name = link_name(nic.port_id)
    external_ids = ovsdb.as_map({"iface-id": nic.port_id, "attached-mac": nic.mac, "iface-status": "active"})
    (port,) = await ovsdb.transact(place.ovsdb, ovsdb.select("Port", "name", name, ["_uuid"]))
    if port["rows"] and port["rows"][0]["_uuid"] in ovsdb.as_set(bridge["ports"]):
        update = {"op": "update", "table": "Interface", "where": [["name", "==", name]]}
        await ovsdb.transact(place.ovsdb, {**update, "row": {"external_ids": external_ids}})
        return
    if port["rows"]:
        await _remove_port(place, name)
    interface = {"name": name, "external_ids": external_ids}
    await ovsdb.transact(
        place.ovsdb,
        {"op": "insert", "table": "Interface", "uuid-name": "interface", "row": interface},
        {
            "op": "insert",
            "table": "Port",
            "uuid-name": "port",
            "row": {"name": name, "interfaces": ["named-uuid", "interface"]},
        },
        {
            "op": "mutate",
            "table": "Bridge",
            "where": [["name", "==", place.bridge]],
            "mutations": [["ports", "insert", ["set", [["named-uuid", "port"]]]]],
        },
    )


async def _remove_port(place: _Place, name: str) -> None:
    (port,) = await ovsdb.transact(place.ovsdb, ovsdb.select("Port", "name", name, ["_uuid"]))
    for row in port["rows"]:
        # Rows of Port and Interface that nothing refers to are collected by the database itself.
        mutation = ["ports", "delete", ["set", [row["_uuid"]]]]
        await ovsdb.transact(
            place.ovsdb, {"op": "mutate", "table": "Bridge", "where": [], "mutations": [mutation]}
        )


def _open_tap(name: str, mtu: int, offloads: bool) -> int:
    """Persistent, so that the port keeps its place on the bridge while the guest is off."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | (_IFF_VNET_HDR if offloads else 0)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(fd, _TUNSETPERSIST, 1)
        with _netlink() as ip:
            ip.link("set", ifname=name, mtu=mtu, state="up")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _has_link(name: str, mac: str) -> bool:
    with _netlink() as ip:
        return bool(ip.link_lookup(ifname=name, address=mac))


def _add_veth(host_name: str, container_netns: str, name: str, mac: str, mtu: int) -> None:
    _delete_link(host_name)
    fd = os.open(netns.path_of(container_netns), os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = {"ifname": name, "net_ns_fd": fd, "address": mac, "mtu": mtu}
        with _netlink() as ip:
            ip.link("add", ifname=host_name, kind="veth", mtu=mtu, peer=peer)
    finally:
        os.close(fd)


def _raise_link(name: str, complete_checksums: bool) -> None:
    if complete_checksums:
        netns.checksum_in_software(name)
    with _netlink() as ip:
        ip.link("set", ifname=name, state="up")


def _delete_link(name: str) -> None:
    try:
        with _netlink() as ip:
            for index in ip.link_lookup(ifname=name):
                ip.link("del", index=index)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


@contextlib.contextmanager
def _netlink() -> Iterator[Any]:
    """Routing netlink in the calling thread's namespace, its refusals as system errors."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error
