#!/usr/bin/env python3
"""Puts in place what this checkout needs: Debian packages, and a virtual environment in `.venv`.

    tools/prepare.py [--packages GROUP]... [--extra EXTRA]

Runs with any Python 3.9+, before anything else is installed. Run again, it finds everything there and is quick.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PACKAGES = ROOT / "src/pileus/cli/packages.tsv"
OLDEST = (3, 11)


def say(text: str) -> None:
    print(text, flush=True)


def run(*argv: str, quiet: bool = True) -> None:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None
    )
    if done.returncode:
        sys.stdout.buffer.write(done.stdout or b"")
        sys.exit(f"{' '.join(argv[:4])} failed")


def missing_packages(groups: list[str]) -> list[tuple[str, str]]:
    """(package, why) of the groups that dpkg does not know as installed."""
    rows = [line.split("\t") for line in PACKAGES.read_text().splitlines()]
    wanted = [(name, why) for group, name, why in rows if group in groups]
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *(name for name, _ in wanted)]
    said = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    there = {line.split()[0] for line in said.splitlines() if line.endswith(" installed")}
    return [(name, why) for name, why in wanted if name not in there]


def install_packages(groups: list[str]) -> None:
    missing = missing_packages(groups)
    if not missing:
        return
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if sudo and shutil.which("sudo") is None:
        sys.exit(
            "Debian packages are missing and can be installed by root only: "
            + " ".join(n for n, _ in missing)
        )
    say("Installing Debian packages:")
    for name, why in missing:
        say(f"  {name:<22} {why}")
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run(*sudo, *environment, "apt-get", "update", "-qq")
    # Daemons that come along stay off: the cloud starts its own, in a namespace of its own.
    with_policy = ["--no-install-recommends", "-o", "DPkg::Options::=--force-confold"]
    run(
        *sudo,
        *environment,
        "RUNLEVEL=1",
        "apt-get",
        "install",
        "-y",
        "-qq",
        *with_policy,
        *(n for n, _ in missing),
    )


def python() -> str:
    """A Python that is new enough: this one, or the newest on the path."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(19, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    sys.exit(f"Pileus needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}")


def make_environment(extra: str) -> None:
    project = ROOT / "pyproject.toml"
    stamp = VENV / "made-from"
    wanted = hashlib.sha256(project.read_bytes() + extra.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"Making a virtual environment in {VENV.name} with what pyproject.toml names")
    run(python(), "-m", "venv", str(VENV))
    pip = str(VENV / "bin" / "python")
    run(
        pip,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        f"{ROOT}[{extra}]" if extra else str(ROOT),
    )
    stamp.write_text(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--packages", action="append", default=[], help="host, image, client or test")
    parser.add_argument("--extra", default="", help="optional dependencies of pyproject.toml")
    options = parser.parse_args()
    install_packages(options.packages)
    make_environment(options.extra)


if __name__ == "__main__":
    main()
