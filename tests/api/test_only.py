"""`pileus up --only`: some services, without the others and what these need of the host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from pileus.app import Composer, services
from pileus.app.settings import Settings
from pileus.cli import make
from pileus.kernel.config import ConfigError
from pileus.services.object_store.settings import Settings as ObjectStoreSettings
from pileus.services.object_store.temp_auth import TempAuthSettings, User
from pileus.testing.cloud import Cloud, free_port


def chosen(*only: str) -> tuple[str, ...]:
    return services.chosen(Settings(only=only))


def test_what_is_chosen_must_have_what_it_needs() -> None:
    assert chosen() == tuple(services.SERVICES)
    assert chosen("object-store", "identity") == ("identity", "object-store")
    for only, hint in (
        (("object-store",), "--only identity,object-store"),
        (("compute", "identity"), "--only identity,image,placement,network,compute"),
        (("identity", "swift"), "there is no service 'swift'; there are identity, image"),
    ):
        with pytest.raises(ConfigError, match=hint):
            chosen(*only)
    said = CliRunner().invoke(
        make(Composer), ["up", "--only", "swift", "--foreground", "--state", "/nowhere"]
    )
    assert said.exit_code == 1
    assert "there are identity" in said.output


@pytest.mark.slow
def test_only_what_runs_is_imported() -> None:
    program = """
import pkgutil, sys
from pileus.app import Composer, services
from pileus.app.parts import PARTS
services.load("identity", "object-store")
pkgutil.resolve_name(PARTS["object-store"])
print(*(name for name in sys.modules if name.count(".") == 3))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    imported = {tuple(name.split(".")[1:]) for name in done.stdout.split() if name.startswith("pileus.")}
    assert not {noun for floor, noun, _ in imported if floor == "drivers"} - {"object"}
    services_of = {noun for _, noun, file in imported if file in ("service", "api", "model", "store", "work")}
    assert services_of >= {"identity", "object_store"}
    assert not services_of & {"compute", "image", "network", "placement"}


@pytest.mark.slow
def test_an_object_store_alone_needs_no_root_and_stays_alone(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "state", sim=False, port=free_port())
    cloud.settings["PILEUS_NETWORK__EXTERNAL_CIDRS"] = "[]"
    try:
        for words in (("--only", "object-store,identity"), ()):
            cloud.pileus("up", *words)
            connection = cloud.connect()
            assert {each.type for each in connection.identity.services()} == {
                "identity",
                "object-store",
                "s3",
            }
            connection.object_store.create_container("photos")
            connection.object_store.upload_object("photos", "cat", data=b"meow")
            assert connection.object_store.download_object("cat", "photos") == b"meow"
            swift = f". {cloud.state}/openrc && {Path(sys.executable).parent / 'swift'} list photos"
            assert subprocess.check_output(["/bin/sh", "-c", swift]) == b"cat\n"
            cloud.down()
        assert not (tmp_path / "state" / "hypervisor").exists()
        assert not (tmp_path / "state" / "network").exists()
    finally:
        cloud.purge()


@pytest.mark.slow
def test_an_object_store_with_users_of_its_own_needs_no_identity(tmp_path: Path) -> None:
    users = {"lab:olga": User(key="k", groups=(".admin",))}
    alone = Settings(
        only=("object-store",), object_store=ObjectStoreSettings(tempauth=TempAuthSettings(users=users))
    )
    assert services.chosen(alone) == ("object-store",)
    cloud = Cloud(tmp_path / "state", sim=True, port=free_port())
    cloud.settings["PILEUS_OBJECT_STORE__TEMPAUTH__USERS"] = '{"lab:olga" = {key = "k", groups = [".admin"]}}'
    try:
        cloud.pileus("up", "--only", "object-store", "--listen", f"127.0.0.1:{cloud.port}")
        with httpx.Client(base_url=cloud.base_url) as client:
            login = client.get("/auth/v1.0", headers={"X-Auth-User": "lab:olga", "X-Auth-Key": "k"})
            known = {"X-Auth-Token": login.headers["x-auth-token"]}
            assert client.put("/v1/AUTH_lab/c", headers=known).status_code == 201
            assert client.put("/v1/AUTH_lab/c/o", content=b"meow", headers=known).status_code == 201
            assert client.get(login.headers["x-storage-url"] + "/c/o", headers=known).content == b"meow"
            assert client.get("/v1/AUTH_lab/c/o").status_code == 401
            assert client.get("/identity/v3").status_code == 404
        cloud.down()
    finally:
        cloud.purge()
