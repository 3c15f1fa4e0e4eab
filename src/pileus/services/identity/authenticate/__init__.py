"""Getting a token: who is it, for what scope.

A method of authentication is a file of this folder and an entry in `METHODS`: it says to what its part of the body
decodes, and proves by it who somebody is. What follows from that (scope, life, claims) is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from pileus.kernel.api.bodies import decode_as
from pileus.kernel.errors import BadRequest, Forbidden, Unauthorized
from pileus.services.identity import resolve
from pileus.services.identity.authenticate import receipt, scope
from pileus.services.identity.authenticate.application_credential import ApplicationCredentialMethod
from pileus.services.identity.authenticate.external import ExternalMethod
from pileus.services.identity.authenticate.mapped import MappedMethod
from pileus.services.identity.authenticate.method import Attempt, Method, Proof
from pileus.services.identity.authenticate.oauth1 import Oauth1Method
from pileus.services.identity.authenticate.password import PasswordMethod
from pileus.services.identity.authenticate.scope import Scope
from pileus.services.identity.authenticate.token import TokenMethod
from pileus.services.identity.authenticate.totp import TotpMethod
from pileus.services.identity.dialect import KEYSTONE
from pileus.services.identity.login import note_activity
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import trust
from pileus.services.identity.tokens import Claims, new_audit_id

_METHODS: tuple[Method, ...] = (
    PasswordMethod(),
    TokenMethod(),
    ApplicationCredentialMethod(),
    TotpMethod(),
    Oauth1Method(),
    ExternalMethod("external"),
    ExternalMethod("kerberos"),
    *(MappedMethod(name) for name in ("mapped", "openid", "saml2")),
)
METHODS: Mapping[str, Method] = {each.name: each for each in _METHODS}


class Auth(msgspec.Struct):
    identity: dict[str, msgspec.Raw]
    """`methods`, and a part for each of them by its name."""
    scope: Scope | str | None = None


class AuthRequest(msgspec.Struct):
    """The body of `POST /v3/auth/tokens`."""

    auth: Auth


async def authenticate(attempt: Attempt, request: Auth) -> Claims:
    """The claims of the new token; Unauthorized where anything does not fit, in the same words for all.

    Raises receipt.MoreNeeded where all is well so far, but the user's rules ask for more methods.
    """
    wanted = scope.checked(request.scope)
    proof = await _prove(attempt, request.identity)
    methods = receipt.check(attempt, proof, _known(attempt.state))
    return await admit(attempt, replace(proof, methods=methods), wanted)


def _known(state: IdentityState) -> frozenset[str]:
    """The methods that this cloud has."""
    off = frozenset() if state.settings.external.variant is not None else frozenset({"external", "kerberos"})
    return frozenset(METHODS) - off


async def admit(attempt: Attempt, proof: Proof, wanted: Scope | None) -> Claims:
    """The claims of a token for who has been proven, in the scope wanted."""
    state = attempt.state
    await note_activity(state, proof.user)
    found = await state.db.read(scope.find, proof, wanted, await state.book())
    now = state.clock.now()
    audit_ids = (new_audit_id(),) if proof.audit_chain_id is None else (new_audit_id(), proof.audit_chain_id)
    ends = (
        now + state.lifetime,
        proof.expires_at,
        found.trust.expires_at if found.trust is not None else None,
    )
    limits = dict(proof.claims)
    if found.trust is not None:
        limits["trust_id"] = found.trust.id
    claims = Claims(
        user_id=proof.user.id,
        methods=proof.methods,
        scope=found.kind,
        scope_id=found.id,
        issued_at=now,
        expires_at=min(each for each in ends if each is not None),
        audit_ids=audit_ids,
        **limits,
    )
    if found.trust is not None and found.trust.remaining_uses is not None:
        await _use_trust(state, claims, found.trust.id)
    return claims


async def _use_trust(state: IdentityState, claims: Claims, trust_id: str) -> None:
    """Only a token that means something takes a use of the trust away."""
    await state.db.read(resolve.standing, claims, await state.book())
    if not await state.db.write(trust.consume, trust_id):
        raise Forbidden(f"No remaining uses for trust: {trust_id}.")


async def _prove(attempt: Attempt, identity: Mapping[str, msgspec.Raw]) -> Proof:
    methods = decode_as(list[str], KEYSTONE, bytes(identity.get("methods", b"null")))
    if not methods and "external" in _known(attempt.state):
        return await METHODS["external"].prove(attempt, None)
    if not methods:
        raise BadRequest("The body names no method of authentication.")
    proof: Proof | None = None
    for name in dict.fromkeys(methods):
        method = METHODS.get(name)
        if method is None:
            raise Unauthorized(f"The method of authentication {name!r} is not supported.")
        raw = identity.get(name)
        if raw is None:
            raise BadRequest(f"The method {name} needs a part of that name.")
        found = await method.prove(attempt, decode_as(method.part, KEYSTONE, bytes(raw)))
        proof = found if proof is None else _both(proof, found)
    assert proof is not None
    return proof


def _both(one: Proof, other: Proof) -> Proof:
    if one.user.id != other.user.id:
        raise resolve.refuse("the methods name different users")
    ends = [each for each in (one.expires_at, other.expires_at) if each is not None]
    return Proof(
        user=one.user,
        methods=tuple(dict.fromkeys((*one.methods, *other.methods))),
        expires_at=min(ends, default=None),
        audit_chain_id=one.audit_chain_id or other.audit_chain_id,
        scope=one.scope or other.scope,
        held_scope=one.held_scope or other.held_scope,
        claims={**one.claims, **other.claims},
    )
