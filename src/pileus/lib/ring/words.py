"""How operators write devices: `r1z2-10.0.0.1:6200/sdb1_note` adds one, parts of that find some."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pileus.lib.ring.device import Device

_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[^:/_\[\]]+)"
_NEW = re.compile(
    rf"^(?:r(?P<region>\d+))?z(?P<zone>\d+)-(?P<ip>{_HOST}):(?P<port>\d+)"
    rf"(?:R(?P<replication_ip>{_HOST}):(?P<replication_port>\d+))?/(?P<device>[^/_\s]+)(?:_(?P<meta>.*))?$"
)
_SEARCH = re.compile(
    rf"^(?:d(?P<id>\d+))?(?:r(?P<region>\d+))?(?:z(?P<zone>\d+))?-?(?P<ip>{_HOST})?(?::(?P<port>\d+))?"
    r"(?:/(?P<device>[^/_\s]+))?(?:_(?P<meta>.+))?$"
)


class WordsError(Exception):
    """It can't be read as a device; the message says how one is written."""


class NewDevice(NamedTuple):
    region: int
    zone: int
    ip: str
    port: int
    device: str
    replication_ip: str | None
    replication_port: int | None
    meta: str


def parse_device(text: str) -> NewDevice:
    """`r1z2-10.0.0.1:6200/sdb1`; with `R10.1.0.1:6300` before the slash for replication, with `_note` at the end."""
    matched = _NEW.match(text)
    if matched is None:
        raise WordsError(
            f"{text!r} is no device: write rREGIONzZONE-ADDRESS:PORT/DEVICE, as r1z2-10.0.0.1:6200/sdb1"
        )
    found = matched.groupdict()
    ports = [found["port"], found["replication_port"] or "1"]
    if not all(0 < int(port) < 65536 for port in ports):
        raise WordsError(f"{text!r} has a port that is none: 1 to 65535")
    replication_ip, replication_port = found["replication_ip"], found["replication_port"]
    return NewDevice(
        int(found["region"] or 1),
        int(found["zone"]),
        found["ip"].strip("[]"),
        int(found["port"]),
        found["device"],
        replication_ip.strip("[]") if replication_ip else None,
        int(replication_port) if replication_port else None,
        found["meta"] or "",
    )


def search(devices: Iterable[Device], text: str) -> list[Device]:
    """Devices of which all that is written holds: `d3`, `r1z2`, `10.0.0.1:6200`, `/sdb1`, `_note`, or several of these.

    Raises WordsError for what can't be read or says nothing.
    """
    matched = _SEARCH.match(text)
    wanted = {name: value for name, value in matched.groupdict().items() if value} if matched else {}
    if not wanted:
        raise WordsError(
            f"{text!r} finds no device: write d3, r1z2, z2-10.0.0.1, 10.0.0.1:6200/sdb1, /sdb1 or _NOTE"
        )
    if "ip" in wanted:
        wanted["ip"] = wanted["ip"].strip("[]")
    return [each for each in devices if _holds(each, wanted)]


def _holds(device: Device, wanted: dict[str, str]) -> bool:
    return all(
        value in device.meta if name == "meta" else str(getattr(device, name)) == value
        for name, value in wanted.items()
    )


def written(device: Device) -> str:
    """The device as `parse_device` reads it."""
    return f"r{device.region}z{device.zone}-{_address(device)}/{device.device}" + (
        f"_{device.meta}" if device.meta else ""
    )


def _address(device: Device) -> str:
    host = f"[{device.ip}]" if ":" in device.ip else device.ip
    return f"{host}:{device.port}"
