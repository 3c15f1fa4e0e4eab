"""Tempest in an environment of its own: a workspace for a run, the tests it knows, what came of each."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.areas import HERE, Area
from harness.cloud import CHECKOUT

VENV = CHECKOUT / ".venv-tempest"
REQUIREMENTS = HERE / "requirements.txt"
_TEST = re.compile(r"(?P<name>[\w.]+)(\[(?P<tags>[^\]]*)\])?(?P<scenario>\([\w-]+\))?$")
_FIXTURE = re.compile(r"(setUp|tearDown)Class \((?P<name>[\w.]+)\)$")


@dataclass
class Outcome:
    """Names of tests, without their tags; what ran, and what was told to run but did not, is skipped."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    report: str = ""
    """Tracebacks and Tempest's log of each failure."""


def install() -> None:
    """Makes the environment, or finds it made."""
    stamp, wanted = VENV / "made-from", REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {' '.join(wanted.split())} in {VENV.name}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "-r", str(REQUIREMENTS)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Tempest can't be installed:\n{done.stderr}")
    stamp.write_text(wanted)


class Workspace:
    """A folder that Tempest runs in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run("tempest", "init", str(folder))

    def configure(self, text: str) -> None:
        (self.folder / "etc/tempest.conf").write_text(text)

    def tests(self, area: Area, only: str | None) -> list[str]:
        """The area's tests, with their tags as Tempest wants them in a list."""
        known = self._run("stestr", "list").decode().splitlines()
        if area.listed is not None:
            named = {_bare(line) for line in (HERE / "interop" / area.listed).read_text().split()}
            known = [test for test in known if _bare(test) in named]
        return sorted(
            test
            for test in known
            if re.search(area.pattern, test)
            and (only is None or re.search(only, test))
            and (not area.smoke or "smoke" in _tags(test))
        )

    def run(self, tests: list[str], workers: int) -> Outcome:
        """Shows each test as it ends."""
        (self.folder / "tests.txt").write_text("\n".join(tests) + "\n")
        command = ["tempest", "run", "--load-list", "tests.txt", "--concurrency", str(workers)]
        process = subprocess.Popen(
            self._argv(command),
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                print(" ", line.rstrip(), flush=True)
        process.wait()
        return self._outcome({_bare(test) for test in tests})

    def _outcome(self, asked: set[str]) -> Outcome:
        # Both end with 1 where a test failed.
        stream = self._run("stestr", "last", "--subunit", check=False)
        table = self._run("subunit2csv", "--no-passthrough", given=stream, check=False).decode()
        outcome = Outcome(report=self._run("stestr", "last", check=False).decode(errors="replace"))
        broken: list[str] = []
        for row in csv.DictReader(io.StringIO(table)):
            if found := _FIXTURE.match(row["test"]):
                if row["status"] == "failure":
                    broken.append(found["name"])
                continue
            group = {"success": outcome.passed, "skip": outcome.skipped}.get(row["status"], outcome.failed)
            group.add(_bare(row["test"]))
        left = asked - outcome.passed - outcome.failed - outcome.skipped
        outcome.failed |= {test for test in left if test.rpartition(".")[0] in broken}
        outcome.skipped |= left - outcome.failed
        return outcome

    def _run(self, *command: str, given: bytes | None = None, check: bool = True) -> bytes:
        """What the command prints."""
        cwd = self.folder if self.folder.exists() else None
        done = subprocess.run(
            self._argv(command),
            cwd=cwd,
            env=self._environment(),
            input=given,
            capture_output=True,
            check=False,
        )
        if check and done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout

    def _argv(self, command: Iterable[str]) -> list[str]:
        name, *rest = command
        return [str(VENV / "bin" / name), *rest]

    def _environment(self) -> dict[str, str]:
        path = f"{VENV / 'bin'}:{os.environ['PATH']}"
        # HOME: Tempest notes its workspaces there.
        mine = {"TEMPEST_CONFIG_DIR": str(self.folder / "etc"), "HOME": str(self.folder.parent), "PATH": path}
        return {name: value for name, value in os.environ.items() if not name.startswith("OS_")} | mine


def _bare(test: str) -> str:
    found = _TEST.match(test)
    return test if found is None else found["name"] + (found["scenario"] or "")


def _tags(test: str) -> list[str]:
    found = _TEST.match(test)
    return [] if found is None else (found["tags"] or "").split(",")
