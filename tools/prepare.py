#!/usr/bin/env python3
"""Puts in place what this checkout needs: Debian packages, and a virtual environment in `.venv`.

    tools/prepare.py [--packages GROUP]... [--extra EXTRA]...

Runs with any Python 3.9+, before anything else is installed. Run again, it is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PACKAGES = ROOT / "src/pileus/cli/packages.tsv"
OLDEST = (3, 11)
DAEMONS = ("ovn-central", "ovn-host", "openvswitch-switch", "postgresql", "slapd", "nginx-light")
"""Packages with services that stay off: the cloud and its tests start their own, out of the host's way."""
POLICY = Path("/usr/sbin/policy-rc.d")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(*argv: str) -> None:
    """A program that is heard only if it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stdout.buffer.write(done.stdout)
        sys.exit(f"failed: {' '.join(argv)}")


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.0f} s")


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
    names = [name for name, _ in missing]
    if os.geteuid() != 0:
        sys.exit(
            f"Debian packages are missing: sudo apt-get install --no-install-recommends {' '.join(names)}"
        )
    say("Installing Debian packages:")
    for name, why in missing:
        say(f"  {name:<22} {why}")
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq")
    with timed("Debian packages installed"), daemons_off(names):
        run(*apt, "update")
        run(
            *apt,
            "install",
            "--yes",
            "--no-install-recommends",
            "-o",
            "DPkg::Options::=--force-confold",
            *names,
        )


@contextlib.contextmanager
def daemons_off(names: list[str]) -> Iterator[None]:
    """None of the daemons that come along is started, now or when the host boots."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()
    new = [name for name in DAEMONS if name in names]
    if new and shutil.which("systemctl"):
        run("systemctl", "disable", "--quiet", *new)


def python() -> str:
    """A Python that is new enough: this one, or the newest on the path."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(19, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    sys.exit(f"Pileus needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}")


def make_environment(extras: list[str]) -> None:
    # One line for what has been installed at once, so that one does not undo another.
    stamp = VENV / "made-from"
    extra = ",".join(extras)
    wanted = f"{hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()} {extra}"
    made = stamp.read_text().splitlines() if stamp.exists() else []
    if wanted in made:
        return
    say(f"Making a virtual environment in {VENV.name} with what pyproject.toml names")
    with timed("Virtual environment made"):
        run(python(), "-m", "venv", str(VENV))
        inside = str(VENV / "bin" / "python")
        what = f"{ROOT}[{extra}]" if extra else str(ROOT)
        quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
        # Today's pip finds out what is needed in half the time of Debian's.
        run(inside, "-m", "pip", "install", *quiet, "--upgrade", "pip")
        run(inside, "-m", "pip", "install", *quiet, "--editable", what)
        # pip would compile on one processor; what can't be compiled are other languages' templates.
        subprocess.run([inside, "-m", "compileall", "-qq", "-j", "0", str(VENV / "lib")])
    stamp.write_text("\n".join([*(line for line in made if line.split()[0] == wanted.split()[0]), wanted]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--packages", action="append", default=[], help="host, image, client or test")
    parser.add_argument(
        "--extra", action="append", default=[], help="optional dependencies of pyproject.toml"
    )
    options = parser.parse_args()
    if importlib.util.find_spec("ensurepip") is None:
        install_packages(["python"])
    with ThreadPoolExecutor() as pool:
        for each in [
            pool.submit(install_packages, options.packages),
            pool.submit(make_environment, options.extra),
        ]:
            each.result()


if __name__ == "__main__":
    main()
