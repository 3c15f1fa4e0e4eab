"""What a token shall be for: a project, a domain, the system, or nothing in particular."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden
from pileus.services.identity import resolve
from pileus.services.identity.authenticate.method import FoundScope, Proof
from pileus.services.identity.authenticate.reference import (
    DomainRef,
    ProjectRef,
    find_domain,
    find_project,
)
from pileus.services.identity.delegation import refuse
from pileus.services.identity.store import trust
from pileus.services.identity.store.book import Book


class TrustRef(msgspec.Struct):
    id: str


class Scope(msgspec.Struct):
    """The body's `scope`: one of these."""

    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: dict[str, bool] | None = None
    unscoped: dict[str, Any] | None = None
    trust: TrustRef | None = msgspec.field(default=None, name="OS-TRUST:trust")


def checked(scope: Scope | str | None) -> Scope | None:
    """One scope or none; None leaves it to the user's default project."""
    if isinstance(scope, str):
        if scope != "unscoped":
            raise BadRequest(f"Unknown scope {scope!r}.")
        return Scope(unscoped={})
    if scope is None:
        return None
    given = (scope.project, scope.domain, scope.system, scope.unscoped, scope.trust)
    if sum(each is not None for each in given) != 1:
        raise BadRequest(
            "The scope must be exactly one of project, domain, system, OS-TRUST:trust and unscoped."
        )
    if scope.project is not None:
        scope.project.check()
    return scope


def find(tx: Tx, proof: Proof, wanted: Scope | None, book: Book) -> FoundScope:
    """The scope that was asked for, or the default. Whether there is a role on it, `resolve.standing` finds out."""
    if proof.scope is not None:
        if wanted is not None:
            raise refuse("what was proven is good for one scope only, so none can be asked for")
        return proof.scope
    if wanted is None:
        return _default(tx, proof, book)
    if proof.held_scope == "system" and (wanted.project is not None or wanted.domain is not None):
        raise Forbidden("A token for the system can't be exchanged for one for a project or a domain.")
    if wanted.trust is not None:
        return _of_trust(tx, wanted.trust.id)
    if wanted.unscoped is not None:
        return FoundScope("unscoped")
    if wanted.system is not None:
        if wanted.system.get("all") is not True:
            raise BadRequest("The scope of the system is {'all': true}.")
        return FoundScope("system")
    if wanted.domain is not None:
        domain = find_domain(tx, wanted.domain)
        if domain is None:
            raise refuse("no such domain")
        return FoundScope("domain", domain.id)
    assert wanted.project is not None
    found = find_project(tx, wanted.project, book)
    if found is None:
        raise refuse("no such project")
    return FoundScope("project", found.id)


def _of_trust(tx: Tx, trust_id: str) -> FoundScope:
    found = trust.get(tx, trust_id)
    if found is None or trust.is_over(found, tx.now) or trust.is_used_up(found):
        raise refuse(f"trust {trust_id} is gone, has expired or is used up")
    return FoundScope("unscoped" if found.project_id is None else "project", found.project_id, found)


def _default(tx: Tx, proof: Proof, book: Book) -> FoundScope:
    """The user's default project where it can be had."""
    person = proof.user
    default = book.project(tx, person.default_project_id) if person.default_project_id else None
    if (
        default is not None
        and default.enabled
        and not default.is_domain
        and resolve.roles_of_user(
            tx, person.id, "project", default, proof.claims.get("federated"), book.roles
        )
    ):
        return FoundScope("project", default.id)
    return FoundScope("unscoped")
