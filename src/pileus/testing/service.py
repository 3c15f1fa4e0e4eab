"""One service on its own, for tests: its real API over a real database, no socket, no identity service.

async with serving(service, programs=[...]) as cloud:
    reply = await cloud.post("/v2.0/networks", {"network": {"name": "n"}}, as_=persona("project", "member"))
    assert reply.status == 201
    await cloud.settled()
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pileus.kernel.api.application import Application
from pileus.kernel.api.auth import Revision
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.api.service import Runtime, Service
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.context import Context
from pileus.kernel.db import Database
from pileus.kernel.errors import Unauthorized
from pileus.kernel.events import Events
from pileus.kernel.http.caller import AsgiPeer, PeerReply
from pileus.kernel.policy import Enforcer
from pileus.kernel.work import Engine, Program, Work
from pileus.testing.database import laid
from pileus.testing.described import Description
from pileus.testing.personas import persona

MEMBER = persona("project", "member")
ADMIN = persona("project", "admin")


def on_sqlite(folder: Path, clock: Clock) -> Database:
    return laid(f"sqlite:///{folder / 'pileus.db'}", clock)


new_database: Callable[[Path, Clock], Database] = on_sqlite
"""Where `serving` gets its database; a whole suite runs on another kind by setting this."""


class _Outside(AsgiPeer):
    """A client with a token, instead of a service that passes a context on."""

    def __init__(self, app: Application, token: str) -> None:
        super().__init__(app, "", {"x-auth-token": token})

    def _scope(self, *args: Any, **more: Any) -> dict[str, Any]:
        scope = super()._scope(*args, **more)
        del scope[CONTEXT_KEY]
        return scope


@cache
def _described(service: Service, version: str) -> Description:
    """The document that answers of a version are held to."""
    found = (each for each in (service.versions.history if service.versions else ()) if str(each) == version)
    return Description(service, next(found, None))


def hold_to_description(
    application: Application, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Fails where a good answer is none that the document of the path's service has."""
    version = headers.get("openstack-api-version", "").rpartition(" ")[2]
    for service in (each.service for each in application.runtimes if status < 400):
        described = _described(service, version)
        template = described.template(method, path)
        if template is not None:
            problems = described.problems(method, template, status, headers, body)
            assert not problems, f"{method} {path}: {problems}"


@dataclass
class ServiceUnderTest:
    """A service with its database and engine, and a client for it. Paths are absolute, as `/compute/v2.1/servers`."""

    runtime: Runtime
    application: Application
    engine: Engine | None

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        as_: Context = MEMBER,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> PeerReply:
        """`token`: the call comes from outside and is authenticated by it, not by `as_`."""
        path, _, inline = path.partition("?")
        if inline:
            from urllib.parse import parse_qs

            query = {**parse_qs(inline, keep_blank_values=True), **(query or {})}
        peer = AsgiPeer(self.application, "") if token is None else _Outside(self.application, token)
        reply = await peer.request(method, path, context=as_, body=body, query=query, headers=headers)
        hold_to_description(self.application, method, path, reply.status, reply.headers, reply.body)
        return reply

    async def get(self, path: str, **more: Any) -> PeerReply:
        return await self.request("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> PeerReply:
        return await self.request("POST", path, body, **more)

    async def put(self, path: str, body: Any = None, **more: Any) -> PeerReply:
        return await self.request("PUT", path, body, **more)

    async def patch(self, path: str, body: Any = None, **more: Any) -> PeerReply:
        return await self.request("PATCH", path, body, **more)

    async def delete(self, path: str, **more: Any) -> PeerReply:
        return await self.request("DELETE", path, **more)


@asynccontextmanager
async def serving(
    service: Service,
    *,
    programs: Callable[[Runtime], Sequence[Program]] | None = None,
    needs: Any = None,
    state: Any = None,
    clock: Clock | None = None,
    database_url: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[ServiceUnderTest]:
    """Runs `service` alone; `programs` makes its strands' programs from the runtime."""
    clock = clock or SystemClock()
    with tempfile.TemporaryDirectory(prefix="pileus-test-") as folder:
        db = laid(database_url, clock) if database_url else new_database(Path(folder), clock)
        work = Work()
        runtime = runtime_of(
            service,
            db,
            clock,
            work,
            revision=Revision(db.signal("tokens")),
            needs=needs,
            state=state,
            settings=settings or {},
        )
        engine = None
        if programs is not None:
            engine = Engine(db, clock, work, programs(runtime), node="test")
            await engine.start()
        try:
            yield ServiceUnderTest(runtime, Application([runtime], service.dialect), engine)
        finally:
            if engine is not None:
                await engine.stop(grace=1.0)
            await db.close()


def runtime_of(service: Service, db: Database, clock: Clock, work: Work, **more: Any) -> Runtime:
    """A service over a database, where no token is good."""
    return Runtime(
        service=service,
        db=db,
        clock=clock,
        enforcer=Enforcer(service.rules),
        authenticate=_no_tokens,
        work=work,
        events=Events(db, clock),
        **more,
    )


async def _no_tokens(token: str) -> Context:
    raise Unauthorized("this test knows no tokens")
