#!/usr/bin/env python3
"""rclone keeps a tree of 20,000 small files in step with a bucket, there and back, against a whole simulated cloud.

bench/s3_sync.py [FILES]      needs rclone and python-openstackclient
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from hashlib import md5
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src"), str(HERE.parent / "tools")]

import environment  # noqa: E402 - the path comes first

environment.enter("httptools", "isal")

from harness import table  # noqa: E402
from harness.table import Row  # noqa: E402

from pileus.testing.cloud import Cloud, running_cloud  # noqa: E402

FILES = 20_000
FOLDERS = 100
QUICK = ("--transfers", "16", "--checkers", "16", "--fast-list")


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(each.relative_to(folder)): md5(each.read_bytes()).hexdigest()
        for each in folder.rglob("*")
        if each.is_file()
    }


def plant(tree: Path, files: int) -> None:
    for number in range(files):
        folder = tree / f"{number % FOLDERS:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(b"%d" % number * (number % 50))


def variables(cloud: Cloud, home: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "OS_CLIENT_CONFIG_FILE": str(cloud.state / "clouds.yaml"),
        "OS_CLOUD": "pileus",
    }
    command = ("openstack", "ec2", "credentials", "create", "-f", "json")
    key = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    return env | {
        "RCLONE_CONFIG_P_TYPE": "s3",
        "RCLONE_CONFIG_P_PROVIDER": "Other",
        "RCLONE_CONFIG_P_ACCESS_KEY_ID": key["access"],
        "RCLONE_CONFIG_P_SECRET_ACCESS_KEY": key["secret"],
        "RCLONE_CONFIG_P_ENDPOINT": cloud.base_url,
    }


def main() -> int:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as name:
        folder = Path(name)
        plant(folder / "tree", files)
        with running_cloud(folder) as cloud:
            env = variables(cloud, folder)
            rows = []
            for what, command in (
                ("sync to the bucket", ("sync", folder / "tree", "p:many")),
                ("check, by checksum", ("check", folder / "tree", "p:many")),
                ("sync again, nothing to do", ("sync", folder / "tree", "p:many")),
                ("sync from the bucket", ("sync", "p:many", folder / "back")),
            ):
                started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(("rclone", *command, *QUICK), env=env, check=True, capture_output=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                took = time.perf_counter() - started
                client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                rows.append(Row(f"{files} files, {what}", took, "s"))
                rows.append(Row("of which rclone's own CPU", client, "s"))
            assert checksums(folder / "back") == checksums(folder / "tree")
    table.show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
