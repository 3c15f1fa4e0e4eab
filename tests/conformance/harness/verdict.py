"""What a run came to, against the tests that passed before and the reasons on record for those that do not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.areas import HERE, Area
from harness.tempest import Outcome

EXPLAINED = HERE / "not-yet.txt"


@dataclass(frozen=True)
class Verdict:
    lost: list[str]
    """They passed once."""
    new: list[str]
    """They pass for the first time."""
    explained: dict[str, list[str]]
    """Failures by the reason that is on record."""
    unexplained: list[str]

    @property
    def good(self) -> bool:
        return not self.lost and not self.unexplained


def judge(area: Area, asked: set[str], outcome: Outcome) -> Verdict:
    """Of the golden list counts what was asked for."""
    golden = read(area.golden) & asked
    explained: dict[str, list[str]] = {}
    unexplained = []
    for test in sorted(outcome.failed - golden):
        reason = next((why for pattern, why in _reasons() if re.match(pattern, test)), None)
        if reason is None:
            unexplained.append(test)
        else:
            explained.setdefault(reason, []).append(test)
    return Verdict(sorted(golden - outcome.passed), sorted(outcome.passed - golden), explained, unexplained)


def read(golden: Path) -> set[str]:
    return set(golden.read_text().split()) if golden.exists() else set()


def accept(area: Area, outcome: Outcome) -> None:
    """Adds what passed to the golden list."""
    area.golden.parent.mkdir(exist_ok=True)
    area.golden.write_text("".join(f"{test}\n" for test in sorted(read(area.golden) | outcome.passed)))


def _reasons() -> list[tuple[str, str]]:
    """Lines of `PATTERN  reason`, patterns anchored at the beginning of a test's name."""
    lines = [line for line in EXPLAINED.read_text().splitlines() if line and not line.startswith("#")]
    return [(pattern, why.strip()) for pattern, _, why in (line.partition(" ") for line in lines)]
