"""The command line of a QEMU machine, as a function of what the machine should be.

What was measured (QEMU 7.2, TCG, a Debian cloud kernel and a small ramdisk): `q35` boots half a second sooner
than `pc`, on which the guest's kernel asks ACPI for the interrupt of each PCI device; a root port or a bridge
for hot-plug costs 35 ms; five-level page tables (`la57`) cost a sixth of the boot; a VGA adapter, `pvpanic` and
a random number generator cost nothing measurable.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

BINARY = "qemu-system-x86_64"

HOT_BUS = "hot"
"""The bus of network cards: a bridge whose 31 slots take and give up devices while the machine runs. A root port
has one slot, for the same price."""

OFFLOADS = (
    "csum",
    "gso",
    "guest_csum",
    "guest_tso4",
    "guest_tso6",
    "guest_ecn",
    "guest_ufo",
    "host_tso4",
    "host_tso6",
    "host_ecn",
    "host_ufo",
)


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    format: str
    """`qcow2` or `raw`."""
    read_only: bool = False


class NetworkCard(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    """A UUID, which the card's names in the machine are made of."""
    mac: str
    mtu: int
    tap_fd: int | str | None = None
    """A tap: a descriptor that the process inherits, the name of one that its monitor was given, or None for a card
    whose cable hangs loose."""
    offloads: bool = True
    """Whether the other side completes checksums and segments; if not, the guest must do both."""


class UefiFirmware(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    variables: str
    """A copy of the firmware's variables that belongs to this machine."""


class DirectKernel(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    ramdisk: str | None
    command_line: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Relative paths are relative to the directory that QEMU is started in."""

    uuid: str
    vcpus: int
    memory_mib: int
    accelerated: bool
    disks: tuple[Disk, ...] = ()
    cards: tuple[NetworkCard, ...] = ()
    uefi: UefiFirmware | None = None
    kernel: DirectKernel | None = None
    run_as: int | None = None
    """The user and group id that QEMU changes to once all is opened; None keeps those it is started with."""
    monitor_fd: int
    """A listening unix socket that the process inherits, for QMP."""
    pidfile: str
    console_socket: str
    console_log: str
    vnc_socket: str


def argv(machine: Machine) -> list[str]:
    """The whole command, for a process that inherits the file descriptors which the machine names."""
    return [
        BINARY,
        *_process(machine),
        *_board(machine),
        *_boot(machine),
        *_monitor_and_console(machine),
        *(word for index, disk in enumerate(machine.disks) for word in _disk(index, disk)),
        *(word for card in machine.cards for word in _card(card)),
    ]


def _process(machine: Machine) -> list[str]:
    sandbox = "on,obsolete=deny,spawn=deny,resourcecontrol=deny"
    if machine.run_as is None:
        # Changing to another user is itself such an elevation; after it no capability is left to use.
        return ["-sandbox", f"{sandbox},elevateprivileges=deny", "-pidfile", machine.pidfile]
    identity = f"{machine.run_as}:{machine.run_as}"
    return ["-runas", identity, "-sandbox", sandbox, "-pidfile", machine.pidfile]


def _board(machine: Machine) -> list[str]:
    flash = ",pflash0=firmware,pflash1=variables" if machine.uefi else ""
    # Without a bound, translated code may grow to 1 GiB beside the guest's own memory.
    accelerator = ["kvm"] if machine.accelerated else ["tcg,tb-size=128"]
    return [
        "-nodefaults",
        "-no-user-config",
        "-name",
        f"guest={machine.uuid},process=guest-{machine.uuid[:8]}",
        "-uuid",
        machine.uuid,
        "-smbios",
        # cloud-init knows an OpenStack cloud by this product name.
        f"type=1,manufacturer=Pileus,product=OpenStack Compute,serial={machine.uuid},uuid={machine.uuid}",
        "-machine",
        f"q35,hpet=off,vmport=off,sata=off,smbus=off{flash}",
        "-accel",
        *accelerator,
        "-cpu",
        "host" if machine.accelerated else "max,la57=off",
        "-smp",
        str(machine.vcpus),
        "-m",
        f"{machine.memory_mib}M",
        "-rtc",
        "base=utc,driftfix=slew" if machine.accelerated else "base=utc",
        # Powering off or panicking pauses the machine, so that who comes later can still see which it was.
        "-action",
        "shutdown=pause,panic=pause",
        "-device",
        "pvpanic",
        "-object",
        "rng-builtin,id=rng",
        "-device",
        "virtio-rng-pci,rng=rng",
        "-device",
        "VGA,vgamem_mb=8",
        "-device",
        f"pcie-pci-bridge,id={HOT_BUS}",
        "-display",
        "none",
        "-vnc",
        f"unix:{_escape(machine.vnc_socket)}",
    ]


def _boot(machine: Machine) -> list[str]:
    words = []
    if machine.uefi:
        for name, path, read_only in (
            ("firmware", machine.uefi.code, True),
            ("variables", machine.uefi.variables, False),
        ):
            words += ["-blockdev", _json(_file(name, Disk(path=path, format="raw", read_only=read_only)))]
    if machine.kernel:
        words += ["-kernel", machine.kernel.path, "-append", machine.kernel.command_line]
        if machine.kernel.ramdisk:
            words += ["-initrd", machine.kernel.ramdisk]
    return words


def _monitor_and_console(machine: Machine) -> list[str]:
    console = {
        "path": machine.console_socket,
        "server": "on",
        "wait": "off",
        "logfile": machine.console_log,
        "logappend": "on",
    }
    return [
        "-chardev",
        f"socket,id=monitor,fd={machine.monitor_fd},server=on,wait=off",
        "-mon",
        "chardev=monitor,mode=control",
        "-chardev",
        ",".join(["socket,id=console", *(f"{key}={_escape(value)}" for key, value in console.items())]),
        "-serial",
        "chardev:console",
    ]


def _disk(index: int, disk: Disk) -> list[str]:
    node = f"disk{index}"
    boot = "" if disk.read_only else f",bootindex={index + 1}"
    return [
        "-blockdev",
        _json(_file(node, disk)),
        "-device",
        f"virtio-blk-pci,id={node}-device,drive={node}{boot}",
    ]


def card_id(port_id: str) -> str:
    """The name of a port's card among the machine's devices."""
    return f"card-{port_id}"


def cable_id(port_id: str) -> str:
    """The name of what a port's card is connected to."""
    return f"cable-{port_id}"


def cable_options(card: NetworkCard) -> dict[str, Any]:
    """What the card is connected to, as `netdev_add` takes it."""
    name = {"id": cable_id(card.port_id)}
    if card.tap_fd is None:
        return {"type": "hubport", **name, "hubid": int(card.port_id[:7], 16)}
    return {"type": "tap", **name, "fd": str(card.tap_fd)}


def card_options(card: NetworkCard) -> dict[str, Any]:
    """The card, as `device_add` takes it."""
    return {
        "driver": "virtio-net-pci",
        "id": card_id(card.port_id),
        "bus": HOT_BUS,
        "netdev": cable_id(card.port_id),
        "mac": card.mac,
        "host_mtu": card.mtu,
        # No boot from the network: its ROM would cost time at each boot.
        "romfile": "",
        **({} if card.offloads else dict.fromkeys(OFFLOADS, False)),
    }


def _card(card: NetworkCard) -> list[str]:
    return ["-netdev", _words(cable_options(card)), "-device", _words(card_options(card))]


def _words(options: dict[str, Any]) -> str:
    """Options in the form of the command line, the first one's name left out, as all that it takes know it."""
    (_, first), *rest = options.items()
    return ",".join([first, *(f"{name}={_word(value)}" for name, value in rest)])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return _escape(str(value))


def _file(node: str, disk: Disk) -> dict[str, Any]:
    storage: dict[str, Any] = {"driver": "file", "filename": disk.path}
    if not disk.read_only:
        storage["discard"] = "unmap"
    return {
        "driver": disk.format,
        "node-name": node,
        "read-only": disk.read_only,
        **({} if disk.read_only else {"discard": "unmap", "detect-zeroes": "unmap"}),
        "file": storage,
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value)


def _escape(value: str) -> str:
    """A value within a comma-separated option: commas are written twice."""
    return value.replace(",", ",,")
