"""What is left of a user's roles in a token that was got by something the user handed out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from pileus.kernel.context import AccessRule
from pileus.kernel.db import Tx
from pileus.kernel.errors import Forbidden, Unauthorized
from pileus.services.identity.domain import closure
from pileus.services.identity.model import NO_DOMAIN
from pileus.services.identity.store import application_credential, oauth, project, role, trust, user
from pileus.services.identity.tokens import Claims


@dataclass(frozen=True, slots=True)
class Delegation:
    """`roles` are those that are left. `shown`: what the token's body says of it, by name."""

    roles: list[Row[Any]]
    shown: dict[str, Any]
    user: Row[Any] | None = None
    """Who acts, where that is not who got the token: the trustor that is impersonated."""
    others: tuple[str, ...] = ()
    """More users whose revoked tokens take this one along."""
    access_rules: tuple[AccessRule, ...] | None = None


def refuse(why: str) -> Unauthorized:
    """A 401 that tells the client nothing about what is there; `why` is for the log and the cause chain."""
    error = Unauthorized("The request you have made requires authentication.")
    error.add_note(why)
    return error


def find(tx: Tx, claims: Claims, target: Row[Any] | None, roles: role.RoleBook) -> Delegation | None:
    """None where the token was got by who it is for. Unauthorized or Forbidden where what it was got by is void."""
    if claims.trust_id is not None:
        return _by_trust(tx, claims, target, roles)
    if claims.application_credential_id is not None:
        return _by_application_credential(tx, claims, target, roles)
    if claims.access_token_id is not None:
        return _by_access_token(tx, claims, target, roles)
    return None


def _by_trust(tx: Tx, claims: Claims, target: Row[Any] | None, known: role.RoleBook) -> Delegation:
    found = trust.get(tx, claims.trust_id)
    if found is None or trust.is_over(found, tx.now):
        raise refuse(f"trust {claims.trust_id} is gone or has expired")
    if found.trustee_user_id != claims.user_id:
        raise Forbidden("The user is not the trustee.")
    chain = trust.chain(tx, found)
    for each in chain:
        if trust.is_over(each, tx.now):
            raise refuse(f"trust {each.id}, by which {found.id} was made, has expired")
        for person_id in (each.trustor_user_id, each.trustee_user_id):
            if not _is_enabled(tx, person_id):
                raise Forbidden(
                    "One of the users of the trust, or of those it was made by, is disabled or gone."
                )
    root = chain[-1]
    trustor = user.get(tx, found.trustor_user_id)
    held = [] if target is None else role.effective(tx, root.trustor_user_id, "project", target, roles=known)
    roles = _granted(known, found.role_ids, held)
    if roles is None:
        raise Forbidden("The trustee has no delegated roles: the trustor has lost one that it delegated.")
    shown = {
        "OS-TRUST:trust": {
            "id": found.id,
            "trustor_user": {"id": found.trustor_user_id},
            "trustee_user": {"id": found.trustee_user_id},
            "impersonation": found.impersonation,
        }
    }
    return Delegation(roles, shown, trustor if found.impersonation else None, (found.trustor_user_id,))


def _is_enabled(tx: Tx, user_id: str) -> bool:
    person = user.get(tx, user_id)
    if person is None or not person.enabled:
        return False
    home = project.get(tx, person.domain_id)
    return home is not None and bool(home.enabled)


def _by_application_credential(
    tx: Tx, claims: Claims, target: Row[Any] | None, known: role.RoleBook
) -> Delegation:
    found = application_credential.get(tx, claims.application_credential_id)
    if found is None or found.user_id != claims.user_id or application_credential.is_over(found, tx.now):
        raise refuse(f"application credential {claims.application_credential_id} is gone or has expired")
    held = role.effective(tx, claims.user_id, "project", target, roles=known)
    rules = application_credential.rules_of(tx, found)
    shown: dict[str, Any] = {"id": found.id, "name": found.name, "restricted": not found.unrestricted}
    if rules is not None:
        shown["access_rules"] = [
            {"id": each.id, "service": each.service, "path": each.path, "method": each.method}
            for each in rules
        ]
    return Delegation(
        [each for each in held if each.id in found.role_ids],
        {"application_credential": shown},
        access_rules=None
        if rules is None
        else tuple(AccessRule(each.service, each.method, each.path) for each in rules),
    )


def _by_access_token(tx: Tx, claims: Claims, target: Row[Any] | None, known: role.RoleBook) -> Delegation:
    found = oauth.get_access_token(tx, claims.access_token_id)
    if found is None or oauth.is_over(found, tx.now) or found.authorizing_user_id != claims.user_id:
        raise refuse(f"access token {claims.access_token_id} is gone or has expired")
    held = role.effective(tx, claims.user_id, "project", target, roles=known)
    granted = closure(found.role_ids, known.implied)
    shown = {"OS-OAUTH1": {"access_token_id": found.id, "consumer_id": found.consumer_id}}
    return Delegation([each for each in held if each.id in granted], shown)


def _granted(book: role.RoleBook, role_ids: Iterable[str], held: list[Row[Any]]) -> list[Row[Any]] | None:
    """The roles and what they imply; None where one of them is held no more. Roles of a domain are not shown."""
    wanted = [
        each
        for each in closure(role_ids, book.implied)
        if each in book.known and book.known[each].domain_key == NO_DOMAIN
    ]
    by_id = {each.id: each for each in held}
    if any(each not in by_id for each in wanted):
        return None
    return sorted((by_id[each] for each in wanted), key=lambda row: str(row.name))
