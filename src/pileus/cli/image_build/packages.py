"""Debian packages, fetched by apt into directories of our own: nothing is installed on the host.

apt reads the host's list of sources and its keys, but keeps its state, its cache and its idea of what is
installed (nothing) below the cache directory, so the host's package database is neither read nor changed.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Progress = Callable[[str], None]

LISTS_MAX_AGE_S = 24 * 3600.0


class ImageBuildError(Exception):
    """The image could not be built; the message names the cause and the way out."""


def run(*argv: str | Path, stdin: bytes | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; raises ImageBuildError with its complaint."""
    command = [str(word) for word in argv]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            check=True,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
        )
    except FileNotFoundError:
        raise ImageBuildError(
            f"{command[0]} is not on this host; `pileus doctor` names the package that has it"
        ) from None
    except subprocess.CalledProcessError as error:
        complaint = (error.stderr or error.stdout).decode(errors="replace").strip()
        raise ImageBuildError(f"{' '.join(command[:3])} failed: {complaint[-800:]}") from None
    return done.stdout.decode(errors="replace")


class PackageStore:
    """Debian packages of this host's release, kept in `directory` from one build to the next."""

    def __init__(self, directory: Path, progress: Progress) -> None:
        self._progress = progress
        self._state = directory / "apt"
        self._archives = directory / "packages"
        for below in ("lists/partial", "archives/partial"):
            (self._state / below).mkdir(parents=True, exist_ok=True)
        self._archives.mkdir(parents=True, exist_ok=True)
        self._status = self._state / "status"
        self._status.touch()

    def closure(self, names: Iterable[str], wanted: Callable[[str], bool]) -> list[Path]:
        """The packages and those that they depend on whose names are wanted, as paths of .deb files."""
        return self._fetch(["install", "--no-install-recommends", "--yes", *names], wanted)

    def alone(self, names: Iterable[str]) -> list[Path]:
        """Just these packages, as paths of .deb files."""
        return self._fetch(["download", *names], lambda _: True)

    def dependencies(self, name: str) -> list[str]:
        """The names that a package depends on directly, first alternatives only."""
        self._refresh()
        lines = run("apt-cache", *self._options(), "depends", "--important", name).splitlines()
        return [line.split()[-1] for line in lines if line.strip().startswith("Depends:")]

    def sources(self) -> list[str]:
        """Where this host gets Debian from, as lines of a sources.list."""
        self._refresh()
        wanted = ("--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages", "Origin: Debian")
        lines = run("apt-get", *self._options(), "indextargets", *wanted).splitlines()
        if not lines:
            raise ImageBuildError("apt has no source of Debian packages; see /etc/apt")
        return [f"deb {line}" for line in lines]

    def _fetch(self, request: list[str], wanted: Callable[[str], bool]) -> list[Path]:
        self._refresh()
        rows = parse_uris(run("apt-get", *self._options(), "--print-uris", *request))
        files = [(name, size) for name, size in rows if wanted(package_version(name)[0])]
        if not files:
            raise ImageBuildError(
                f"apt knows no package for: {' '.join(request)}; see its sources in /etc/apt"
            )
        missing = [name for name, size in files if not self._has(name, size)]
        if missing:
            self._progress(f"downloading {len(missing)} Debian packages")
            # Named by version, so that what is fetched is what was just resolved.
            pinned = ["=".join(package_version(name)) for name in missing]
            done = subprocess.run(
                ["apt-get", *self._options(), "--quiet=2", "download", *pinned],
                cwd=self._archives,
                capture_output=True,
                check=False,
            )
            still = [name for name, size in files if not self._has(name, size)]
            if done.returncode or still:
                raise ImageBuildError(
                    f"apt could not download {', '.join(still) or 'packages'}: "
                    f"{done.stderr.decode(errors='replace').strip()[-800:]}; "
                    "can this host reach its Debian mirror?"
                )
        return [self._archives / name for name, _ in files]

    def _has(self, name: str, size: int) -> bool:
        path = self._archives / name
        return path.exists() and path.stat().st_size == size

    def _refresh(self) -> None:
        stamp = self._state / "refreshed"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_MAX_AGE_S:
            return
        self._progress("reading the Debian mirror's package lists")
        try:
            run("apt-get", *self._options(), "--quiet=2", "update")
        except ImageBuildError as error:
            # Another repository of this host may be unreachable while Debian's own is fine.
            if not any((self._state / "lists").glob("*_Packages*")):
                raise ImageBuildError(f"{error}; can this host reach its Debian mirror?") from None
        stamp.touch()

    def _options(self) -> list[str]:
        settings = {
            "Dir::State": self._state,
            "Dir::State::status": self._status,
            "Dir::State::extended_states": self._state / "extended_states",
            "Dir::Cache": self._state,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
        }
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def parse_uris(printed: str) -> list[tuple[str, int]]:
    """What `apt-get --print-uris` would fetch, as (file name, size in bytes)."""
    rows = [line.split() for line in printed.splitlines() if line.startswith("'")]
    return [(row[1], int(row[2])) for row in rows]


def package_version(file_name: str) -> tuple[str, str]:
    """Package and version from apt's name for an archive, `NAME_VERSION_ARCH.deb` with `:` as `%3a`."""
    package, version, _ = file_name.removesuffix(".deb").split("_")
    return package, version.replace("%3a", ":")


def unpack(archives: Iterable[Path], into: Path) -> None:
    """Unpack packages, all of them into one directory."""
    into.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in pool.map(lambda archive: run("dpkg-deb", "-x", archive, into), archives):
            pass
