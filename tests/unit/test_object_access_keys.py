"""Access keys, asked of identity once and remembered until it says that something changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from pileus.kernel.api.auth import Revision
from pileus.kernel.context import Context
from pileus.kernel.errors import Unauthorized, Unavailable
from pileus.kernel.http.caller import PeerReply
from pileus.lib import aws_signature
from pileus.services.object_store.needs import IdentityKeys
from pileus.testing.clock import FakeClock

SECRET = "a secret"


class Identity:
    """Answers as identity's public API does; counts what it is asked."""

    def __init__(self) -> None:
        self.type = "ec2"
        self.blob = json.dumps({"access": "key", "secret": SECRET})
        self.refuses = 0
        self.asked: list[str] = []

    async def request(
        self, method: str, path: str, *, context: Context, body: Any = None, **more: Any
    ) -> PeerReply:
        self.asked.append(f"{method} {path}")
        assert context.is_admin
        if path == f"/credentials/{sha256(b'key').hexdigest()}":
            credential = {"type": self.type, "blob": self.blob}
            return PeerReply(200, {}, json.dumps({"credential": credential}).encode())
        if path != "/ec2tokens":
            return PeerReply(404, {}, b"")
        parts: Mapping[str, Any] = body["credentials"]
        wanted = {name: parts[name] for name in ("verb", "host", "path", "params")}
        assert aws_signature.matches(aws_signature.SignedRequest(**wanted), SECRET, parts["signature"])
        return PeerReply(self.refuses or 200, {"x-subject-token": "token"}, b"{}")

    def download(self, path: str, *, context: Context) -> Any:
        raise NotImplementedError


class Rig:
    def __init__(self) -> None:
        self.identity, self.revision, self.clock = Identity(), Revision(), FakeClock()
        self.context = Context(user_id="u", project_id="p", expires_at=self.clock.now() + timedelta(hours=1))
        self.keys = IdentityKeys(self.identity, self.authenticate, self.revision, self.clock)

    async def authenticate(self, token: str) -> Context:
        assert token == "token"
        if self.context.project_id is None:
            raise Unauthorized("gone")
        return self.context


async def test_a_key_is_asked_once_and_again_after_a_change() -> None:
    rig = Rig()
    found = await asyncio.gather(*(rig.keys.find("key") for _ in range(5)))
    assert all(each is not None and each.context is rig.context for each in found)
    assert len(rig.identity.asked) == 2, "many at once ask once"
    assert await rig.keys.find("key") is found[0]
    assert len(rig.identity.asked) == 2
    rig.revision.bump()
    again = await rig.keys.find("key")
    assert again is not found[0]
    assert len(rig.identity.asked) == 4
    await rig.clock.advance(3601)
    await rig.keys.find("key")
    assert len(rig.identity.asked) == 6, "what its owner may do is good for as long as a token is"


@pytest.mark.parametrize("change", ["type", "blob", "no secret", "refused", "no context"])
async def test_a_key_that_is_none(change: str) -> None:
    rig = Rig()
    match change:
        case "type":
            rig.identity.type = "totp"
        case "blob":
            rig.identity.blob = json.dumps({"access": "key", "secret": 5})
        case "no secret":
            rig.identity.blob = json.dumps({"access": "key"})
        case "refused":
            rig.identity.refuses = 401
        case "no context":
            rig.context = Context()
    assert await rig.keys.find("key") is None
    assert await rig.keys.find("another") is None


async def test_identity_is_away() -> None:
    rig = Rig()

    async def away(*_: Any, **__: Any) -> PeerReply:
        raise Unavailable("identity does not answer")

    rig.identity.request = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await rig.keys.find("key")
