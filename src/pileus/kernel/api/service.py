"""A service: what it offers, and the runtime that its handlers reach."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pileus.kernel.api.auth import Authenticate, Revision
from pileus.kernel.api.dialect import Dialect
from pileus.kernel.api.operation import Kind, Operation
from pileus.kernel.api.quota import Quotas
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.versions import Versions
from pileus.kernel.clock import Clock
from pileus.kernel.db import Database
from pileus.kernel.events import Events
from pileus.kernel.http.front_proxy import FrontProxy
from pileus.kernel.policy import Enforcer, Rule
from pileus.kernel.work import Work

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call
    from pileus.kernel.http.reply import Reply

Handler = Callable[..., Any]


class Routes:
    """Operations that belong to no resource: statistics, discovery, odd corners."""

    def __init__(self, *, root: bool = False, base: str | None = None) -> None:
        self.operations: list[Operation] = []
        self.root = root
        """Whether paths start at the service's root (`/compute`), not at its versioned path."""
        self.base = base
        """Where paths start, if at neither: Swift's `/info` stands beside `/v1`."""

    def add(
        self, method: str, path: str, *, policy: str, status: int = 200, body: Any = None, **more: Any
    ) -> Callable[[Handler], Handler]:
        """Declares one; handlers are `(call, tx)`, or `(call)` where async, and the body where it has a type."""

        def declare(handler: Handler) -> Handler:
            self.operations.append(
                Operation(
                    kind=Kind.ROUTE,
                    method=method,
                    path=path,
                    policy=policy,
                    status=status,
                    handler=handler,
                    body=body,
                    writes=more.pop("writes", method not in ("GET", "HEAD")),
                    **more,
                )
            )
            return handler

        return declare


@dataclass(kw_only=True, eq=False)
class Service:
    type: str
    """As in the service types authority: `compute`."""
    name: str
    """As in a catalog: `nova`."""
    root: str
    """Where its discovery document is: `/compute`."""
    path: str
    """Where its API begins: `/compute/v2.1`."""
    dialect: Dialect
    resources: Sequence[builtins.type[Resource]] = ()
    routes: Sequence[Routes] = ()
    rules: Sequence[Rule] = ()
    versions: builtins.type[Versions] | None = None
    quotas: Quotas | None = None
    aliases: tuple[str, ...] = ()
    """More types that the catalog lists it under: `volumev3`."""
    catalog_path: str | None = None
    """What the catalog says, if not `path`; may hold `$(project_id)s`."""
    listed: bool = True
    """Whether the catalog has it."""
    around: Callable[[Call, Callable[[Call], Awaitable[Reply]]], Awaitable[Reply]] | None = None
    """Runs each call by calling what it is handed; where something is to be seen to before or after all operations."""
    claims: Callable[[Runtime, Mapping[str, Any]], str | None] | None = None
    """From an ASGI scope to the path below the service's own, of a request that is this service's though its path is
    not: S3's are told by their signature. None: it is not."""
    arriving: Callable[[Runtime, Mapping[str, Any]], Awaitable[None] | None] | None = None
    """Of each request's ASGI scope, before anybody claims it: what is to be awaited first; None: nothing."""
    project_in_path: bool = False
    """Whether `/v2.1/{project_id}/servers` is served too."""

    def operations(self) -> Iterator[tuple[str, Operation]]:
        """All of them, with the path at which each is served."""
        for resource in self.resources:
            for operation in resource.operations:
                yield self.path + operation.path, operation
        for routes in self.routes:
            for operation in routes.operations:
                base = self.root if routes.root else self.path
                yield (base if routes.base is None else routes.base) + operation.path, operation


@dataclass(kw_only=True, eq=False)
class Runtime:
    """A service brought to life: what handlers reach through `call.runtime`."""

    service: Service
    db: Database
    clock: Clock
    enforcer: Enforcer
    authenticate: Authenticate
    work: Work
    events: Events
    revision: Revision = field(default_factory=Revision)
    public_url: str | None = None
    """Scheme and host that clients use, where it is not the request's own."""
    front_proxy: FrontProxy = field(default_factory=FrontProxy)
    """Whom to believe what it says about clients."""
    needs: Any = None
    """The service's `needs`, bound to other services."""
    state: Any = None
    """What the service itself keeps in memory: keys, stores."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    served: Sequence[Service] = ()
    """All services that one application serves, this one among them; the application says so."""
