"""An operation: one method on one path in a range of versions, who may do it, and what does it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from pileus.kernel.api.answer import Answer
from pileus.kernel.api.query import Param
from pileus.kernel.api.versions import Version

if TYPE_CHECKING:
    from pileus.kernel.api.resource import Resource

ANYONE = "@anyone"
"""No token needed: discovery, getting a token."""
AUTHENTICATED = "@authenticated"
"""Any valid token will do, or the handler decides by what it finds."""


class Kind(Enum):
    """What an operation does with its resource, hence what its handler is given."""

    LIST = "list"
    """`(call, tx)`"""
    SHOW = "show"
    """`(call, tx, row)`"""
    CREATE = "create"
    """`(call, tx, body)`"""
    UPDATE = "update"
    """`(call, tx, row, body)`"""
    DELETE = "delete"
    """`(call, tx, row)`"""
    ACTION = "action"
    """`(call, tx, row, body)`; one of several behind one path, told apart by the body's only name."""
    ROUTE = "route"
    """`(call, tx)` or `(call, tx, body)`; no resource of its own."""

    @property
    def has_row(self) -> bool:
        return self in _WITH_ROW

    @property
    def writes(self) -> bool:
        return self in _WRITES


_WITH_ROW = frozenset({Kind.SHOW, Kind.UPDATE, Kind.DELETE, Kind.ACTION})
_WRITES = frozenset({Kind.CREATE, Kind.UPDATE, Kind.DELETE, Kind.ACTION})


@dataclass(kw_only=True, eq=False)
class Operation:
    kind: Kind
    method: str
    path: str
    """Below the service's path, as `/servers/{id}`."""
    policy: str
    status: int
    handler: Callable[..., Any]
    """A plain function runs within a transaction; an `async` one gets no `tx` and sees to its own."""
    resource: type[Resource] | None = None
    body: Any = None
    """The type that the body decodes to, where it isn't made from the resource's fields."""
    action: str | None = None
    target: Callable[[Any, Any], Mapping[str, Any]] | None = None
    """`(call, body)` to what policy rules see, where there is no row to see yet."""
    quota: Mapping[str, int | Callable[[Any], int]] | None = None
    query: Sequence[Param] | None = None
    """All parameters that it takes; None leaves them to the handler, and to the resource's filters."""
    since: Version | None = None
    until: Version | None = None
    view: str = "full"
    writes: bool = False
    answers: Answer = None
    """What the answer shows, where neither the handler's return type says it nor it is the operation's own resource."""
    also: Mapping[int, Answer] = field(default_factory=dict)
    """What it shows with other statuses than the usual one."""
    existence_first: bool = False
    """What is not there is a 404 also for who may not do this, where the dialect has it the other way round."""
    secret: bool = False
    """The answer shows a secret: it is kept nowhere, not even to be repeated for an idempotency key."""
    raw: bool = False
    """The handler reads the body itself, as a stream."""
    prepare: Callable[[Any], Awaitable[None]] | None = None
    """`(call)`: asks others, before the transaction, what a handler inside of it must know (`call.gathered`)."""

    def __post_init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.handler)
        self.label = f"{self.method} {self.path}" + (f" {self.action}" if self.action else "")
        """`POST /servers/{id}/action os-start`, for metrics and golden files."""
        self.takes_body = self.kind is Kind.ACTION or (
            not self.raw and (self.body is not None or self.kind in (Kind.CREATE, Kind.UPDATE))
        )
        """Whether the kernel reads and decodes one for it."""
        self.summary = (inspect.getdoc(self.handler) or "").partition("\n\n")[0].replace("\n", " ")

    def alive(self, version: Version | None) -> bool:
        """Whether clients of this version know the operation."""
        if version is None:
            return True
        return (self.since is None or version >= self.since) and (self.until is None or version <= self.until)
