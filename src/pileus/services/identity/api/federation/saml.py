"""Keystone to Keystone: assertions about our users for other clouds, and other clouds' assertions for us."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.answer import NOTHING, Media
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import BadRequest, Forbidden, NotFound, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.services.identity import resolve
from pileus.services.identity.federation.model import service_providers
from pileus.services.identity.saml import issuing, trust
from pileus.services.identity.saml import metadata as described
from pileus.services.identity.saml.names import etree
from pileus.services.identity.state import IdentityState, Meaning
from pileus.services.identity.store import project, user

routes = Routes()
_ACS = "/OS-FEDERATION/saml2/acs"
XML = Media("text/xml")
FAILURE_SECONDS = 0.1
"""When it is told that an encrypted assertion is not good: always after the same time, which tells nothing of why."""


class _Id(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class _Identity(msgspec.Struct, forbid_unknown_fields=True):
    token: _Id
    methods: list[str] = []


class _Scope(msgspec.Struct, forbid_unknown_fields=True):
    service_provider: _Id


class _Auth(msgspec.Struct, forbid_unknown_fields=True):
    identity: _Identity
    scope: _Scope


class AssertionRequest(msgspec.Struct):
    """The body of `POST /v3/auth/OS-FEDERATION/saml2`."""

    auth: _Auth


def _state(call: Call) -> IdentityState:
    state: IdentityState = call.runtime.state
    return state


def _entity_id(call: Call) -> str:
    return f"{call.base_url}/OS-FEDERATION/saml2/idp"


@routes.add("GET", "/OS-FEDERATION/saml2/metadata", policy=ANYONE, answers=XML)
async def metadata(call: Call) -> Reply:
    """What other clouds must know of this one to take its word."""
    etree()
    state, location = _state(call), f"{call.base_url}/OS-FEDERATION/saml2/sso"

    def written() -> Any:
        signing, taking = state.saml_signer.certificate, state.saml_pair.certificate
        return described.metadata(_entity_id(call), location, signing, call.base_url + _ACS, taking)

    return _xml(await asyncio.to_thread(written))


@routes.add("POST", "/auth/OS-FEDERATION/saml2", policy=ANYONE, body=AssertionRequest, answers=XML)
async def assertion(call: Call, body: AssertionRequest) -> Reply:
    """A signed assertion about the bearer of a token for a project, for another cloud."""
    provider, response = await _response(call, body)
    return _xml(response, provider)


@routes.add("POST", "/auth/OS-FEDERATION/saml2/ecp", policy=ANYONE, body=AssertionRequest, answers=XML)
async def ecp(call: Call, body: AssertionRequest) -> Reply:
    """The same in the envelope that a client carries to the other cloud."""
    provider, response = await _response(call, body)
    return _xml(issuing.enveloped(response, provider.relay_state_prefix + uuid4().hex), provider)


def _xml(root: Any, provider: Row[Any] | None = None) -> Reply:
    headers = {"content-type": "text/xml"}
    if provider is not None:
        headers.update({"x-sp-url": provider.sp_url, "x-auth-url": provider.auth_url})
    return Reply(200, etree().tostring(root, xml_declaration=True, encoding="UTF-8"), headers)


async def _response(call: Call, body: AssertionRequest) -> tuple[Row[Any], Any]:
    etree()
    state = _state(call)
    meaning = await state.meaning(body.auth.identity.token.id)
    if meaning.claims.scope != "project":
        raise Forbidden("Use a project scoped token when attempting to create a SAML assertion.")
    provider, subject = await state.db.read(_subject, body.auth.scope.service_provider.id, meaning)
    file = state.settings.saml_readers.get(provider.id)

    def written() -> Any:
        readers = described.certificates(Path(file), "SPSSODescriptor", "encryption")[1] if file else ()
        return state.saml_signer.response(_entity_id(call), provider.sp_url, subject, readers)

    return provider, await asyncio.to_thread(written)


def _subject(tx: Tx, provider_id: str, meaning: Meaning) -> tuple[Row[Any], issuing.Subject]:
    provider = rows.get(tx, service_providers, provider_id)
    if provider is None:
        raise NotFound(f"Could not find Service Provider: {provider_id}.")
    if not provider.enabled:
        raise Forbidden(f"Service Provider {provider_id} is disabled.")
    context, groups = meaning.context, []
    for row in user.groups_of(tx, meaning.claims.user_id):
        domain = project.get(tx, row.domain_id)
        named = {"name": row.name, "domain": {"name": "" if domain is None else domain.name}}
        groups.append("JSON:" + msgspec.json.encode(named).decode())
    return provider, issuing.Subject(
        user=context.user_name or "",
        user_domain=context.user_domain_name or "",
        roles=sorted(context.roles),
        project=context.project_name or "",
        project_domain=context.project_domain_name or "",
        groups=groups,
    )


@routes.add("POST", _ACS, policy=ANYONE, status=303, raw=True, answers=NOTHING)
async def consume(call: Call) -> Reply:
    """Takes another cloud's assertion; its bearer can come for a token then, within a minute."""
    state, now, began = _state(call), _state(call).clock.now(), time.monotonic()
    response = trust.response_in(await call.body())
    named = trust.issuer_of(response)
    idp_id, issuer = next(
        ((name, each) for name, each in state.saml.items() if each.entity_id == named), (None, None)
    )
    if idp_id is None or issuer is None:
        raise resolve.refuse(f"nobody trusts {named}")
    try:
        found = await asyncio.to_thread(
            trust.said, issuer, response, state.saml_pair, call.base_url + _ACS, now
        )
    except (Unauthorized, BadRequest) as error:
        if not trust.is_encrypted(response):
            raise
        await asyncio.sleep(began + FAILURE_SECONDS - time.monotonic())
        raise resolve.refuse("the encrypted assertion is not good") from error
    assertion_id, attributes, until = found
    await state.db.write(trust.use, issuer.entity_id, assertion_id, until)
    session = trust.Session(idp_id, attributes, now + trust.SESSION)
    secure = "; Secure" if call.root_url.startswith("https:") else ""
    cookie = (
        f"{trust.COOKIE}={trust.sealed(state.keys, session)}; Path={call.runtime.service.path}; "
        f"Max-Age={int(trust.SESSION.total_seconds())}; HttpOnly; SameSite=Lax{secure}"
    )
    protocol = issuer.settings.protocols[0] if issuer.settings.protocols else "saml2"
    location = f"{call.base_url}/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol}/auth"
    return Reply(303, b"", {"location": location, "set-cookie": cookie, "cache-control": "no-store"})
