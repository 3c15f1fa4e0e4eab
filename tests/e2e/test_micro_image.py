"""The micro guest, built and booted for real: in QEMU by its disk and by kernel and ramdisk, and in runc."""

from __future__ import annotations

import json
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pileus.cli.image_build import MicroImage
from pileus.cli.image_build.micro import COMMAND_LINE
from pileus.testing.cloud import until
from pileus.testing.images import micro_image

from .micro_guest import (
    GATEWAY,
    MTU,
    NEXT_HOP,
    PREFIX6,
    Container,
    Guest,
    Key,
    Machine,
    Network,
    instance_files,
    network,
    write_files,
)

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(400)]

BOOT_S = 90.0
"""Far more than a boot takes: the machine may be busy with other tests."""

PROLOGUE = "set -eu -o pipefail; PATH=$PATH:/sbin:/usr/sbin;"
"""What Tempest puts before each command (its ssh_shell_prologue)."""
USER_DATA = "#!/bin/sh\necho said by user data\necho once >> /var/lib/runs\n"


@pytest.fixture(scope="module")
def image() -> MicroImage:
    return micro_image()


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def machine(
    net: Network, key: Key, image: MicroImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], Machine]]:
    made: list[Machine] = []

    def make(number: int) -> Machine:
        made.append(Machine(net, key, number, tmp_path_factory.mktemp(f"machine{number}"), image.disk))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def booted(machine: Callable[[int], Machine], key: Key) -> Machine:
    """From the disk, told by a config drive who it is."""
    guest = machine(1)
    guest.make_disk("3G")
    guest.make_config_drive(instance_files(guest.uuid, "first", key, USER_DATA))
    guest.start()
    guest.wait_for_ssh(BOOT_S)
    return guest


@pytest.fixture(scope="module")
def container(
    net: Network, key: Key, image: MicroImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    guest = Container(net, key, 40, tmp_path_factory.mktemp("container"), image)
    try:
        guest.start(instance_files(str(uuid.uuid4()), "boxed", key, USER_DATA))
        guest.wait_for_ssh(BOOT_S)
        yield guest
    finally:
        guest.close()


@pytest.fixture(params=["booted", "container"])
def guest(request: pytest.FixtureRequest) -> Guest:
    found: Guest = request.getfixturevalue(request.param)
    return found


def console_says(guest: Guest, text: str) -> None:
    until(lambda: text in guest.console(), BOOT_S, f"{text!r} on the console:\n{guest.console()}")


def test_sizes(image: MicroImage) -> None:
    assert image.disk.stat().st_size < 40_000_000
    assert image.rootfs.stat().st_size < 20_000_000
    with tarfile.open(image.rootfs) as tarball:
        assert not any("lib/modules" in name for name in tarball.getnames())


def test_is_the_instance_that_the_cloud_means(guest: Guest) -> None:
    name = "first" if isinstance(guest, Machine) else "boxed"
    assert guest.ssh("hostname") == f"{name}\n"
    assert guest.ssh("cat '/etc/told/by the cloud'") == "some content\n"
    assert guest.ssh("sudo -n id -u") == "0\n"
    assert f"{name}.novalocal {name}" in guest.ssh("cat /etc/hosts")
    console_says(guest, "said by user data")
    console_says(guest, "micro: user data ended with status 0")
    console_says(guest, f"{name} login:")
    assert guest.ssh("cat /var/lib/runs") == "once\n"


def test_network_by_dhcp_and_router_advertisements(guest: Guest) -> None:
    route = guest.ssh("ip -4 route show default")
    assert NEXT_HOP in route
    assert GATEWAY in guest.ssh("ip route get 169.254.169.254")
    names = "nameserver 10.77.0.53\nsearch test.example\n"
    until(lambda: guest.ssh("cat /etc/resolv.conf") == names, BOOT_S, "the name server")
    assert f"mtu {MTU}" in guest.ssh("ip link show eth0")
    # EUI-64, by SLAAC
    show = "ip -6 -o address show dev eth0 scope global"
    until(lambda: f"{PREFIX6}f816:3eff:fe77" in guest.ssh(show), BOOT_S, "the IPv6 address")


def test_tools_as_tempest_calls_them(guest: Guest) -> None:
    def tempest(command: str) -> str:
        return guest.ssh(f"{PROLOGUE} {command}")

    nic = tempest(f"ip -o addr | awk '/{guest.address}/ {{print $2}}'").strip()
    assert nic.strip(":").split("@")[0] == "eth0"
    assert tempest(f"ip -o link | awk '/{guest.mac}/ {{print $2}}'").strip().startswith("eth0")
    assert tempest("ip addr show eth0 | awk '/ether/ {print $2}'").strip() == guest.mac
    assert f"{guest.address}/24" in tempest("ip -4 -o addr | awk '/eth0/ {print $4}'")
    for ping in (f"ping -c1 -w1 -s56 {GATEWAY}", f"sudo ping -I eth0 -c1 -w1 -s56 {GATEWAY}",
                 f"ping6 -c1 -w1 -s56 {PREFIX6}1"):  # fmt: skip
        until(lambda ping=ping: tempest(f"{ping} > /dev/null && echo yes || true"), BOOT_S, ping)  # type: ignore[misc]
    tempest('sudo sh -c "date > /tmp/timestamp; sync"')
    tempest("sudo cat /tmp/timestamp")
    tempest("cut -f1 -d. /proc/uptime")
    tempest("lsblk -lb --nodeps")
    assert "yes" in tempest("curl -s http://169.254.169.254/answers")
    assert tempest("grep -c ^processor /proc/cpuinfo").strip().isdigit()
    pid = tempest("cat /var/run/udhcpc.eth0.pid").strip()
    tempest(f"sudo /bin/kill -USR1 {pid}")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_netcat_serves_again_and_again(guest: Guest, protocol: str) -> None:
    udp = "-u" if protocol == "udp" else ""
    guest.ssh(f"{PROLOGUE} sudo nc {udp} -p 8088 -lk -e echo foolish &")
    for _ in range(2):
        answer = until(
            lambda: guest.ssh(f"echo bar | nc -w 1 {udp} 127.0.0.1 8088 || true").strip(),
            60,
            "an answer",
        )
        assert answer == "foolish"
    guest.ssh("pidof nc && sudo killall -q nc")


def test_config_drive_can_be_mounted(booted: Machine) -> None:
    device = booted.ssh(f"{PROLOGUE} blkid -L config-2 -o device").strip()
    booted.ssh(f"{PROLOGUE} sudo mount {device} /mnt")
    assert booted.uuid in booted.ssh("sudo cat /mnt/openstack/latest/meta_data.json")
    booted.ssh("sudo umount /mnt")


def test_root_fills_its_disk(booted: Machine) -> None:
    def size_kib() -> bool:
        return int(booted.ssh("df -k / | tail -1").split()[1]) > 2_800_000

    until(size_kib, BOOT_S, "the root file system to grow")


def test_password_logs_in_too(guest: Guest) -> None:
    assert "cirros" in guest.ssh("sudo cat /etc/shadow")
    hashed = guest.ssh("sudo awk -F: '$1 == \"cirros\" {print $2}' /etc/shadow").strip()
    salt = hashed.split("$")[2]
    assert guest.ssh(f"mkpasswd -m sha512 -S {salt} gocubsgo").strip() == hashed


def test_disks_and_nics_can_be_plugged(booted: Machine, net: Network, tmp_path: Path) -> None:
    disk = tmp_path / "more.raw"
    disk.touch()
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    booted.qmp(
        "blockdev-add", driver="raw", **{"node-name": "more"}, file={"driver": "file", "filename": str(disk)}
    )
    booted.qmp("device_add", driver="virtio-blk-pci", id="more", drive="more", serial="0123456789abcdef")
    name = until(
        lambda: booted.ssh("grep -l 0123456789abcdef /sys/block/*/serial || true").strip(),
        BOOT_S,
        "the disk",
    ).split("/")[3]
    for kind in ("ext4", "vfat"):
        booted.ssh(f"{PROLOGUE} sudo mkfs -t {kind} /dev/{name}")
        booted.ssh(f"{PROLOGUE} sudo mkdir -p /mnt/{name}; sudo mount /dev/{name} /mnt/{name}")
        booted.ssh(f"sudo sh -c 'date > /mnt/{name}/timestamp; sync'; sudo umount /mnt/{name}")
    booted.qmp("device_del", id="more")
    until(lambda: f"/{name}\n" not in booted.ssh("ls -d /sys/block/*"), BOOT_S, "the disk to go")

    net.tap("tap1b")
    mac = "fa:16:3e:77:01:01"
    booted.qmp("netdev_add", type="tap", id="net1", ifname="tap1b", script="no", downscript="no")
    booted.qmp("device_add", driver="virtio-net-pci", id="nic1", netdev="net1", mac=mac)
    address = until(lambda: net.address_of(mac), BOOT_S, "the new NIC's DHCP")
    until(lambda: f"{address}/24" in booted.ssh("ip -o addr show eth1"), BOOT_S, "the address")
    assert "eth0" in booted.ssh("ip route get 8.8.8.8")
    booted.qmp("device_del", id="nic1")
    until(lambda: "eth1" not in booted.ssh("ip -o link"), BOOT_S, "the NIC to go")


def test_reboot_keeps_what_was_written(booted: Machine) -> None:
    booted.ssh("echo kept | sudo tee /root/kept; sync")
    host_key = booted.ssh("sudo md5sum /etc/dropbear/dropbear_ed25519_host_key")
    before = booted.ssh("cat /proc/sys/kernel/random/boot_id")
    # Not by QEMU's own reset: its emulator is then ten times slower at unpacking the kernel.
    booted.qmp("set-action", reboot="shutdown")
    booted.ssh("sudo reboot")
    booted.wait_for_exit(BOOT_S)
    booted.start()
    booted.wait_for_ssh(BOOT_S)
    assert booted.ssh("cat /proc/sys/kernel/random/boot_id") != before
    assert booted.ssh("sudo cat /root/kept") == "kept\n"
    assert booted.ssh("cat /var/lib/runs") == "once\n"
    assert booted.ssh("sudo md5sum /etc/dropbear/dropbear_ed25519_host_key") == host_key


def test_power_button(booted: Machine) -> None:
    until(lambda: "acpid" in booted.ssh("ps"), BOOT_S, "acpid")
    booted.qmp("system_powerdown")
    booted.wait_for_exit(BOOT_S)


def test_kernel_and_ramdisk_without_a_disk(
    machine: Callable[[int], Machine], net: Network, key: Key, image: MicroImage
) -> None:
    """And the metadata service in OpenStack's format, by a small guest that is all in its memory."""
    guest = machine(2)
    write_files(net.metadata, instance_files(guest.uuid, "ramdisk", key))
    guest.arguments += ["-kernel", str(image.kernel), "-initrd", str(image.ramdisk), "-append", COMMAND_LINE]
    guest.start()
    guest.wait_for_ssh(BOOT_S)
    assert guest.ssh("hostname") == "ramdisk\n"
    assert guest.ssh("awk '$2 == \"/\" {print $3}' /proc/mounts") == "rootfs\n"
    guest.qmp("system_powerdown")
    guest.wait_for_exit(BOOT_S)


def test_metadata_as_ec2_tells_it_in_96_mib(
    machine: Callable[[int], Machine], net: Network, key: Key
) -> None:
    guest = machine(3)
    guest.memory_mib = 96
    shutil.rmtree(net.metadata / "openstack", ignore_errors=True)
    write_files(
        net.metadata,
        {
            "latest/meta-data/instance-id": "i-00000001",
            "latest/meta-data/local-hostname": "third.novalocal",
            "latest/meta-data/public-keys/index.html": "0=mine",
            "latest/meta-data/public-keys/0/openssh-key": key.public,
            "latest/user-data": USER_DATA,
        },
    )
    guest.make_disk("1G")
    guest.start()
    guest.wait_for_ssh(BOOT_S)
    assert guest.ssh("hostname") == "third\n"
    console_says(guest, "user data ended with status 0")
    guest.close()


def test_addresses_without_dhcp(machine: Callable[[int], Machine], net: Network, key: Key) -> None:
    """From network_data.json, where a subnet has no DHCP."""
    guest = machine(4)
    guest.make_disk("1G")
    links = [{"id": "tap4", "ethernet_mac_address": guest.mac, "type": "ovs", "mtu": MTU}]
    networks = [
        {
            "link": "tap4", "type": "ipv4", "ip_address": "10.77.0.200", "netmask": "255.255.255.0",
            "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": GATEWAY}],
            "services": [{"type": "dns", "address": "10.77.0.54"}],
        },
        {
            "link": "tap4", "type": "ipv6", "ip_address": f"{PREFIX6}200", "netmask": "ffff:ffff:ffff:ffff::",
            "routes": [],
        },
    ]  # fmt: skip
    files = instance_files(guest.uuid, "fourth", key)
    files["openstack/latest/network_data.json"] = json.dumps(
        {"links": links, "networks": networks, "services": []}
    )
    guest.make_config_drive(files)
    guest.address = "10.77.0.200"
    guest.start()
    guest.wait_for_ssh(BOOT_S)
    assert "10.77.0.54" in guest.ssh("cat /etc/resolv.conf")
    assert GATEWAY in guest.ssh("ip route show default")
    assert f"{PREFIX6}200/64" in guest.ssh("ip -o -6 addr show eth0")
    guest.close()


def test_ipv6_alone(key: Key, image: MicroImage, tmp_path: Path) -> None:
    """Metadata on the link, the address by DHCPv6."""
    with network(only6=True) as net:
        guest = Machine(net, key, 1, tmp_path, image.disk)
        write_files(net.metadata, instance_files(guest.uuid, "sixth", key))
        guest.make_disk("1G")
        guest.start()
        try:
            guest.address = until(net.address6, BOOT_S, "a DHCPv6 lease")
            guest.wait_for_ssh(BOOT_S)
            assert guest.ssh("hostname") == "sixth\n"
            until(
                lambda: f"nameserver {PREFIX6}53" in guest.ssh("cat /etc/resolv.conf"),
                BOOT_S,
                "the name server",
            )
            answer = guest.ssh("curl -s 'http://[fe80::a9fe:a9fe%25eth0]/answers'")
            assert answer == "yes"
        finally:
            guest.close()


def test_container_powers_off(container: Container) -> None:
    container.signal("USR2")
    until(lambda: not container.is_running(), BOOT_S, "the container to end")
