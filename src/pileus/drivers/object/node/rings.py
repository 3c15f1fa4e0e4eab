"""The rings of a cluster, in the folder that an operator copies them to."""

from __future__ import annotations

import configparser
import re
from hashlib import md5
from pathlib import Path

from pileus.lib.ring import NameHash, Ring, RingFileError, decode
from pileus.lib.ring.device import Device

LISTS = "container.ring.gz"
CONF = "swift.conf"
_OBJECTS = re.compile(r"^object(?:-(\d+))?\.ring\.gz$")


class RingsError(Exception):
    """The folder does not hold the rings of a cluster; the message says what is missing."""


class Rings:
    """`lists` has the lists of accounts and containers, `objects` the objects, by the index of their storage policy."""

    def __init__(self, folder: Path) -> None:
        """Raises RingsError."""
        self.folder = folder
        self.hash_prefix, self.hash_suffix = _hash_parts(folder / CONF)
        self._hash = NameHash(self.hash_prefix, self.hash_suffix)
        self.files: dict[Path, str] = {}
        """What was read, and its MD5."""
        self.lists = self._read(LISTS)
        self.objects: dict[int, Ring] = {}
        for file in sorted(folder.iterdir()):
            if matched := _OBJECTS.match(file.name):
                self.objects[int(matched[1] or 0)] = self._read(file.name)
        if 0 not in self.objects:
            raise RingsError(
                f"there is no object.ring.gz in {folder}: `pileus ring rebalance` makes one of its builder"
            )
        account = folder / "account.ring.gz"
        if account.exists() and account.read_bytes() != (folder / LISTS).read_bytes():
            raise RingsError(
                f"accounts are where containers are: make {account} a copy of {LISTS}, or remove it"
            )

    def _read(self, name: str) -> Ring:
        file = self.folder / name
        try:
            data = file.read_bytes()
            ring = decode(data, self._hash)
        except FileNotFoundError:
            raise RingsError(
                f"there is no {name} in {self.folder}: `pileus ring rebalance` makes one of its builder"
            ) from None
        except (OSError, RingFileError) as error:
            raise RingsError(f"{file} can't be read: {error}") from error
        self.files[file] = md5(data, usedforsecurity=False).hexdigest()
        return ring


def _hash_parts(file: Path) -> tuple[str, str]:
    """What goes into the hash of every name, as Swift's `swift.conf` has it; nothing where there is no such file."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(file)
    except configparser.Error as error:
        raise RingsError(f"{file} can't be read: {error}") from error
    return (
        parser.get("swift-hash", "swift_hash_path_prefix", fallback=""),
        parser.get("swift-hash", "swift_hash_path_suffix", fallback=""),
    )


def devices_of(ring: Ring) -> list[Device]:
    """All that it names, drained ones included."""
    return [each for each in ring.devices if each is not None]


def object_target(device: str, policy: int) -> str:
    """The name under which a device's objects of a storage policy are served."""
    return f"object-{policy}/{device}" if policy else f"object/{device}"


def list_target(device: str) -> str:
    return f"container/{device}"
