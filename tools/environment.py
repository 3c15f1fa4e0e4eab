"""For programs of the checkout that anybody starts with any Python: go on in an environment that has what they need."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def enter(*modules: str) -> None:
    """Starts the program over in the checkout's `.venv`, made where it is not there, if this Python lacks a module."""
    lacking = [each for each in modules if find_spec(each) is None]
    if not lacking:
        return
    own = ROOT / ".venv/bin/python"
    if Path(sys.executable) == own:
        sys.exit(f"{own} lacks {', '.join(lacking)}: `tools/prepare.py --extra test` puts it right")
    prepare = [sys.executable, str(ROOT / "tools/prepare.py"), "--extra", "test"]
    if os.spawnv(os.P_WAIT, sys.executable, prepare):
        sys.exit(1)
    os.execv(own, [str(own), *sys.argv])
