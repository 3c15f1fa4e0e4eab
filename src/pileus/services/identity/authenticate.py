"""Getting a token: who is it, for what scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.passwords import verify_password
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import project, role, user
from pileus.services.identity.tokens import Claims, ScopeKind, new_audit_id, unseal


class DomainRef(msgspec.Struct):
    id: str | None = None
    name: str | None = None


class UserRef(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None
    password: str | None = None


class PasswordMethod(msgspec.Struct):
    user: UserRef


class TokenMethod(msgspec.Struct):
    id: str


class Identity(msgspec.Struct):
    methods: list[str]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class ProjectRef(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class Scope(msgspec.Struct):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: dict[str, bool] | None = None
    unscoped: dict[str, Any] | None = None


class Auth(msgspec.Struct):
    identity: Identity
    scope: Scope | str | None = None


class AuthRequest(msgspec.Struct):
    """The body of `POST /v3/auth/tokens`."""

    auth: Auth


@dataclass(frozen=True, slots=True)
class Proof:
    """Who it is, and by what means that is known."""

    user: Row[Any]
    methods: tuple[str, ...]
    expires_at: datetime | None = None
    """A token got by a token lives no longer than that."""
    audit_chain_id: str | None = None


async def authenticate(state: IdentityState, request: Auth) -> Claims:
    """The claims of the new token; Unauthorized where anything does not fit, in the same words for all."""
    wanted = _checked_scope(request.scope)
    proof = await _prove(state, request.identity)
    kind, scope_id = await state.db.read(_scope, proof.user, wanted)
    now = state.clock.now()
    audit_ids = (new_audit_id(),) if proof.audit_chain_id is None else (new_audit_id(), proof.audit_chain_id)
    return Claims(
        user_id=proof.user.id,
        methods=proof.methods,
        scope=kind,
        scope_id=scope_id,
        issued_at=now,
        expires_at=proof.expires_at or now + state.lifetime,
        audit_ids=audit_ids,
    )


async def _prove(state: IdentityState, identity: Identity) -> Proof:
    if not identity.methods:
        raise BadRequest("The body names no method of authentication.")
    proof: Proof | None = None
    for method in identity.methods:
        match method:
            case "password":
                if identity.password is None:
                    raise BadRequest("The method password needs a part of that name.")
                found = await _by_password(state, identity.password.user)
            case "token":
                if identity.token is None:
                    raise BadRequest("The method token needs a part of that name.")
                found = await _by_token(state, identity.token.id)
            case _:
                raise Unauthorized(f"The method of authentication {method!r} is not supported.")
        if proof is not None and proof.user.id != found.user.id:
            raise resolve.refuse("the methods name different users")
        methods = (*proof.methods, *found.methods) if proof is not None else found.methods
        proof = Proof(found.user, methods, found.expires_at, found.audit_chain_id)
    assert proof is not None
    return proof


async def _by_password(state: IdentityState, reference: UserRef) -> Proof:
    if reference.id is None and (reference.name is None or reference.domain is None):
        raise BadRequest("A user is named by its id, or by its name and domain.")
    if reference.password is None:
        raise BadRequest("The method password needs a password.")
    row = await state.db.read(_find_user, reference)
    good = await verify_password(reference.password, None if row is None else row.password_hash)
    if row is None or not good or not row.enabled:
        raise resolve.refuse("wrong user or password")
    if row.password_expires_at is not None and row.password_expires_at <= state.clock.now():
        raise Unauthorized(f"The password is expired and needs to be changed for user: {row.id}.")
    return Proof(row, ("password",))


async def _by_token(state: IdentityState, token: str) -> Proof:
    meaning = await state.meaning(token)
    claims = unseal(state.keys, token)
    assert claims is not None
    row = await state.db.read(user.get, meaning.claims.user_id)
    if row is None:
        raise resolve.refuse("the user is gone")
    methods = tuple(dict.fromkeys((*claims.methods, "token")))
    return Proof(row, methods, claims.expires_at, claims.audit_ids[-1])


def _find_user(tx: Tx, reference: UserRef) -> Row[Any] | None:
    if reference.id is not None:
        return user.get(tx, reference.id)
    domain = find_domain(tx, reference.domain)
    return None if domain is None or reference.name is None else user.by_name(tx, reference.name, domain.id)


def find_domain(tx: Tx, reference: DomainRef | None) -> Row[Any] | None:
    """By id or name; None where there is none."""
    if reference is None:
        return None
    if reference.id is not None:
        row = project.get(tx, reference.id)
        return row if row is not None and row.is_domain else None
    return None if reference.name is None else project.domain_by_name(tx, reference.name)


def _checked_scope(scope: Scope | str | None) -> Scope | None:
    """One scope or none; None leaves it to the user's default project."""
    if isinstance(scope, str):
        if scope != "unscoped":
            raise BadRequest(f"Unknown scope {scope!r}.")
        return Scope(unscoped={})
    if scope is None:
        return None
    named = [each for each in (scope.project, scope.domain, scope.system, scope.unscoped) if each is not None]
    if len(named) != 1:
        raise BadRequest("The scope must be exactly one of project, domain, system and unscoped.")
    if (
        scope.project is not None
        and scope.project.id is None
        and (scope.project.name is None or scope.project.domain is None)
    ):
        raise BadRequest("A project is named by its id, or by its name and domain.")
    return scope


def _scope(tx: Tx, person: Row[Any], wanted: Scope | None) -> tuple[ScopeKind, str | None]:
    if wanted is None:
        default = project.get(tx, person.default_project_id) if person.default_project_id else None
        if default is not None and default.enabled and role.effective(tx, person.id, "project", default):
            return "project", default.id
        return "unscoped", None
    if wanted.unscoped is not None:
        return "unscoped", None
    if wanted.system is not None:
        if wanted.system.get("all") is not True:
            raise BadRequest("The scope of the system is {'all': true}.")
        return "system", None
    if wanted.domain is not None:
        domain = find_domain(tx, wanted.domain)
        if domain is None:
            raise resolve.refuse("no such domain")
        return "domain", domain.id
    assert wanted.project is not None
    reference = wanted.project
    if reference.id is not None:
        found = project.get(tx, reference.id)
    else:
        domain = find_domain(tx, reference.domain)
        found = None if domain is None else project.by_name(tx, reference.name or "", domain.id)
    if found is None or found.is_domain:
        raise resolve.refuse("no such project")
    return "project", found.id
