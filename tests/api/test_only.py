"""`pileus up --only`: some services, without the others and what these need of the host."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pileus.app import Composer, services
from pileus.app.settings import Settings
from pileus.cli import make
from pileus.kernel.config import ConfigError
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
            cloud.down()
        assert not (tmp_path / "state" / "hypervisor").exists()
        assert not (tmp_path / "state" / "network").exists()
    finally:
        cloud.purge()
