"""What a cloud has on its host besides its state: looked for from outside, not asked of the cloud.

Everything carries a mark of the cloud: a path below its state or run directory, a digest of that path in the
names of namespaces and links, its servers' ids in those of cgroups, its prefixes in routes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

KILL_SECONDS = 60.0


def run_directory(state: Path) -> Path:
    """Where the cloud keeps what a reboot may take."""
    return Path("/run/pileus") / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]


def network_digest(state: Path) -> str:
    """What tells this cloud's namespaces and links from others'."""
    return hashlib.sha256(os.fsencode((state / "network").absolute())).hexdigest()[:6]


def processes(state: Path) -> list[int]:
    """Processes that work for the cloud: by their command line, their directory, their cgroup or their network."""
    marks = [os.fsencode(path) for path in (state, run_directory(state))]
    names = [f"pileus-{server}".encode() for server in server_ids(state)]
    places = {_identity(path) for path in _namespaces(state)}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if not is_alive(int(entry.name)):
                continue
            place = os.fsencode(os.readlink(entry / "cwd"))
            words = (entry / "cmdline").read_bytes() + b"\0" + place + b"\0"
            groups = (entry / "cgroup").read_bytes()
            if (
                any(mark + end in words for mark in marks for end in (b"/", b"\0"))
                or any(name in groups for name in names)
                or _identity(entry / "ns" / "net") in places
            ):
                found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only its exit status for who started it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    """Kills a process and waits until it is gone. One that is gone already is no error."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], KILL_SECONDS)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def of_server(state: Path, server_id: str) -> list[str]:
    """What one server has on the host: processes, cgroups, mounts, directories; nothing, once it is deleted."""
    run = run_directory(state)
    found = [f"process {pid} ({_command(pid)})" for pid in processes(state) if is_of_server(pid, [server_id])]
    found += [f"cgroup {path}" for path in _cgroups(state) if server_id in str(path)]
    found += [f"mount {point}" for point in _mounts((state, run)) if server_id in point]
    places = (*(state / "hypervisor").glob("*/guests"), run / "guests", run / "runc")
    found += [f"directory {place / server_id}" for place in places if (place / server_id).exists()]
    return found


def is_of_server(pid: int, server_ids: Sequence[str]) -> bool:
    """Whether a process works for one of these servers, or in it."""
    with contextlib.suppress(OSError):
        words = b"".join((Path(f"/proc/{pid}") / name).read_bytes() for name in ("cmdline", "cgroup"))
        return any(server_id.encode() in words for server_id in server_ids)
    return False


def remains(state: Path, external_cidrs: Sequence[str]) -> list[str]:
    """All of it, in words: processes, namespaces, links, routes, mounts, cgroups, loop devices, run directory."""
    state = state.absolute()
    run = run_directory(state)
    found = [f"process {pid} ({_command(pid)})" for pid in processes(state)]
    found += [f"namespace {path.name}" for path in _namespaces(state)]
    found += [f"link {name}" for name in _links(state)]
    found += [f"route {route}" for route in _routes(external_cidrs)]
    found += [f"mount {point}" for point in _mounts((state, run))]
    found += [f"cgroup {path}" for path in _cgroups(state)]
    found += [f"loop device {name} on {file}" for name, file in _loops(state)]
    if run.exists():
        found.append(f"directory {run}: " + ", ".join(path.name for path in run.glob("*/*")))
    return found


def server_ids(state: Path) -> list[str]:
    """Of all servers that the cloud has or had, from its own database; none where that is elsewhere."""
    database = state / "pileus.db"
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        with contextlib.suppress(sqlite3.OperationalError):  # the schema was not laid yet
            return [row[0] for row in connection.execute("SELECT id FROM compute_servers")]
    return []


def port_ids(state: Path) -> list[str]:
    """Of all ports that the cloud has, from its own database."""
    database = state / "pileus.db"
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        with contextlib.suppress(sqlite3.OperationalError):
            return [row[0] for row in connection.execute("SELECT id FROM network_ports")]
    return []


def output(*argv: str) -> str:
    """What a program prints, nothing where it is not installed or fails."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def sweep(state: Path, external_cidrs: Sequence[str]) -> None:
    """Removes by force what `remains` finds, in no order that the cloud knows of."""
    for pid in processes(state):
        kill(pid)
    for point in reversed(_mounts((state, run_directory(state)))):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    for path in _namespaces(state):
        subprocess.run(["ip", "netns", "del", path.name], capture_output=True, check=False)
    for name in _links(state):
        subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
    for route in _routes(external_cidrs):
        subprocess.run(["ip", "route", "del", *route.split()], capture_output=True, check=False)
    for path in _cgroups(state):
        with contextlib.suppress(OSError):
            path.rmdir()
    for name, _ in _loops(state):
        subprocess.run(["losetup", "--detach", f"/dev/{name}"], capture_output=True, check=False)
    if not _mounts((run_directory(state),)):
        shutil.rmtree(run_directory(state), ignore_errors=True)


def _namespaces(state: Path) -> list[Path]:
    digest = network_digest(state)
    return list(Path("/run/netns").glob(f"*{digest}*"))


def _links(state: Path) -> Iterator[str]:
    """In the host's own namespace: the cloud's link, and a guest's tap that would have been left there."""
    digest = network_digest(state)
    taps = {f"tap{port_id[:11]}" for port_id in port_ids(state)}
    for link in json.loads(output("ip", "-json", "link", "show") or "[]"):
        if digest in link["ifname"] or link["ifname"] in taps:
            yield link["ifname"]


def _routes(external_cidrs: Sequence[str]) -> Iterator[str]:
    for cidr in external_cidrs:
        version = "-6" if ":" in cidr else "-4"
        for line in output("ip", version, "route", "show", "table", "all", "root", cidr).splitlines():
            yield line.strip()


def _mounts(below: Sequence[Path]) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    prefixes = tuple(f"{path}/" for path in below)
    return [point for point in points if point.startswith(prefixes)]


def _cgroups(state: Path) -> list[Path]:
    """Of the cloud's guests, in every hierarchy, the innermost first."""
    names = {f"pileus-{server}" for server in server_ids(state)}
    root = Path("/sys/fs/cgroup")
    found = []
    for place in (root, *(path for path in root.iterdir() if path.is_dir())):
        with contextlib.suppress(OSError):  # other clouds' guests go while one looks
            for name in names.intersection(os.listdir(place)):
                found += [Path(path) for path, _, _ in os.walk(place / name, topdown=False)]
    return found


def _loops(state: Path) -> Iterator[tuple[str, str]]:
    for device in Path("/sys/block").glob("loop*"):
        with contextlib.suppress(OSError):
            file = (device / "loop" / "backing_file").read_text().strip()
            if file.startswith(f"{state}/"):
                yield device.name, file


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode(errors="replace")
            .strip()[:120]
        )
    return "gone"
