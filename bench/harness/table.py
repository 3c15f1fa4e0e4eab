"""Results: rows with what must be reached, a table for people, JSON for comparison over time."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    unit: str
    target: float | None = None
    more_is_better: bool = False
    baseline: float | None = None
    """The same measure of the bare floor, in the same run."""

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.more_is_better else self.value <= self.target


def show(rows: list[Row]) -> None:
    print(f"\n{'what':<62}{'measured':>12}{'target':>10}{'floor':>10}")
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}"
        floor = "" if row.baseline is None else f"{row.baseline:.3g}"
        mark = {True: "", False: "  missed", None: ""}[row.reached]
        print(f"{row.name + ', ' + row.unit:<62}{row.value:>12.4g}{target:>10}{floor:>10}{mark}")


def save(rows: list[Row], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=folder, check=False
    )
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    machine = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "system": platform.release(),
    }
    file = folder / f"{at}.json"
    results = [{**asdict(row), "reached": row.reached} for row in rows]
    file.write_text(
        json.dumps({"at": at, "commit": commit.stdout.strip(), "machine": machine, "rows": results}, indent=2)
    )
    return file
