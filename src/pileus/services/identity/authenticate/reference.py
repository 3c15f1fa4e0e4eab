"""Users, domains and projects as bodies name them: by id, or by name and domain."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity.store import project, user
from pileus.services.identity.store.book import Book


class DomainRef(msgspec.Struct):
    id: str | None = None
    name: str | None = None


class UserRef(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None

    def check(self) -> None:
        if self.id is None and (self.name is None or self.domain is None):
            raise BadRequest("A user is named by its id, or by its name and domain.")


class ProjectRef(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None

    def check(self) -> None:
        if self.id is None and (self.name is None or self.domain is None):
            raise BadRequest("A project is named by its id, or by its name and domain.")


def find_domain(tx: Tx, reference: DomainRef | None) -> Row[Any] | None:
    """None where there is none."""
    if reference is None:
        return None
    if reference.id is not None:
        row = project.get(tx, reference.id)
        return row if row is not None and row.is_domain else None
    return None if reference.name is None else project.domain_by_name(tx, reference.name)


def find_user(tx: Tx, reference: UserRef) -> Row[Any] | None:
    """None where there is none."""
    if reference.id is not None:
        return user.get(tx, reference.id)
    domain = find_domain(tx, reference.domain)
    return None if domain is None or reference.name is None else user.by_name(tx, reference.name, domain.id)


def find_project(tx: Tx, reference: ProjectRef, book: Book) -> Row[Any] | None:
    """None where there is none; a domain is no project here."""
    if reference.id is not None:
        found = book.project(tx, reference.id)
    else:
        domain = find_domain(tx, reference.domain)
        found = None if domain is None else project.by_name(tx, reference.name or "", domain.id)
    return None if found is None or found.is_domain else found
