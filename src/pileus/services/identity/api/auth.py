"""Tokens: get one, look at one, void one; what one may be exchanged for."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE, AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import Forbidden, NotFound, Unauthorized
from pileus.kernel.http.reply import JSON, Reply
from pileus.services.identity.api.domain import Domain
from pileus.services.identity.api.project import Project
from pileus.services.identity.authenticate import AuthRequest, authenticate, receipt
from pileus.services.identity.authenticate.method import Attempt
from pileus.services.identity.state import IdentityState, Meaning
from pileus.services.identity.store import project, role, user
from pileus.services.identity.tokens import Claims, seal_receipt

routes = Routes()


class Named(msgspec.Struct):
    id: str
    name: str


class ProjectOfToken(Named):
    domain: Named


class Token(msgspec.Struct):
    """What a token says: its scope, which is at most one of project, domain and system, and how it was got."""

    methods: list[str]
    user: dict[str, Any]
    audit_ids: list[str]
    expires_at: str
    issued_at: str
    project: ProjectOfToken | UnsetType = UNSET
    is_domain: bool | UnsetType = UNSET
    domain: Named | UnsetType = UNSET
    system: dict[str, bool] | UnsetType = UNSET
    roles: list[Named] | UnsetType = UNSET
    catalog: list[dict[str, Any]] | UnsetType = UNSET
    service_providers: list[dict[str, str]] | UnsetType = UNSET
    application_credential: dict[str, Any] | UnsetType = UNSET
    trust: dict[str, Any] | UnsetType = msgspec.field(name="OS-TRUST:trust", default=UNSET)
    access_token: dict[str, str] | UnsetType = msgspec.field(name="OS-OAUTH1", default=UNSET)
    oauth2_credential: dict[str, str] | UnsetType = UNSET


class TokenAnswer(msgspec.Struct):
    token: Token


class CatalogAnswer(msgspec.Struct):
    catalog: list[dict[str, Any]]
    links: dict[str, Any]


class SystemAnswer(msgspec.Struct):
    system: list[dict[str, bool]]
    links: dict[str, Any]


SUBJECT = "x-subject-token"


def _state(call: Call) -> IdentityState:
    state: IdentityState = call.runtime.state
    return state


@routes.add("POST", "/auth/tokens", policy=ANYONE, status=201, body=AuthRequest, answers=TokenAnswer)
async def issue(call: Call, body: AuthRequest) -> Reply:
    """A token for who proves to be somebody, for the scope wanted."""
    try:
        return await issued(call, await authenticate(Attempt(_state(call), call), body.auth))
    except receipt.MoreNeeded as more:
        return await _receipt(call, more)


async def _receipt(call: Call, more: receipt.MoreNeeded) -> Reply:
    """401 with a receipt for what has been proven: with it and the methods that are missing, there is a token."""
    state, time = _state(call), call.runtime.service.dialect.time
    home = await call.runtime.db.read(project.get, more.user.domain_id)
    assert home is not None
    given = receipt.issue(state, more)
    shown = {
        "methods": list(more.methods),
        "user": {
            "id": more.user.id,
            "name": more.user.name,
            "domain": {"id": home.id, "name": home.name},
        },
        "expires_at": time(given.expires_at),
        "issued_at": time(given.issued_at),
    }
    headers = {receipt.HEADER: seal_receipt(state.keys, given)}
    return Reply.json({"receipt": shown, "required_auth_methods": more.rules}, 401, headers)


async def issued(call: Call, claims: Claims) -> Reply:
    """The answer with a new token; 401 where the claims mean nothing, for want of a role on the scope."""
    state = _state(call)
    token = state.tokens.seal(claims)
    reply = _shown(call, await state.meaning(token, claims), token)
    reply.status = 201
    return reply


@routes.add("GET", "/auth/tokens", policy=AUTHENTICATED, answers=TokenAnswer)
async def validate(call: Call) -> Reply:
    """What a token means."""
    token, meaning = await _subject(call)
    call.enforce("identity:validate_token", _target(meaning))
    return _shown(call, meaning, token)


@routes.add("HEAD", "/auth/tokens", policy=AUTHENTICATED)
async def check(call: Call) -> Reply:
    """Whether a token is valid."""
    token, meaning = await _subject(call)
    call.enforce("identity:check_token", _target(meaning))
    return _shown(call, meaning, token)


@routes.add("DELETE", "/auth/tokens", policy=AUTHENTICATED, status=204)
async def revoke(call: Call) -> None:
    """Voids a token."""
    _, meaning = await _subject(call)
    call.enforce("identity:revoke_token", _target(meaning))
    await call.runtime.db.write(_revoke, call, meaning)


def _revoke(tx: Tx, call: Call, meaning: Meaning) -> None:
    user.revoke(tx, audit_id=meaning.claims.audit_ids[0])
    user.forget_revocations(tx, tx.now - 2 * _state(call).lifetime)
    call.runtime.revision.move(tx)


async def _subject(call: Call) -> tuple[str, Meaning]:
    token = call.header(SUBJECT)
    if not token:
        raise NotFound("The request has no X-Subject-Token.")
    try:
        return token, await _state(call).meaning(token)
    except (Unauthorized, Forbidden) as error:
        raise NotFound("Could not find token: it is not valid, or no longer.") from error


def _target(meaning: Meaning) -> dict[str, Any]:
    return {
        "target.token.user_id": meaning.claims.user_id,
        "target.token.user.domain.id": meaning.domain_id,
    }


def _shown(call: Call, meaning: Meaning, token: str) -> Reply:
    body = meaning.without_catalog if "nocatalog" in call.query else meaning.full
    return Reply(200, body, {"content-type": JSON, SUBJECT: token, "vary": "X-Auth-Token"})


@routes.add("GET", "/auth/catalog", policy="identity:get_auth_catalog", answers=CatalogAnswer)
async def show_catalog(call: Call) -> dict[str, Any]:
    """The catalog for the token's scope."""
    book, project_id = await _state(call).book(), call.context.project_id
    found = await call.runtime.db.read(book.catalog_for, project_id)
    shown = msgspec.Raw(found.json(project_id))
    return {"catalog": shown, "links": {"self": f"{call.base_url}/auth/catalog"}}


@routes.add("GET", "/auth/projects", policy="identity:get_auth_projects", answers=[Project])
def auth_projects(call: Call, tx: Tx) -> dict[str, Any]:
    """The projects that the bearer could have a token for."""
    show = Project.view(call)
    rows = role.projects_of(tx, call.context.user_id or "", call.context.group_ids)
    return {"projects": [show(row) for row in rows], "links": _links(call, "projects")}


@routes.add("GET", "/auth/domains", policy="identity:get_auth_domains", answers=[Domain])
def auth_domains(call: Call, tx: Tx) -> dict[str, Any]:
    """The domains that the bearer could have a token for."""
    show = Domain.view(call)
    rows = role.domains_of(tx, call.context.user_id or "", call.context.group_ids)
    return {"domains": [show(row) for row in rows], "links": _links(call, "domains")}


@routes.add("GET", "/auth/system", policy="identity:get_auth_system", answers=SystemAnswer)
def auth_system(call: Call, tx: Tx) -> dict[str, Any]:
    """Whether the bearer could have a token for the system."""
    found = role.effective(tx, call.context.user_id or "", "system", None, call.context.group_ids)
    return {"system": [{"all": True}] if found else [], "links": _links(call, "system")}


def _links(call: Call, noun: str) -> dict[str, Any]:
    return {"self": f"{call.base_url}/auth/{noun}", "previous": None, "next": None}
