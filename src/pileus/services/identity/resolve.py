"""What a token means at this moment: its user, its scope, the roles there. Functions of a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from pileus.kernel.context import Context
from pileus.kernel.db import Tx, rows
from pileus.kernel.http.reply import encode_json
from pileus.services.identity.delegation import Delegation, refuse
from pileus.services.identity.delegation import find as find_delegation
from pileus.services.identity.federation import shadow
from pileus.services.identity.federation.model import identity_providers
from pileus.services.identity.store import role, user
from pileus.services.identity.store.book import Book
from pileus.services.identity.tokens import Claims, Federated

__all__ = ["Standing", "bodies", "context", "is_delegated", "refuse", "roles_of_user", "standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A user (the one impersonated, where that is so) in a scope. `target`: project or domain; None: system or no scope."""

    claims: Claims
    user: Row[Any]
    user_domain: Row[Any]
    target: Row[Any] | None
    target_domain: Row[Any] | None
    roles: list[Row[Any]]
    catalog: bytes | None
    """As JSON; None without a scope."""
    service_providers: list[dict[str, str]]
    good_until: datetime
    """When to look again, since something that the roles come from ends."""
    delegation: Delegation | None


def standing(tx: Tx, claims: Claims, book: Book) -> Standing:
    """Looks everything up; Unauthorized where user, scope or domains are disabled or gone, or no role is left.

    Forbidden where a trust is good, but not for this user or no longer for these roles.
    """
    person = user.get(tx, claims.user_id)
    if person is None or not person.enabled:
        raise refuse(f"user {claims.user_id} is gone or disabled")
    home = book.project(tx, person.domain_id)
    if home is None or not home.enabled:
        raise refuse(f"domain {person.domain_id} of the user is disabled")
    _check_provider(tx, claims.federated)
    target = target_domain = None
    roles: list[Row[Any]] = []
    if claims.scope in ("project", "domain"):
        target = book.project(tx, claims.scope_id)
        if target is None or not target.enabled or target.is_domain is not (claims.scope == "domain"):
            raise refuse(f"{claims.scope} {claims.scope_id} is gone or disabled")
        if target.is_domain or target.domain_id != home.id:
            target_domain = target if target.is_domain else book.project(tx, target.domain_id)
        else:
            target_domain = home
        if target_domain is None or not target_domain.enabled:
            raise refuse(f"the domain of {claims.scope} {claims.scope_id} is disabled")
    delegation = find_delegation(tx, claims, target, book.roles)
    if claims.scope != "unscoped":
        roles = (
            delegation.roles
            if delegation is not None
            else roles_of_user(tx, person.id, claims.scope, target, claims.federated, book.roles)
        )
        if not roles:
            raise refuse(f"user {person.id} has no role on {claims.scope} {claims.scope_id}")
    for user_id in (person.id, *(delegation.others if delegation is not None else ())):
        if user.is_revoked(
            tx,
            claims.issued_at,
            user_id=user_id,
            project_id=claims.scope_id if claims.scope == "project" else None,
            domain_id=person.domain_id,
            audit_id=claims.audit_ids[0],
            audit_chain_id=claims.audit_ids[-1],
        ):
            raise refuse("the token has been revoked")
    project_id = claims.scope_id if claims.scope == "project" else None
    catalog = None if claims.scope == "unscoped" else book.catalog_for(tx, project_id).json(project_id)
    ends = shadow.first_end(tx, person.id)
    if delegation is not None and delegation.user is not None:
        person = delegation.user
        impersonated_home = book.project(tx, person.domain_id)
        assert impersonated_home is not None  # it was found to be enabled
        home = impersonated_home
    return Standing(
        claims,
        person,
        home,
        target,
        target_domain,
        roles,
        catalog,
        book.service_providers,
        claims.expires_at if ends is None else min(ends, claims.expires_at),
        delegation,
    )


def _check_provider(tx: Tx, federated: Federated | None) -> None:
    """Whom no identity provider vouches for any more has no standing here."""
    if federated is None:
        return
    provider = rows.get(tx, identity_providers, federated.identity_provider_id)
    if provider is None or not provider.enabled:
        raise refuse(f"identity provider {federated.identity_provider_id} is gone or disabled")


def roles_of_user(
    tx: Tx,
    user_id: str,
    kind: str,
    target: Row[Any] | None,
    federated: Federated | None,
    book: role.RoleBook | None = None,
) -> list[Row[Any]]:
    """The effective roles, those of the groups included that a user is in by federation for as long as a token lives."""
    group_ids = federated.group_ids if federated is not None else ()
    return role.effective(tx, user_id, kind, target, group_ids, book)


def is_delegated(claims: Claims) -> bool:
    """Whether the token was got by what a user handed out, or by the access key of an EC2 credential."""
    handed_out = (
        claims.trust_id or claims.application_credential_id or claims.access_token_id or claims.thumbprint
    )
    return bool(handed_out) or "ec2credential" in claims.methods


def context(found: Standing) -> Context:
    """As handlers of every service see it."""
    claims, target, target_domain = found.claims, found.target, found.target_domain
    in_project = claims.scope == "project" and target is not None and target_domain is not None
    in_domain = claims.scope == "domain" and target is not None
    return Context(
        user_id=found.user.id,
        user_name=found.user.name,
        user_domain_id=found.user_domain.id,
        user_domain_name=found.user_domain.name,
        project_id=target.id if in_project and target else None,
        project_name=target.name if in_project and target else None,
        project_domain_id=target_domain.id if in_project and target_domain else None,
        project_domain_name=target_domain.name if in_project and target_domain else None,
        domain_id=target.id if in_domain and target else None,
        domain_name=target.name if in_domain and target else None,
        system_scope="all" if claims.scope == "system" else None,
        roles=frozenset(row.name for row in found.roles),
        expires_at=found.good_until,
        audit_ids=claims.audit_ids,
        group_ids=claims.federated.group_ids if claims.federated is not None else (),
        trust_id=claims.trust_id,
        application_credential_id=claims.application_credential_id,
        access_token_id=claims.access_token_id,
        certificate_thumbprint=claims.thumbprint,
        is_delegated=is_delegated(claims),
        access_rules=found.delegation.access_rules if found.delegation is not None else None,
    )


def bodies(found: Standing) -> tuple[bytes, bytes]:
    """The token as the API shows it, with and without the catalog, as JSON."""
    without = encode_json({"token": _body(found)})
    if found.catalog is None:
        return without, without
    return b'%b,"catalog":%b}}' % (without[:-2], found.catalog), without


def _body(found: Standing) -> dict[str, Any]:
    """Without the catalog (Identity API v3, "Authentication and token management")."""
    from pileus.services.identity.dialect import KEYSTONE

    time, claims = KEYSTONE.time, found.claims
    expires = found.user.password_expires_at
    token: dict[str, Any] = {
        "methods": list(claims.methods),
        "user": {
            "id": found.user.id,
            "name": found.user.name,
            "domain": {"id": found.user_domain.id, "name": found.user_domain.name},
            "password_expires_at": None if expires is None else time(expires),
        },
        "audit_ids": list(claims.audit_ids),
        "expires_at": time(claims.expires_at),
        "issued_at": time(claims.issued_at),
    }
    if found.service_providers:
        token["service_providers"] = found.service_providers
    if claims.federated is not None:
        del token["user"]["password_expires_at"]
        token["user"]["OS-FEDERATION"] = {
            "groups": [{"id": each} for each in claims.federated.group_ids],
            "identity_provider": {"id": claims.federated.identity_provider_id},
            "protocol": {"id": claims.federated.protocol_id},
        }
    if claims.scope == "project" and found.target is not None and found.target_domain is not None:
        domain = {"id": found.target_domain.id, "name": found.target_domain.name}
        token["project"] = {"id": found.target.id, "name": found.target.name, "domain": domain}
        token["is_domain"] = False
    elif claims.scope == "domain" and found.target is not None:
        token["domain"] = {"id": found.target.id, "name": found.target.name}
    elif claims.scope == "system":
        token["system"] = {"all": True}
    if claims.thumbprint is not None:
        token["oauth2_credential"] = {"x5t#S256": claims.thumbprint}
    if found.delegation is not None:
        token.update(found.delegation.shown)
    if claims.scope != "unscoped":
        token["roles"] = [{"id": row.id, "name": row.name} for row in found.roles]
    return token
