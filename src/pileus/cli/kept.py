"""What was said at the first `up` of a state folder, or at the last, and holds for those that follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pileus.kernel.files import write_whole


class WrongKind(Exception):
    """A simulated cloud's state, or a real one's, is to be used for the other."""


def simulated(state: Path) -> bool:
    """A state that was simulated stays so: its servers have no disks."""
    return (state / "simulated").exists()


def only(state: Path) -> list[str] | None:
    """The services that run here; none: all of them. None where that was never said."""
    file = state / "only"
    return file.read_text().split() if file.exists() else None


def keep(state: Path, sim: bool, only: Sequence[str]) -> None:
    """For `down`, `doctor` and the next `up`. Raises WrongKind: a simulation of servers that have disks would lose them."""
    if sim and not simulated(state):
        if (state / "pileus.db").exists():
            raise WrongKind(f"{state} holds a real cloud; give the simulated one another folder: --state DIR")
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "simulated").touch()
    if only or (state / "only").exists():
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(state / "only", "".join(f"{name}\n" for name in only).encode())
