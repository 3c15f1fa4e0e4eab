"""Servers that a test starts end with it, also where it is killed and can clean up nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def mortal(command: Sequence[str | Path]) -> list[str]:
    """The command, which the kernel kills when the thread that has started it ends (prctl's PR_SET_PDEATHSIG)."""
    return ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
