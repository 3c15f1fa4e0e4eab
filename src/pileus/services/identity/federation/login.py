"""From what an identity provider says of somebody to a user here, with groups, projects and roles. Functions of a
transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import structlog
from sqlalchemy import Row

from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import Forbidden, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity import resolve
from pileus.services.identity.federation import mapping, shadow, store
from pileus.services.identity.federation.mapping import Assertion, DomainRef, Mapped
from pileus.services.identity.federation.model import identity_providers, mappings
from pileus.services.identity.model import NO_DOMAIN
from pileus.services.identity.store import project, role, user
from pileus.services.identity.tokens import Federated

log = structlog.get_logger("pileus.identity.federation")
SYNC_PROJECTS = "3.0"
"""The schema version from which on roles go that the identity provider no longer names."""


@dataclass(frozen=True, slots=True)
class Source:
    """An enabled identity provider and one of its protocols."""

    provider: Row[Any]
    protocol: Row[Any]
    remote_ids: Sequence[str]


def source(tx: Tx, idp_id: str, protocol_id: str) -> Source:
    """404 where there is none, 403 where it is disabled."""
    provider = rows.get(tx, identity_providers, idp_id)
    if provider is None:
        raise NotFound(f"Could not find Identity Provider: {idp_id}.")
    protocol = store.protocol(tx, idp_id, protocol_id)
    if protocol is None:
        raise NotFound(f"Could not find federated protocol {protocol_id} for Identity Provider: {idp_id}.")
    if not provider.enabled:
        raise Forbidden(f"Identity Provider {idp_id} is disabled.")
    return Source(provider, protocol, store.remote_ids_of(tx, [idp_id])[idp_id])


def check_remote_id(found: Source, assertion: Assertion, attribute: str | None) -> None:
    """403 where the assertion is another provider's. `attribute` says in which of its attributes a provider names itself,
    where the protocol does not; without either, any will do."""
    attribute = found.protocol.remote_id_attribute or attribute
    if not attribute or not found.remote_ids:
        return
    if not any(value in found.remote_ids for value in assertion.get(attribute, ())):
        raise Forbidden("Incoming identity provider identifier not included among the accepted identifiers.")


def sign_in(
    tx: Tx, found: Source, assertion: Assertion, changed: Callable[[Tx], None]
) -> tuple[Row[Any], Federated | None]:
    """The user that the assertion means, and the federated claims of its token; None for a user of our own.

    Raises Unauthorized where it means nobody. `changed` is called if tokens may mean something else.
    """
    provider, protocol = found.provider, found.protocol
    rules = rows.get(tx, mappings, protocol.mapping_id)
    if rules is None:
        raise NotFound(f"Could not find mapping: {protocol.mapping_id}.")
    try:
        _check_text(assertion)
        mapped = mapping.apply(
            mapping.parse({"rules": rules.rules, "schema_version": rules.schema_version}), assertion
        )
        if mapped.user.type == "local":
            return _local(tx, mapped), None
        return _guest(tx, found, mapped, rules.schema_version, changed)
    except (mapping.NothingMapped, mapping.MappingInvalid) as error:
        log.warning("federated login refused", provider=provider.id, protocol=protocol.id, reason=str(error))
        raise resolve.refuse(str(error)) from error


def _check_text(assertion: Assertion) -> None:
    """What a database can't keep is nobody's name."""
    if any("\0" in value for values in assertion.values() for value in values):
        raise mapping.NothingMapped("The assertion has text with a NUL character.")


def _local(tx: Tx, mapped: Mapped) -> Row[Any]:
    wanted = mapped.user
    if wanted.id is not None:
        person = user.get(tx, wanted.id)
    else:
        domain_id = _domain_id(tx, wanted.domain, None)
        person = user.by_name(tx, wanted.name or "", domain_id) if domain_id is not None else None
    if person is None or not person.enabled:
        raise mapping.NothingMapped(
            f"The mapping names a local user {wanted.id or wanted.name!r}; there is none."
        )
    return person


def _domain_id(tx: Tx, domain: DomainRef | None, default: str | None) -> str | None:
    if not domain:
        return default
    row = (
        project.get(tx, domain.id) if domain.id is not None else project.domain_by_name(tx, domain.name or "")
    )
    if row is None or not row.is_domain:
        raise mapping.NothingMapped(
            f"The mapping names a domain {domain.id or domain.name!r}; there is none."
        )
    return str(row.id)


def _guest(
    tx: Tx, found: Source, mapped: Mapped, version: str, changed: Callable[[Tx], None]
) -> tuple[Row[Any], Federated]:
    provider, protocol = found.provider, found.protocol
    name = mapped.user.name or mapped.user.id
    if not name:
        raise mapping.NothingMapped("The mapping gives the user neither an id nor a name.")
    unique_id = quote(mapped.user.id or name)
    if len(unique_id) > 255 or len(name) > 255:
        raise mapping.NothingMapped("The mapping gives the user an id or a name of more than 255 characters.")
    domain_id = _domain_id(tx, mapped.user.domain, None) or provider.domain_id
    known = shadow.find(tx, provider.id, protocol.id, unique_id)
    group_ids = _group_ids(tx, mapped)
    roles = _roles(tx, mapped, domain_id)
    person = shadow.ensure(tx, provider.id, protocol.id, unique_id, name, mapped.user.email, domain_id)
    ttl = timedelta(minutes=provider.authorization_ttl or 0)
    if shadow.set_memberships(tx, person.id, provider.id, group_ids, ttl):
        user.revoke(tx, user_id=person.id)
        changed(tx)
    if _set_projects(tx, person, mapped, roles, provider.domain_id, version) and known is not None:
        changed(tx)
    return person, Federated(provider.id, protocol.id, tuple(group_ids))


def _group_ids(tx: Tx, mapped: Mapped) -> list[str]:
    """Groups by id must be there; those by name that are not are left out."""
    found: dict[str, None] = {}
    for group_id in mapped.group_ids:
        if user.get_group(tx, group_id) is None:
            raise mapping.NothingMapped(f"The mapping names a group {group_id!r}; there is none.")
        found[group_id] = None
    for name, domain in mapped.groups:
        row = user.group_by_name(tx, name, _domain_id(tx, domain, None) or "")
        if row is None:
            log.info("no such group", name=name)
        else:
            found[row.id] = None
    return sorted(found)


def _roles(tx: Tx, mapped: Mapped, domain_id: str) -> dict[str, str]:
    """Ids of the roles that the mapping names: all must be there before anything is made."""
    found = {}
    for name in {each.name for one in mapped.projects for each in one.roles}:
        row = role.by_name(tx, name, NO_DOMAIN) or role.by_name(tx, name, domain_id)
        if row is None:
            raise mapping.NothingMapped(f"The mapping names a role {name!r}; there is none.")
        found[name] = str(row.id)
    return found


def _set_projects(
    tx: Tx, person: Row[Any], mapped: Mapped, roles: dict[str, str], domain_id: str, version: str
) -> bool:
    """Makes the projects and gives the roles there; whether anything had to be done."""
    wanted: set[tuple[str, str]] = set()
    for each in mapped.projects:
        lies_in = _domain_id(tx, each.domain, domain_id) or domain_id
        row = project.by_name(tx, each.name, lies_in) or _new_project(tx, each.name, lies_in)
        wanted.update((row.id, roles[one.name]) for one in each.roles)
    has = {
        (each.target_id, each.role_id)
        for each in role.of_user(tx, person.id)
        if each.actor_id == person.id and each.target_kind == "project" and not each.inherited
    }
    gone = has - wanted if version == SYNC_PROJECTS else set()
    for target_id, role_id in wanted - has:
        role.give(tx, _grant(person, target_id, role_id))
    for target_id, role_id in gone:
        role.take(tx, _grant(person, target_id, role_id))
    return bool(wanted - has or gone)


def _grant(person: Row[Any], target_id: str, role_id: str) -> dict[str, Any]:
    return {
        "actor_kind": "user",
        "actor_id": person.id,
        "target_kind": "project",
        "target_id": target_id,
        "role_id": role_id,
        "inherited": False,
    }


def _new_project(tx: Tx, name: str, domain_id: str) -> Row[Any]:
    if not name.strip() or len(name) > 64:
        raise mapping.NothingMapped(f"The mapping names a project {name!r}, which can't be one's name.")
    values = {"name": name, "domain_id": domain_id, "parent_id": domain_id, "is_domain": False}
    blank = {"description": "", "enabled": True, "tags": [], "options": {}, "extra": {}}
    return project.insert(tx, {**blank, **values, "id": new_hex()})
