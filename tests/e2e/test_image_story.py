"""The stock client, every `openstack image …` and `openstack cached image …`: what it does, and what it prints."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pileus.testing.cloud import running_cloud, until
from pileus.testing.stories import openstack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::Warning"),
]
STORES = '{file = {}, second = {weight = -1, description = "spare"}}'
Run = Callable[..., Any]


@pytest.fixture
def typed() -> set[str]:
    """The commands that were run."""
    return set()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: set[str]) -> Run:
    """`run("image list")` gives what is printed: JSON decoded where the command prints any."""

    def run(command: str, *more: str, status: int = 0) -> Any:
        typed.add(command)
        words = command.split()
        shows = words[-1] in ("list", "show", "create", "info", "get") or more[:1] == ("--json",)
        arguments = [word for word in more if word != "--json"]
        capfd.readouterr()
        ended = openstack([*words, *(["-f", "json"] if shows else []), *arguments])
        out, err = capfd.readouterr()
        assert ended == status, (command, more, out, err)
        return json.loads(out) if shows and not status else out + err

    return run


class Terminal(io.StringIO):
    """Nobody types anything; what is no terminal would be taken for an image's data."""

    def isatty(self) -> bool:
        return True


def test_every_command(tmp_path: Path, run: Run, typed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with running_cloud(tmp_path / "cloud", settings={"PILEUS_IMAGE__STORES": STORES}) as cloud:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.state / "clouds.yaml"))
        monkeypatch.setenv("OS_CLOUD", "pileus")
        monkeypatch.setattr("sys.stdin", Terminal())
        disk = tmp_path / "disk"
        disk.write_bytes(os.urandom(100_000))
        records(run, disk, tmp_path)
        imports(run, disk)
        sharing(run)
        cache(run)
        definitions(run, tmp_path)
    commands = {entry.name.replace("_", " ") for entry in entry_points(group="openstack.image.v2")}
    assert commands - typed == set()


def records(run: Run, disk: Path, folder: Path) -> None:
    made = run("image create", "--file", str(disk), "--property", "os_distro=none", "--tag", "blue", "one")
    assert made["status"] in ("saving", "active", "queued")
    shown = run("image show", "one")
    assert (shown["status"], shown["size"], shown["tags"]) == ("active", 100_000, ["blue"])
    assert [each["Name"] for each in run("image list", "--property", "os_distro=none")] == ["one"]
    assert run("image list", "--status", "queued") == []
    run("image set", "--name", "uno", "--property", "kind=odd", "--tag", "red", "--protected", "one")
    shown = run("image show", "uno")
    assert (shown["protected"], shown["properties"]["kind"], shown["tags"]) == (True, "odd", ["blue", "red"])
    assert "protected" in run("image delete", "uno", status=1)
    run("image set", "--unprotected", "--deactivate", "uno")
    assert run("image show", "uno")["status"] == "deactivated"
    run("image set", "--activate", "uno")
    run("image unset", "--property", "kind", "--tag", "red", "uno")
    assert "kind" not in run("image show", "uno")["properties"]
    run("image save", "--file", str(folder / "copy"), "uno")
    assert (folder / "copy").read_bytes() == disk.read_bytes()


def imports(run: Run, disk: Path) -> None:
    assert "glance-direct" in str(run("image import info"))
    stores = run("image stores list", "--json")
    assert [each["ID"] for each in stores] == ["file", "second"]
    assert "file" in str(run("image stores list", "--json", "--detail"))
    run("image create", "two")
    run("image stage", "--file", str(disk), "two")
    assert run("image show", "two")["status"] == "uploading"
    run("image import", "--method", "glance-direct", "--all-stores", "two")
    until(lambda: run("image show", "two")["status"] == "active", 60, "the import")
    run("image import", "uno", "--method", "copy-image", "--store", "second")
    until(lambda: run("image show", "uno")["properties"]["stores"] == "file,second", 60, "the copy")
    tasks = run("image task list")
    assert {each["Status"] for each in tasks} <= {"success", "processing"}
    assert run("image task show", tasks[0]["ID"])["type"] == "api_image_import"
    run("image delete", "--store", "file", "two")
    assert run("image show", "two")["properties"]["stores"] == "second"


def sharing(run: Run) -> None:
    project = run("project create", "others")["id"]
    run("image set", "--shared", "two")
    run("image add project", "two", "others")
    assert [each["Member ID"] for each in run("image member list", "two")] == [project]
    assert run("image member get", "two", project)["status"] == "pending"
    run("image set", "--project", "others", "--accept", "two")
    assert run("image member get", "two", project)["status"] == "accepted"
    run("image remove project", "two", "others")
    assert run("image member list", "two") == []
    run("image delete", "two")


def cache(run: Run) -> None:
    image_id = run("image show", "uno")["id"]
    run("cached image queue", "uno")
    until(lambda: "cached" in str(run("cached image list")), 60, "the copy")
    assert image_id in str(run("cached image list"))
    run("cached image delete", "uno")
    run("cached image queue", "uno")
    run("cached image clear")
    assert run("cached image list") == []
    run("image delete", "uno")


def definitions(run: Run, folder: Path) -> None:
    assert "OS::OperatingSystem" in str(run("image metadef namespace list"))
    run("image metadef namespace create", "--display-name", "Things", "--public", "Ours")
    run("image metadef namespace set", "--display-name", "Our things", "--protected", "Ours")
    assert run("image metadef namespace show", "Ours")["display_name"] == "Our things"
    run("image metadef namespace set", "--unprotected", "--tag", "odd", "--tag", "even", "Ours")
    run("image metadef namespace unset", "--tag", "odd", "Ours")
    assert [each["name"] for each in run("image metadef namespace show", "Ours")["tags"]] == ["even"]
    run("image metadef object create", "--namespace", "Ours", "box")
    assert "box" in str(run("image metadef object list", "Ours"))
    assert run("image metadef object show", "Ours", "box")["name"] == "box"
    run("image metadef object update", "Ours", "box", "--name", "crate")
    run("image metadef object delete", "Ours", "crate")
    schema = '{"minimum": 1}'
    more = ("--name", "size", "--title", "Size", "--type", "integer", "--schema", schema)
    run("image metadef property create", *more, "Ours")
    assert run("image metadef property show", "Ours", "size")["title"] == "Size"
    run("image metadef property set", "--title", "How big", "Ours", "size")
    assert "How big" in str(run("image metadef property list", "Ours"))
    run("image metadef property delete", "Ours", "size")
    webserver = ("OS::Software::WebServers", "Apache HTTP Server", "sw_webserver_apache_version")
    assert run("image metadef object property show", *webserver)["type"] == "string"
    assert "OS::Nova::Flavor" in str(run("image metadef resource type list"))
    run("image metadef resource type association create", "Ours", "OS::Nova::Flavor")
    assert "OS::Nova::Flavor" in str(run("image metadef resource type association list", "Ours"))
    run("image metadef resource type association delete", "Ours", "OS::Nova::Flavor")
    run("image metadef namespace delete", "Ours")
    assert "Ours" not in str(run("image metadef namespace list"))
