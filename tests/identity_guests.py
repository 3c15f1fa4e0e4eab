"""Users of another identity provider: how it comes to be trusted, and how they come."""

from __future__ import annotations

from typing import Any

from pileus.testing.identity import V3
from pileus.testing.service import ADMIN, ServiceUnderTest

OS = f"{V3}/OS-FEDERATION"
AUTH = f"{OS}/identity_providers/acme/protocols/openid/auth"
RULES = [{"remote": [{"type": "sub"}], "local": [{"user": {"name": "{0}"}}]}]


async def trust(cloud: ServiceUnderTest, rules: Any = RULES, version: str = "1.0", **provider: Any) -> None:
    """The identity provider acme with the protocol openid and these rules."""
    for path, body in (
        ("mappings/rules", {"mapping": {"rules": rules, "schema_version": version}}),
        ("identity_providers/acme", {"identity_provider": {"enabled": True, **provider}}),
        ("identity_providers/acme/protocols/openid", {"protocol": {"mapping_id": "rules"}}),
    ):
        reply = await cloud.put(f"{OS}/{path}", body, as_=ADMIN)
        assert reply.status == 201, reply.body


async def come(cloud: ServiceUnderTest, token: str, path: str = AUTH) -> Any:
    return await cloud.post(path, headers={"authorization": f"Bearer {token}"})


async def rescoped(cloud: ServiceUnderTest, token: str, **scope: Any) -> Any:
    identity = {"methods": ["token"], "token": {"id": token}}
    return await cloud.post(f"{V3}/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
