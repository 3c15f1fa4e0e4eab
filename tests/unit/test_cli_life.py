"""What the command line says: `doctor`, `status`, help, errors; and what `up` writes for clients."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pileus.app import Composer
from pileus.app.cloud import clouds_yaml, openrc
from pileus.app.examine import examine
from pileus.app.settings import Settings
from pileus.cli import COMMANDS, kept, make

PASSWORD = 'it\'s: #1 $HOME \\ "ü"'


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(make(Composer), list(words))
    return done.exit_code, done.output


def test_a_host_must_have_what_the_settings_ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    containers = {finding.name: finding for finding in examine(Settings(hypervisors=("runc",)), tmp_path)}
    assert containers["runc"].remedy == "apt install runc"
    assert not containers["runc"].ok
    assert {"conmon", "ovn-northd", "overlayfs"} < containers.keys()
    assert not {"qemu-system-x86_64", "qemu-img", "KVM"} & containers.keys()
    for settings in (Settings(sim=True), Settings(only=("identity", "object-store"))):
        assert [finding.name for finding in examine(settings, tmp_path)] == ["Python", "port 8900"]


def test_doctor_looks_at_what_this_state_folder_runs(tmp_path: Path) -> None:
    kept.keep(tmp_path, False, ("identity", "object-store"))
    status, said = run("doctor", "--state", str(tmp_path), "--listen", "127.0.0.1:0")
    assert status == 0
    assert "qemu" not in said
    assert f"can run here: `pileus up --only identity,object-store --state {tmp_path}`" in said
    status, said = run(
        "doctor", "--state", str(tmp_path), "--sim", "--only", "all", "--listen", "127.0.0.1:0"
    )
    assert f"A simulated cloud can run here: `pileus up --sim --state {tmp_path}`" in said


def test_status_tells_a_cloud_that_never_was_from_one_that_is_down(tmp_path: Path) -> None:
    status, said = run("status", "--state", str(tmp_path))
    assert (status, said) == (
        3,
        f"There is no cloud in {tmp_path} yet; `pileus up --state {tmp_path}` raises it.\n",
    )
    (tmp_path / "pileus.db").touch()
    assert run("status", "--state", str(tmp_path))[1].startswith(f"The cloud in {tmp_path} is down;")


def test_a_folder_of_somebody_else_s_and_one_that_can_t_be_are_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = run("up", "--sim", "--state", "/proc/cloud")
    assert (status, "can't be made" in said, "--state DIR" in said) == (1, True, True)
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    for command in ("up", "down", "status", "doctor"):
        status, said = run(command, "--state", str(tmp_path))
        assert (status, "belongs to another user" in said) == (1, True)


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999", ":80", "127.0.0.1:"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    status, said = run("doctor", "--sim", "--state", str(tmp_path), "--listen", listen)
    assert (status, "it must be ADDRESS:PORT" in said) == (1, True)


@pytest.mark.parametrize("words", [(), ("ring",), ("keys",), ("image",)], ids=" ".join)
def test_help_tells_what_each_command_is_for(words: tuple[str, ...]) -> None:
    status, said = run(*words, "--help")
    assert status == 0
    listed = said.partition("Commands:")[2]
    assert "..." not in listed
    if not words:
        assert [line.split()[0] for line in listed.splitlines() if line[2:3].strip()] == list(COMMANDS)


def test_clients_get_any_password_as_it_is(tmp_path: Path) -> None:
    settings = Settings(listen="127.0.0.1:1234")
    for entry in yaml.safe_load(clouds_yaml(settings, PASSWORD))["clouds"].values():
        assert entry["auth"]["password"] == PASSWORD
    assert yaml.safe_load(clouds_yaml(settings, "1234"))["clouds"]["pileus"]["auth"]["password"] == "1234"
    file = tmp_path / "openrc"
    file.write_text(openrc(settings, PASSWORD))
    said = subprocess.run(
        ["/bin/sh", "-c", f'. {file}; printf %s "$OS_AUTH_URL $OS_PASSWORD"'], capture_output=True, check=True
    )
    assert said.stdout.decode() == f"http://127.0.0.1:1234/identity/v3 {PASSWORD}"
