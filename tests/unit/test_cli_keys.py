"""`pileus keys rotate`: what was sealed before stays good."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from pileus.app import Composer
from pileus.cli import make
from pileus.services.identity.jws import JwsKeys
from pileus.services.identity.keys import KeyFolder


def rotate(state: Path, *options: str) -> Result:
    return CliRunner().invoke(make(Composer), ["keys", "rotate", "--state", str(state), *options])


def test_a_running_cloud_goes_on_with_new_keys(tmp_path: Path) -> None:
    tokens, credentials = (
        KeyFolder(tmp_path / "identity/fernet-keys"),
        KeyFolder(tmp_path / "identity/credential-keys"),
    )
    signing = JwsKeys(tmp_path / "identity/jws-keys")
    sealed, kept, signed = tokens.encrypt(b"t"), credentials.encrypt(b"c"), signing.sign(b"j")
    assert rotate(tmp_path).exit_code == 0
    assert tokens.decrypt(sealed) == b"t"
    assert tokens.decrypt(tokens.encrypt(b"new")) == b"new"
    assert signing.verify(signed) == b"j"
    for _ in range(5):
        assert rotate(tmp_path).exit_code == 0
        assert rotate(tmp_path, "--credentials").exit_code == 0
    assert tokens.decrypt(sealed) is None
    assert credentials.decrypt(kept) == b"c"


def test_where_no_cloud_is(tmp_path: Path) -> None:
    said = rotate(tmp_path)
    assert said.exit_code == 1
    assert "pileus up" in said.output
    assert list(tmp_path.iterdir()) == []
