"""The programs beside the package find what they need in a fresh checkout's environment."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (
    "bench/run",
    *(f"bench/{each}.py" for each in ("guests", "lists", "network", "objects", "s3", "s3_sync")),
    "tests/conformance/run",
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_asks_for_modules_that_there_are(program: str) -> None:
    asked = re.search(r"^ *environment\.enter\((.*)\)$", (ROOT / program).read_text(), re.MULTILINE)
    assert asked is not None
    names = re.findall(r'"(\w+)"', asked[1])
    assert names
    assert [name for name in names if find_spec(name) is None] == []
