"""The newest epoch seen for each guest, kept on the host's disk."""

from __future__ import annotations

import time
from pathlib import Path

from pileus.services.compute.driver import StaleEpoch

_KEPT_SECONDS = 7 * 24 * 3600
"""How long a destroyed guest's epoch is kept, to refuse a worker that was away since before."""


class Epochs:
    """One small file for each guest. What is gone after a power failure was older than the reboot, which no
    worker on this host has outlived."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._newest: dict[str, int] = {}

    def load(self, guest_ids: set[str]) -> None:
        """Read what is kept; that of guests long gone is dropped."""
        self._directory.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - _KEPT_SECONDS
        for path in self._directory.iterdir():
            if path.name not in guest_ids and path.stat().st_mtime < oldest:
                path.unlink()
                continue
            text = path.read_text()
            if text.isdigit():
                self._newest[path.name] = int(text)

    def admit(self, guest_id: str, epoch: int) -> None:
        """Let this epoch act on the guest, from now on none that is older; raises `StaleEpoch`."""
        newest = self._newest.get(guest_id)
        if newest is not None and epoch < newest:
            raise StaleEpoch(f"Epoch {epoch} for guest {guest_id} is older than {newest}.")
        if epoch != newest:
            path = self._directory / guest_id
            path.write_text(str(epoch))
            self._newest[guest_id] = epoch
