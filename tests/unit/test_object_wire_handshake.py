"""Who may speak to storage servers: the key, and the proof that one has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.drivers.object.wire.handshake import (
    MAGIC,
    VERSION,
    Handshake,
    HandshakeError,
    KeyFileError,
    read_key,
)
from tests.object_orchard import KEY


@given(st.lists(st.binary(max_size=50), max_size=6), st.booleans())
def test_no_rubbish_passes_for_a_handshake(parts: list[bytes], is_server: bool) -> None:
    handshake = Handshake(KEY, server=is_server)
    said = handshake.begin()
    with contextlib.suppress(HandshakeError):
        for part in parts:
            said += handshake.feed(part)[0]
    assert not handshake.done
    assert KEY not in said


@given(st.integers(0, 70))
def test_a_handshake_in_any_pieces(cut: int) -> None:
    client, server = Handshake(KEY, server=False), Handshake(KEY, server=True)
    to_server, to_client = client.begin(), b""
    while to_server or to_client:
        pieces = (to_server[:cut], to_server[cut:])
        to_client += b"".join(server.feed(piece)[0] for piece in pieces if piece)
        pieces, to_client = (to_client[:cut], to_client[cut:]), b""
        to_server = b"".join(client.feed(piece)[0] for piece in pieces if piece)
    assert client.done
    assert server.done


def test_an_answer_can_not_be_turned_back_or_used_again() -> None:
    first, victim = Handshake(KEY, server=False), Handshake(KEY, server=True)
    hello, _ = victim.feed(first.begin())
    proof, _ = first.feed(hello)
    with pytest.raises(HandshakeError, match="key"):
        first.feed(proof)  # its own, sent back
    second = Handshake(KEY, server=True)
    second.feed(first.begin())
    with pytest.raises(HandshakeError, match="key"):
        second.feed(proof)


def test_another_version_is_told() -> None:
    with pytest.raises(HandshakeError, match=f"version 9 of the protocol, this one {VERSION}"):
        Handshake(KEY, server=True).feed(MAGIC + b"\0\x09" + bytes(32))


@pytest.fixture
def key_file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "key"
    file.write_text(KEY.hex() + "\n")
    file.chmod(0o600)
    return file


def test_the_key_is_read_from_a_private_file(key_file: Path, tmp_path: Path) -> None:
    assert read_key(key_file) == KEY
    key_file.chmod(0o640)
    with pytest.raises(KeyFileError, match=f"chmod 600 {key_file}"):
        read_key(key_file)
    key_file.chmod(0o600)
    for text in ("", "zz" * 32, "00" * 31, "é"):
        key_file.write_text(text)
        with pytest.raises(KeyFileError):
            read_key(key_file)
    with pytest.raises(KeyFileError, match="pileus keys cluster"):
        read_key(tmp_path / "none")
