"""Identity on its own for tests: its first rows, tokens by the ways that clients have, a clock that can be moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

from pileus.kernel.clock import SystemClock
from pileus.kernel.context import Context
from pileus.kernel.http.caller import PeerReply
from pileus.services.identity import bootstrap
from pileus.services.identity.keys import KeyFolder
from pileus.services.identity.passwords import Passwords
from pileus.services.identity.service import service
from pileus.services.identity.settings import Settings
from pileus.services.identity.state import IdentityState
from pileus.testing.service import ADMIN, ServiceUnderTest, serving

V3 = "/identity/v3"
ADMIN_PASSWORD = "admin-password"
ADMIN_PROJECT = {"project": {"name": "admin", "domain": {"name": "Default"}}}
_HASH_COST = 4
"""Tests log in by the thousand."""
_HASH = Passwords(_HASH_COST).hash_now(ADMIN_PASSWORD)


class Shifted(SystemClock):
    """The machine's time, moved."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


@asynccontextmanager
async def serving_identity(folder: Path, settings: Settings | None = None) -> AsyncIterator[ServiceUnderTest]:
    """Identity with domain Default, user and project admin, and a catalog of one service; its clock is a `Shifted`."""
    async with serving(service, clock=Shifted()) as running:
        runtime = running.runtime
        keys = KeyFolder(folder / "keys")
        state = IdentityState(
            runtime.db,
            keys,
            runtime.clock,
            runtime.revision,
            structs.replace(settings or Settings(), password_hash_cost=_HASH_COST),
            KeyFolder(folder / "credential-keys"),
        )
        runtime.state, runtime.authenticate = state, state.context
        await runtime.db.write(bootstrap.lay, _HASH)
        entries = [bootstrap.CatalogEntry("compute", "nova", "http://c/$(project_id)s")]
        await runtime.db.write(bootstrap.publish, "RegionOne", entries)
        yield running


def by_password(name: str, password: str, **scope: Any) -> dict[str, Any]:
    """The body of a request for a token; `scope` as in the body."""
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    return {"auth": {**auth, "scope": scope} if scope else auth}


async def token_for(
    cloud: ServiceUnderTest, name: str = "admin", password: str = ADMIN_PASSWORD, **scope: Any
) -> PeerReply:
    return await cloud.post(f"{V3}/auth/tokens", by_password(name, password, **scope))


async def make(cloud: ServiceUnderTest, noun: str, **values: Any) -> dict[str, Any]:
    """A new resource, made by an administrator."""
    reply = await cloud.post(f"{V3}/{noun}s", {noun: values}, as_=ADMIN)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()[noun]
    return made


async def role_id(cloud: ServiceUnderTest, name: str) -> str:
    found: str = (await cloud.get(f"{V3}/roles?name={name}", as_=ADMIN)).json()["roles"][0]["id"]
    return found


@dataclass(frozen=True)
class Somebody:
    """A user with the role member on a project of its own, and a token for it."""

    user: dict[str, Any]
    project: dict[str, Any]
    token: str
    context: Context

    @property
    def id(self) -> str:
        return str(self.user["id"])

    @property
    def path(self) -> str:
        return f"{V3}/users/{self.id}"


async def somebody(
    cloud: ServiceUnderTest, name: str, role: str = "member", project: dict[str, Any] | None = None
) -> Somebody:
    """`name`'s password is `NAME-password`."""
    user = await make(cloud, "user", name=name, password=f"{name}-password")
    project = project or await make(cloud, "project", name=f"{name}-project")
    grant = f"{V3}/projects/{project['id']}/users/{user['id']}/roles/{await role_id(cloud, role)}"
    assert (await cloud.put(grant, as_=ADMIN)).status == 204
    reply = await token_for(cloud, name, f"{name}-password", project={"id": project["id"]})
    assert reply.status == 201, reply.body
    token = reply.headers["x-subject-token"]
    return Somebody(user, project, token, await cloud.runtime.state.context(token))


async def shown_token(cloud: ServiceUnderTest, token: str) -> PeerReply:
    """What an administrator is told of a token."""
    return await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)


async def authenticated(cloud: ServiceUnderTest, scope: Any = None, **methods: Any) -> PeerReply:
    """An attempt to get a token by these methods, each with its part of the body."""
    auth: dict[str, Any] = {"identity": {"methods": list(methods), **methods}}
    if scope is not None:
        auth["scope"] = scope
    return await cloud.post(f"{V3}/auth/tokens", {"auth": auth}, as_=Context())
