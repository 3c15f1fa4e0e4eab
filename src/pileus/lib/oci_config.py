"""The OCI runtime configuration of a container that is a whole server: pure, from values to one JSON value.

A *system container* runs the image's own init as process 1, with a console, services, users and a network
of its own. It gets every namespace, root of a range of user ids that nobody else has, the capabilities that
an init needs within its namespaces, and nothing of the host's hardware.

Source of the shapes: OCI runtime-spec 1.0.2, `config.md` and `config-linux.md`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.lib import seccomp

CAPABILITIES: tuple[str, ...] = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
)
"""What is held within the user namespace only. SYS_ADMIN mounts what an init mounts and sets the hostname,
NET_ADMIN is the guest's DHCP, SYS_BOOT is `poweroff` (of process 1, says pid_namespaces(7)). Left out is what
has a meaning for the host alone: modules, raw I/O, the clock, the kernel log, audit, BPF, tracing, device
nodes, file handles, suspend."""

_MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
)

_READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger")
"""Not `/proc/sys`: within a user namespace the kernel lets root change the sysctls of its own namespaces
only, and a server sets those of its network."""

_CPU_PERIOD_US = 100_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    vcpus: int
    memory_mib: int
    pids: int
    open_files: int
    """For each process; no more than the host's own limit, which to raise is not every root's right."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    hostname: str
    init: tuple[str, ...]
    """Process 1: its path inside the root filesystem, and arguments."""
    root: str
    """The root filesystem's directory on the host."""
    first_id: int
    """The host's user and group id that is root inside; the range is `id_count` long."""
    id_count: int = 65536
    user_namespace: str
    """Path of the namespace's file; it maps the range already."""
    network_namespace: str
    """Path of the namespace's file; the user namespace owns it."""
    cgroup: str
    """Path of the container's cgroup in each hierarchy, from its mount point."""
    limits: Limits
    machine: str = "x86_64"
    unified_cgroups: bool = False
    """cgroup v2: the guest gets its own tree, writable, which systemd needs."""
    swap_accounting: bool = True
    """Whether the kernel can bound memory and swap together (v1 may be booted without)."""


def oci_config(container: Container) -> dict[str, Any]:
    """The content of `config.json` in the container's bundle."""
    ids = [{"containerID": 0, "hostID": container.first_id, "size": container.id_count}]
    return {
        "ociVersion": "1.0.2",
        "hostname": container.hostname,
        "root": {"path": container.root},
        "process": _process(container),
        "mounts": _mounts(container),
        "linux": {
            "namespaces": [
                {"type": "user", "path": container.user_namespace},
                {"type": "network", "path": container.network_namespace},
                *({"type": kind} for kind in ("pid", "mount", "ipc", "uts", "cgroup")),
            ],
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": container.cgroup,
            "resources": _resources(container),
            "seccomp": seccomp.profile(container.machine),
            "maskedPaths": list(_MASKED_PATHS),
            "readonlyPaths": list(_READONLY_PATHS),
        },
    }


def _process(container: Container) -> dict[str, Any]:
    limits = container.limits
    sets = ("bounding", "effective", "permitted")
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "cwd": "/",
        "args": list(container.init),
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=linux",
            # How an init learns that it has no machine under it: systemd's Container Interface.
            "container=runc",
        ],
        "capabilities": {name: list(CAPABILITIES) for name in sets},
        # A server has sudo: setuid programs must work inside, where their root is nobody outside.
        "noNewPrivileges": False,
        "oomScoreAdj": 0,
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": min(1024, limits.open_files), "hard": limits.open_files},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ],
    }


def _mounts(container: Container) -> list[dict[str, Any]]:
    cgroup_access = "rw" if container.unified_cgroups else "ro"
    return [
        _mount("/proc", "proc", "nosuid", "nodev", "noexec"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=64k"),
        _mount(
            "/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/dev/shm", "tmpfs", "nosuid", "nodev", "noexec", "mode=1777"),
        _mount("/dev/mqueue", "mqueue", "nosuid", "nodev", "noexec"),
        _mount("/sys", "sysfs", "nosuid", "nodev", "noexec", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "nosuid", "nodev", "noexec", "relatime", cgroup_access),
        _mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"),
    ]


def _mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _resources(container: Container) -> dict[str, Any]:
    limits = container.limits
    memory_bytes = limits.memory_mib << 20
    memory = {"limit": memory_bytes}
    if container.swap_accounting:
        # The limit of memory and swap together: a guest has the flavor's memory, and no swap of the host's.
        memory["swap"] = memory_bytes
    return {
        # runc itself then allows the harmless ones: null, zero, full, random, urandom, tty, the guest's ptys.
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": memory,
        "cpu": {
            "quota": limits.vcpus * _CPU_PERIOD_US,
            "period": _CPU_PERIOD_US,
            "shares": limits.vcpus * 1024,
        },
        "pids": {"limit": limits.pids},
    }
