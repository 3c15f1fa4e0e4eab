"""Small files that are always whole."""

from __future__ import annotations

from pathlib import Path

from pileus.kernel.files import write_once, write_whole


def test_what_is_written_whole_takes_the_place_of_what_was(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_whole(tmp_path / "file", content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_is_written_once_stays(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_once(tmp_path / "key", content)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"one"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
