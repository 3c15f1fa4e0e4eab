"""Containers' NICs on a real Open vSwitch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import msgspec
import pytest

from pileus.drivers import vif
from pileus.services.compute.driver import Guest, HypervisorError, Nic, Power
from pileus.testing.contract.story import story

from .open_vswitch import OpenVSwitch
from .runc_rig import RuncRig, runc_rig

pytestmark = pytest.mark.host


@pytest.fixture
def rig(switch: OpenVSwitch) -> Iterator[RuncRig]:
    with runc_rig() as rig:
        rig.switch = switch
        yield rig


def with_nics(guest: Guest, *nics: Nic) -> Guest:
    return msgspec.structs.replace(guest, nics=nics)


class TestNetwork:
    @story
    async def test_two_guests_speak_with_each_other(self, rig: RuncRig) -> None:
        driver = await rig.start()
        nics = [rig.switch.new_nic() for _ in range(2)]
        guests = [with_nics(await rig.new_guest(driver), nic) for nic in nics]
        for number, guest in enumerate(guests, start=1):
            await driver.ensure(guest, Power.RUNNING, 1)
            assert "status 0" in await rig.tell(guest.id, f"ip address add 10.9.7.{number}/24 dev eth0")
        link = await rig.tell(guests[0].id, "cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu")
        assert link == f"{nics[0].mac}\n1442\nstatus 0\n"
        # TCP, which dies where checksums are left to hardware that is not there.
        listens = 'until grep -q ":0FA0 .* 0A " /proc/net/tcp*; do sleep 0.02; done'
        assert "status 0" in await rig.tell(guests[1].id, f"echo over the wire | nc -l -p 4000 & {listens}")
        answer = await rig.tell(guests[0].id, "nc -w 60 10.9.7.2 4000")
        assert answer == "over the wire\nstatus 0\n"
        for guest in guests:
            await driver.destroy(guest.id, 1)
        assert rig.switch.ports() == []
        assert not {vif.link_name(nic.port_id) for nic in nics} & {
            link["ifname"] for link in rig.switch.links()
        }

    @story
    async def test_nics_come_and_go_while_it_runs(self, rig: RuncRig) -> None:
        driver = await rig.start()
        one, two, three = (rig.switch.new_nic() for _ in range(3))
        guest = await rig.new_guest(driver)
        await driver.ensure(with_nics(guest, one, two), Power.RUNNING, 1)
        pid = rig.init_pid(guest.id)
        await driver.ensure(with_nics(guest, two, three), Power.RUNNING, 1)
        assert rig.init_pid(guest.id) == pid
        answer = await rig.tell(guest.id, "cat /sys/class/net/eth0/address /sys/class/net/eth1/address")
        assert answer == f"{three.mac}\n{two.mac}\nstatus 0\n"
        assert set(rig.switch.ports()) == {vif.link_name(nic.port_id) for nic in (two, three)}

    @story
    async def test_a_stopped_guest_is_unplugged_and_plugged_again_at_start(self, rig: RuncRig) -> None:
        driver = await rig.start()
        nic = rig.switch.new_nic()
        guest = with_nics(await rig.new_guest(driver), nic)
        await driver.ensure(guest, Power.RUNNING, 1)
        await driver.ensure(guest, Power.STOPPED, 1)
        assert rig.switch.ports() == []
        await driver.ensure(guest, Power.RUNNING, 1)
        assert rig.switch.ports() == [vif.link_name(nic.port_id)]
        await driver.reset(guest.id, 1)
        assert rig.switch.ports() == [vif.link_name(nic.port_id)]
        assert "status 0" in await rig.tell(guest.id, "ip link show eth0")

    @story
    async def test_a_network_that_is_not_there_is_told_and_leaves_nothing(self, rig: RuncRig) -> None:
        driver = await rig.start()
        nic = rig.switch.new_nic()
        broken = msgspec.structs.replace(
            nic, vif=msgspec.structs.replace(nic.vif, details={**nic.vif.details, "bridge": "br-absent"})
        )
        guest = await rig.new_guest(driver)
        with pytest.raises(HypervisorError, match="br-absent"):
            await driver.ensure(with_nics(guest, broken), Power.RUNNING, 1)
        state = await driver.ensure(with_nics(guest, nic), Power.RUNNING, 1)
        assert state.power is Power.RUNNING
        await driver.destroy(guest.id, 1)
        assert rig.traces(guest.id) == []

    @story
    async def test_the_guest_has_no_way_to_the_hosts_network(self, rig: RuncRig) -> None:
        driver = await rig.start()
        guest = await rig.new_guest(driver)
        await driver.ensure(guest, Power.RUNNING, 1)
        answer = await rig.tell(guest.id, "ls /sys/class/net; ip route")
        assert answer == "lo\nstatus 0\n"
        inside = await asyncio.to_thread(os.stat, rig.bundle(guest.id) / "net")
        assert inside.st_ino != (await asyncio.to_thread(os.stat, "/proc/self/ns/net")).st_ino
