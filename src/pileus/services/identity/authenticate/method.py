"""What a method of authentication is, and what it yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.services.identity.state import IdentityState
from pileus.services.identity.tokens import ScopeKind


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody asks for a token."""

    state: IdentityState
    call: Call
    """For methods that look at the request itself: signatures, certificates, what a web server says."""


@dataclass(frozen=True, slots=True)
class FoundScope:
    """What a token is for; `id` is that of a project or domain."""

    kind: ScopeKind
    id: str | None = None
    trust: Row[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who it is, and by what means that is known."""

    user: Row[Any]
    methods: tuple[str, ...]
    expires_at: datetime | None = None
    """A token lives no longer than what it was got by."""
    audit_chain_id: str | None = None
    scope: FoundScope | None = None
    """The only scope that this proof is good for."""
    held_scope: ScopeKind | None = None
    """The scope of the token by which it was proven."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """More of a token's claims by name: what it was got by, when that limits what it may do."""


class Method(Protocol):
    """One way to prove who one is."""

    name: str
    """As the body's `methods` calls it, and its part of the body."""
    part: Any
    """The type that its part of the body decodes to."""

    async def prove(self, attempt: Attempt, part: Any) -> Proof:
        """Raises Unauthorized (`resolve.refuse`) where nothing is proven, BadRequest where the part makes no sense."""
