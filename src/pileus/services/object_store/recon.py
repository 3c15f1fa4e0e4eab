"""How a server of an object store does, in the words of Swift's recon ("Cluster Telemetry and Monitoring").

Of disks, rings and the system it looks itself; of background walks it tells what `Daemons` know. What no walk has told yet
is null, as with Swift.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping
from hashlib import md5
from pathlib import Path
from typing import Any

from pileus.services.object_store.daemons import Daemons, Progress

SWIFT_VERSION = "2.38.0"
"""The release whose API this is."""
PARTS = ("account", "container", "object")


class Recon:
    """`devices` is the folder of devices, `rings` the files that say where they are; either may be missing."""

    def __init__(
        self,
        daemons: Daemons,
        *,
        devices: Path | None = None,
        rings: Callable[[], Mapping[Path, str]] = dict,
    ) -> None:
        self._daemons = daemons
        self._devices = devices
        self._rings = rings
        self._checks: Mapping[str, Callable[[], Any]] = {
            "version": lambda: {"version": SWIFT_VERSION},
            "time": time.time,
            "load": _load,
            "mem": _memory,
            "sockstat": _sockets,
            "mounted": _mounted,
            "unmounted": self._unmounted,
            "diskusage": self._disk_usage,
            "devices": lambda: {str(self._devices or ""): self._names()},
            "driveaudit": lambda: {"drive_audit_errors": None},
            "relinker": lambda: {"devices": None, "workers": None},
            "ringmd5": lambda: {str(file): digest for file, digest in self._rings().items()},
            "swiftconfmd5": self._conf,
            "quarantined": self._quarantined,
            "async": self._async,
            "sharding": lambda: _prefixed("sharding", self._of("container-sharder"), "stats"),
        }

    def answer(self, check: str, part: str | None = None) -> Any | None:
        """What `/recon/CHECK/PART` says; None where there is no such thing to be asked."""
        if part is None and check in self._checks:
            return self._checks[check]()
        if check == "replication" and part in (None, *PARTS):
            return self._replication(part or "object")
        if check == "auditor" and part in PARTS:
            return self._auditor(part)
        if check == "updater" and part in ("container", "object"):
            return self._updater(part)
        if check == "expirer" and part == "object":
            return self._expirer()
        if check == "reconstruction" and part == "object":
            walk = self._of("object-reconstructor")
            return {
                "object_reconstruction_last": walk and walk.ended,
                "object_reconstruction_time": walk and walk.seconds / 60,
            }
        return None

    def _of(self, name: str) -> Progress | None:
        """What all daemons of that kind came to, by the one that ended first; None where one has not ended yet."""
        found = [
            progress
            for each, progress in self._daemons.progress.items()
            if each == name or each.startswith(f"{name}-")
        ]
        if not found or not all(each.walks for each in found):
            return None
        counts: dict[str, int] = {}
        for each in found:
            for what, many in each.counts.items():
                counts[what] = counts.get(what, 0) + many
        return Progress(
            began=min(each.began for each in found),
            ended=min(each.ended for each in found),
            seconds=max(each.seconds for each in found),
            counts=counts,
        )

    def _replication(self, part: str) -> dict[str, Any]:
        walk = self._of(f"{part}-replicator")
        if walk is None and part == "account":
            walk = self._of("container-replicator")  # one walk over both
        said = _prefixed("replication", walk, "stats")
        if part == "object":
            said["object_replication_time"] = walk and walk.seconds / 60
            said["object_replication_last"] = walk and walk.ended
        return said

    def _auditor(self, part: str) -> dict[str, Any]:
        walk = self._of(f"{part}-auditor")
        if part == "object":
            said = walk and {
                "audit_time": walk.seconds,
                "bytes_processed": walk.counts.get("bytes", 0),
                "errors": walk.counts.get("errors", 0),
                "passes": walk.counts.get("passes", walk.counts.get("checked", 0)),
                "quarantined": walk.counts.get("quarantined", 0),
                "start_time": walk.began,
            }
            return {"object_auditor_stats_ALL": said, "object_auditor_stats_ZBF": None}
        return {
            f"{part}_audits_passed": walk and walk.counts.get("passes", 0),
            f"{part}_auditor_pass_completed": walk and walk.seconds,
            f"{part}_audits_since": walk and walk.began,
            f"{part}_audits_failed": walk and walk.counts.get("failures", 0),
        }

    def _updater(self, part: str) -> dict[str, Any]:
        walk = self._of(f"{part}-updater")
        said: dict[str, Any] = {f"{part}_updater_sweep": walk and walk.seconds}
        if part == "object":
            said |= {"object_updater_stats": walk and walk.counts, "object_updater_last": walk and walk.ended}
        return said

    def _expirer(self) -> dict[str, Any]:
        walk = self._of("object-expirer")
        return {
            "object_expiration_pass": walk and walk.seconds,
            "expired_last_pass": walk and walk.counts.get("expired", 0),
        }

    def _async(self) -> dict[str, Any]:
        walk = self._of("object-updater")
        return {
            "async_pending": walk and walk.counts.get("pending", 0),
            "async_pending_last": walk and walk.ended,
        }

    def _quarantined(self) -> dict[str, Any]:
        totals: dict[str, int] = dict.fromkeys(("accounts", "containers", "objects"), 0)
        policies: dict[str, dict[str, int]] = {"0": {"objects": 0}}
        for name, progress in self._daemons.progress.items():
            part, _, policy = name.partition("-auditor")
            if part not in PARTS or part == name:
                continue
            many = progress.totals.get("quarantined", 0)
            totals[f"{part}s"] += many
            if part == "object":
                policies.setdefault(policy.strip("-") or "0", {"objects": 0})["objects"] += many
        return {**totals, "policies": policies}

    def _names(self) -> list[str]:
        if self._devices is None:
            return []
        return sorted(
            each.name for each in self._devices.iterdir() if each.is_dir() and not each.name.startswith(".")
        )

    def _unmounted(self) -> list[dict[str, Any]]:
        """Devices that the system has on the same disk as the folder they are in."""
        return [
            {"device": name, "mounted": False}
            for name in self._names()
            if self._devices is not None and not os.path.ismount(self._devices / name)
        ]

    def _disk_usage(self) -> list[dict[str, Any]]:
        found = []
        for name in self._names():
            assert self._devices is not None
            disk = os.statvfs(self._devices / name)
            found.append(
                {
                    "device": name,
                    "mounted": True,
                    "size": disk.f_frsize * disk.f_blocks,
                    "used": disk.f_frsize * (disk.f_blocks - disk.f_bavail),
                    "avail": disk.f_frsize * disk.f_bavail,
                }
            )
        return found

    def _conf(self) -> dict[str, str | None]:
        """Of the file beside the rings that names are hashed with."""
        found: dict[str, str | None] = {}
        for folder in {file.parent for file in self._rings()}:
            file = folder / "swift.conf"
            digest = md5(file.read_bytes(), usedforsecurity=False).hexdigest() if file.exists() else None
            found[str(file)] = digest
        return found


def _prefixed(name: str, walk: Progress | None, counts: str) -> dict[str, Any]:
    return {
        f"{name}_time": walk and walk.seconds,
        f"{name}_{counts}": walk and walk.counts,
        f"{name}_last": walk and walk.ended,
    }


def _load() -> dict[str, Any]:
    one, five, fifteen, tasks, last = Path("/proc/loadavg").read_text().split()
    return {
        "1m": float(one),
        "5m": float(five),
        "15m": float(fifteen),
        "tasks": tasks,
        "processes": int(last),
    }


def _memory() -> dict[str, str]:
    lines = (line.partition(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return {name: value.strip() for name, _, value in lines}


def _mounted() -> list[dict[str, str]]:
    lines = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [{"device": each[0], "path": each[1]} for each in lines]


def _sockets() -> dict[str, int]:
    found: dict[str, int] = {}
    for file, name in (("sockstat", "TCP:"), ("sockstat6", "TCP6:")):
        path = Path("/proc/net") / file
        for line in path.read_text().splitlines() if path.exists() else ():
            kind, *words = line.split()
            if kind == name:
                values = dict(zip(words[::2], map(int, words[1::2]), strict=False))
                if name == "TCP6:":
                    found["tcp6_in_use"] = values["inuse"]
                else:
                    found["tcp_in_use"], found["orphan"] = values["inuse"], values["orphan"]
                    found["time_wait"] = values["tw"]
                    found["tcp_mem_allocated_bytes"] = values["mem"] * resource.getpagesize()
    return found
