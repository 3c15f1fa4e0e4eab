"""NICs on a real Open vSwitch, in namespaces made for the test."""

from __future__ import annotations

import asyncio
import os
import subprocess

import msgspec
import pytest

from pileus.drivers import vif
from pileus.services.compute.driver import HypervisorError, Vif

from .open_vswitch import OpenVSwitch, network_namespace

pytestmark = pytest.mark.host


def test_a_tap_is_plugged_and_unplugged_twice(switch: OpenVSwitch) -> None:
    nic = switch.new_nic()

    async def plug() -> vif.Tap:
        tap = await vif.plug_tap(nic)
        assert tap is not None
        os.close(tap.fd)
        return tap

    async def story() -> None:
        first = await plug()
        again = await plug()
        assert (again.name, again.offloads) == (first.name, first.offloads)
        link = switch.link(first.name)
        assert link is not None
        assert (link["mtu"], "UP" in link["flags"]) == (1442, True)
        assert not first.offloads, "the userspace datapath wants complete packets"
        assert link["linkinfo"]["info_data"]["persist"] is True
        assert switch.ports() == [first.name]
        iface_id = switch.vsctl("get", "Interface", first.name, "external_ids:iface-id")
        assert iface_id.strip() == f'"{nic.port_id}"'
        await vif.unplug(nic)
        await vif.unplug(nic)

    asyncio.run(story())
    assert switch.ports() == []
    assert switch.link(vif.link_name(nic.port_id)) is None
    assert switch.vsctl("--bare", "--columns=name", "list", "Interface").split() == ["br-int"]


def test_packets_cross_the_bridge_between_containers(switch: OpenVSwitch) -> None:
    one, two = switch.new_nic(), switch.new_nic()
    with network_namespace() as first, network_namespace() as second:
        homes = ((one, first, "10.9.8.1/24"), (two, second, "10.9.8.2/24"))
        for nic, home, address in homes:
            asyncio.run(vif.plug_veth(nic, home, "eth0"))
            asyncio.run(vif.plug_veth(nic, home, "eth0"))
            subprocess.run(["ip", "-n", home, "address", "add", address, "dev", "eth0"], check=True)
        ping = ["ip", "netns", "exec", first, "ping", "-c", "1", "-w", "30", "10.9.8.2"]
        assert subprocess.run(ping, capture_output=True).returncode == 0
        features = ["ip", "netns", "exec", first, "ethtool", "-k", "eth0"]
        assert "tx-checksumming: off" in subprocess.run(features, capture_output=True, text=True).stdout
        assert len(switch.ports()) == 2
    for nic, _, _ in homes:
        asyncio.run(vif.unplug(nic))
    assert switch.ports() == []
    assert [link["ifname"] for link in switch.links() if link["ifname"].startswith("tap")] == []


def test_a_container_made_anew_is_plugged_again(switch: OpenVSwitch) -> None:
    nic = switch.new_nic()
    for _ in range(2):
        with network_namespace() as home:
            asyncio.run(vif.plug_veth(nic, home, "eth0"))
            show = subprocess.run(["ip", "-n", home, "link", "show", "eth0"], capture_output=True, text=True)
            assert nic.mac in show.stdout
            assert switch.ports() == [vif.link_name(nic.port_id)]
    asyncio.run(vif.unplug(nic))


def test_what_cannot_be_plugged_is_told(switch: OpenVSwitch) -> None:
    nic = switch.new_nic()
    for details, words in (
        ({**nic.vif.details, "bridge": "br-none"}, "no bridge br-none"),
        ({**nic.vif.details, "ovsdb": "/nowhere/db.sock"}, "/nowhere/db.sock does not answer"),
        ({"bridge": "br-int"}, "netns"),
    ):
        broken = msgspec.structs.replace(nic, vif=Vif(type="ovs", details=details))
        with pytest.raises(HypervisorError, match=words):
            asyncio.run(vif.plug_tap(broken))
    other = msgspec.structs.replace(nic, vif=Vif(type="macvtap"))
    with pytest.raises(HypervisorError, match="macvtap"):
        asyncio.run(vif.plug_tap(other))
    assert switch.link(vif.link_name(nic.port_id)) is None


def test_a_network_that_is_gone_leaves_nothing_to_unplug(switch: OpenVSwitch) -> None:
    nic = switch.new_nic()
    gone = Vif(type="ovs", details={**nic.vif.details, "netns": "pt-gone", "ovsdb": "/nowhere/db.sock"})
    asyncio.run(vif.unplug(msgspec.structs.replace(nic, vif=gone)))
