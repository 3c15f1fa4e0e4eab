"""What this host knows of each container between two looks: one JSON file per guest, written atomically."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from pileus.kernel.files import write_whole
from pileus.services.compute.driver import Guest


class Record(msgspec.Struct, kw_only=True):
    guest: Guest
    first_id: int
    """The host's id of the guest's root."""
    nic_names: dict[str, str] = {}
    """The guest's name of each NIC (`eth0`), by port."""
    boot_id: str | None = None
    """Which boot of the host it was started in; None while it should be stopped."""
    power_off: int = 0
    """The signal that asks its init to power off."""


def name_nics(guest: Guest, names: dict[str, str]) -> dict[str, str]:
    """A name for each NIC: those that have one keep it, others get the lowest that is free."""
    kept = {nic.port_id: names[nic.port_id] for nic in guest.nics if nic.port_id in names}
    free = (name for index in range(len(guest.nics)) if (name := f"eth{index}") not in kept.values())
    return {nic.port_id: kept.get(nic.port_id) or next(free) for nic in guest.nics}


class Records:
    """The guests' directories under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, guest_id: str) -> Path:
        return self.root / guest_id

    def load(self, guest_id: str) -> Record | None:
        try:
            content = self._file(guest_id).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(content, type=Record)

    def save(self, record: Record) -> None:
        file = self._file(record.guest.id)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, msgspec.json.encode(record))

    def all(self) -> list[Record]:
        ids = (path.name for path in sorted(self.root.iterdir()) if path.is_dir())
        return [record for guest_id in ids if (record := self.load(guest_id)) is not None]

    def remove(self, guest_id: str) -> None:
        """Remove the guest's directory, its record last: what is half removed is still known."""
        directory = self.directory(guest_id)
        if not directory.exists():
            return
        for path in directory.iterdir():
            if path != self._file(guest_id):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._file(guest_id).unlink(missing_ok=True)
        directory.rmdir()

    def _file(self, guest_id: str) -> Path:
        return self.directory(guest_id) / "guest.json"
