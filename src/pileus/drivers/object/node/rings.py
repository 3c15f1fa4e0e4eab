"""The rings of a cluster, in the folder that an operator copies them to."""

from __future__ import annotations

import re
from hashlib import md5
from pathlib import Path

from pileus.drivers.object.node import swift_conf
from pileus.kernel.config import ConfigError
from pileus.lib.ring import NameHash, Ring, RingFileError, decode
from pileus.lib.ring.device import Device
from pileus.services.object_store.policies import ErasureCoding

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
        self.signature = signature(folder)
        """As the files were before they were read."""
        try:
            self.conf = swift_conf.read(folder / CONF)
        except ConfigError as error:
            raise RingsError(str(error)) from error
        self._hash = NameHash(self.conf.hash_prefix, self.conf.hash_suffix)
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

    def coding(self, policy: int) -> ErasureCoding | None:
        """Of a storage policy; None where it keeps whole copies."""
        return next((each.erasure_coding for each in self.conf.policies if each.index == policy), None)

    def require_successor(self, new: Rings) -> None:
        """Raises RingsError where these can't be followed by those without a restart."""
        if new.conf != self.conf:
            raise RingsError(
                f"{self.folder / CONF} has changed: restart all nodes and proxies for storage policies, or take it back; "
                "with another hash prefix or suffix nothing is found any more"
            )
        if new.objects.keys() != self.objects.keys():
            raise RingsError(
                f"the storage policies in {self.folder} are others: restart all nodes and proxies for them"
            )
        for name, old, ring in [
            (LISTS, self.lists, new.lists),
            *(
                (f"the ring of policy {policy}", self.objects[policy], ring)
                for policy, ring in new.objects.items()
            ),
        ]:
            if old.part_power != ring.part_power:
                raise RingsError(
                    f"{name} has another part power, {ring.part_power} instead of {old.part_power}: that can't be changed "
                    "once there is something; take the old ring back"
                )
        for policy, ring in new.objects.items():
            if self.coding(policy) is not None and ring.replicas != self.objects[policy].replicas:
                raise RingsError(
                    f"the ring of policy {policy} has {ring.replicas:g} replicas; it needs {self.objects[policy].replicas:g}, "
                    "one for each fragment"
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


def signature(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Another one where a file came, went, or was written or replaced; empty where they can't be looked at."""
    try:
        files = [each for each in folder.iterdir() if each.name == CONF or each.name.endswith(".ring.gz")]
        found = [(each.name, each.stat()) for each in sorted(files)]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_ino, stat.st_size) for name, stat in found)


def devices_of(ring: Ring) -> list[Device]:
    """All that it names, drained ones included."""
    return [each for each in ring.devices if each is not None]


def object_target(device: str, policy: int) -> str:
    """The name under which a device's objects of a storage policy are served, or their fragments."""
    return f"object-{policy}/{device}" if policy else f"object/{device}"


def record_target(device: str, policy: int) -> str:
    """The same of an erasure-coded policy's records; its fragments are served as its objects."""
    return f"record-{policy}/{device}"


def list_target(device: str) -> str:
    return f"container/{device}"
