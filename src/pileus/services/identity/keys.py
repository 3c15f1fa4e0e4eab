"""Fernet keys in a folder, as Keystone keeps them: `0` is staged, the highest number signs, all open.

A rotation promotes the staged key, stages a new one and drops the oldest. Several processes may share the folder.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pileus.kernel.files import write_whole

STAGED = 0


class KeyFolder:
    """Reads keys again when the folder has changed."""

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self.folder = folder
        self.keep = keep
        self._stamp = -1
        self._fernet: MultiFernet | None = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._numbers():
            self._write(STAGED)
            self._write(1)

    def rotate(self) -> None:
        """Tokens signed with the key that leaves become invalid: keep more keys than a token's life has rotations."""
        numbers = self._numbers()
        (self.folder / str(STAGED)).rename(self.folder / str(numbers[-1] + 1))
        self._write(STAGED)
        for number in self._numbers()[1:]:
            if len(self._numbers()) <= self.keep:
                break
            (self.folder / str(number)).unlink()

    def encrypt(self, payload: bytes) -> bytes:
        return self._current().encrypt(payload)

    def decrypt(self, token: bytes) -> bytes | None:
        """None where no key opens it."""
        try:
            return self._current().decrypt(token)
        except InvalidToken:
            return None

    def _current(self) -> MultiFernet:
        stamp = self.folder.stat().st_mtime_ns
        if self._fernet is None or stamp != self._stamp:
            numbers = self._numbers()
            ordered = [*sorted((n for n in numbers if n != STAGED), reverse=True), STAGED]
            self._fernet = MultiFernet([Fernet((self.folder / str(n)).read_bytes()) for n in ordered])
            self._stamp = stamp
        return self._fernet

    def _numbers(self) -> list[int]:
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def _write(self, number: int) -> None:
        write_whole(self.folder / str(number), Fernet.generate_key())
