"""S3's stock clients, unmodified, against a cloud: `aws`, `s3cmd` and `rclone`, with keys made by `openstack`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pileus.testing.cloud import Cloud, running_cloud

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.timeout(400)]
MIB = 1024 * 1024


class Shell:
    """Commands with the environment that the user's page says."""

    def __init__(self, cloud: Cloud, home: Path) -> None:
        self.home = home
        self.host = cloud.base_url.removeprefix("http://")
        self.env = {
            # Nothing of the machine's own AWS settings: rclone 1.60 does not start with AWS_CA_BUNDLE.
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "OS_AUTH_URL": f"{cloud.base_url}/identity/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": (cloud.state / "admin-password").read_text().strip(),
            "OS_PROJECT_NAME": "admin",
            "OS_DEFAULT_DOMAIN": "default",
            "OS_IDENTITY_API_VERSION": "3",
        }
        self.key = json.loads(self("openstack", "ec2", "credentials", "create", "-f", "json"))
        self.env |= {
            "AWS_ACCESS_KEY_ID": self.key["access"],
            "AWS_SECRET_ACCESS_KEY": self.key["secret"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": cloud.base_url,
            "RCLONE_CONFIG_PILEUS_TYPE": "s3",
            "RCLONE_CONFIG_PILEUS_PROVIDER": "Other",
            "RCLONE_CONFIG_PILEUS_ENV_AUTH": "true",
            "RCLONE_CONFIG_PILEUS_ENDPOINT": cloud.base_url,
        }
        (home / ".s3cfg").write_text(
            f"[default]\naccess_key = {self.key['access']}\nsecret_key = {self.key['secret']}\n"
            f"host_base = {self.host}\nhost_bucket = {self.host}\nuse_https = False\n"
        )

    def __call__(self, *command: str | Path, fails: bool = False) -> str:
        done = subprocess.run(
            command, env=self.env, cwd=self.home, capture_output=True, text=True, timeout=110, check=False
        )
        assert (done.returncode != 0) == fails, f"{command}: {done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with running_cloud(tmp_path_factory.mktemp("s3")) as cloud:
        yield Shell(cloud, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names that want encoding, an empty file, and one that comes in parts."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "sub dir").mkdir()
    for number in range(5):
        (tree / "sub dir" / f"f {number} ü+&.txt").write_text("x" * number)
    (tree / "big").write_bytes(os.urandom(17 * MIB))
    return tree


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_aws(shell: Shell, tree: Path, tmp_path: Path) -> None:
    shell("aws", "s3", "mb", "s3://by-aws")
    shell("aws", "s3", "sync", "--no-progress", tree, "s3://by-aws/tree")
    assert shell("aws", "s3", "ls", "--recursive", "s3://by-aws").count("tree/") == 6
    assert shell("aws", "s3", "sync", "--no-progress", tree, "s3://by-aws/tree") == ""
    shell("aws", "s3", "sync", "--no-progress", "s3://by-aws/tree", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree)
    shell("aws", "s3", "cp", "--no-progress", "s3://by-aws/tree/big", "s3://by-aws/copy")
    url = shell("aws", "s3", "presign", "s3://by-aws/copy").strip()
    assert httpx.get(url, timeout=60).content == (tree / "big").read_bytes()
    assert "BucketNotEmpty" in shell("aws", "s3", "rb", "s3://by-aws", fails=True)
    # The same objects through OpenStack's own client.
    assert "copy" in shell("openstack", "object", "list", "by-aws", "-f", "value").splitlines()
    shell("aws", "s3", "rb", "--force", "s3://by-aws")
    assert "by-aws" not in shell("openstack", "container", "list", "-f", "value")


def test_aws_sends_files_of_all_sizes_over_one_connection(shell: Shell, tmp_path: Path) -> None:
    """An answer to an empty file without `100 Continue` before it once spoiled the answer to the file that came next."""
    for number in range(30):
        (tmp_path / f"{number} empty").touch()
        (tmp_path / f"{number} full").write_bytes(b"x" * (9 * MIB if number % 10 == 0 else 1))
    shell("aws", "s3", "mb", "s3://all-sizes")
    # What fails is not tried again, so that it shows.
    once = ("env", "AWS_MAX_ATTEMPTS=1", "aws", "--cli-read-timeout", "10", "s3")
    shell(*once, "sync", "--no-progress", tmp_path, "s3://all-sizes")
    assert len(shell("aws", "s3", "ls", "s3://all-sizes").splitlines()) == 60
    shell("aws", "s3", "rb", "--force", "s3://all-sizes")


def test_s3cmd(shell: Shell, tree: Path, tmp_path: Path) -> None:
    shell("s3cmd", "mb", "s3://by-s3cmd")
    shell("s3cmd", "sync", f"{tree}/", "s3://by-s3cmd/tree/")
    assert shell("s3cmd", "ls", "-r", "s3://by-s3cmd").count("tree/") == 6
    assert "upload" not in shell("s3cmd", "sync", f"{tree}/", "s3://by-s3cmd/tree/")
    shell("s3cmd", "sync", "s3://by-s3cmd/tree/", f"{tmp_path}/back/")
    assert contents(tmp_path / "back") == contents(tree)
    assert "17825792" in shell("s3cmd", "info", "s3://by-s3cmd/tree/big")
    shell("s3cmd", "cp", "s3://by-s3cmd/tree/big", "s3://by-s3cmd/copy")
    url = shell("s3cmd", "signurl", "s3://by-s3cmd/copy", "+60").strip()
    assert httpx.get(url, timeout=60).content == (tree / "big").read_bytes()
    assert "copy" in shell("s3cmd", "--signature-v2", "ls", "s3://by-s3cmd")
    shell("s3cmd", "del", "--recursive", "--force", "s3://by-s3cmd")
    shell("s3cmd", "rb", "s3://by-s3cmd")


def test_rclone(shell: Shell, tree: Path, tmp_path: Path) -> None:
    parts = ("--s3-chunk-size", "5M", "--s3-upload-cutoff", "6M")
    shell("rclone", "sync", *parts, tree, "pileus:by-rclone/tree")
    shell("rclone", "check", "--download", tree, "pileus:by-rclone/tree")
    assert shell("rclone", "lsf", "-R", "--files-only", "pileus:by-rclone").count("tree/") == 6
    shell("rclone", "sync", "pileus:by-rclone/tree", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree)
    shell("rclone", "copyto", "pileus:by-rclone/tree/big", "pileus:by-rclone/copy")
    assert httpx.get(shell("rclone", "link", "pileus:by-rclone/copy").strip(), timeout=60).status_code == 200
    shell("rclone", "purge", "pileus:by-rclone")
    assert "by-rclone" not in shell("rclone", "lsd", "pileus:")


def test_a_key_that_is_taken_back(shell: Shell) -> None:
    """The secret is remembered, and forgotten with the key."""
    second = json.loads(shell("openstack", "ec2", "credentials", "create", "-f", "json"))
    keys = {"AWS_ACCESS_KEY_ID": second["access"], "AWS_SECRET_ACCESS_KEY": second["secret"]}
    shell.env, before = {**shell.env, **keys}, shell.env
    try:
        shell("aws", "s3", "ls")
        shell("openstack", "ec2", "credentials", "delete", second["access"])
        assert "InvalidAccessKeyId" in shell("aws", "s3", "ls", fails=True)
    finally:
        shell.env = before
