"""The first rows: a domain, the roles and what they imply, an administrator, the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.kernel.db import Tx, rows
from pileus.kernel.ids import new_hex
from pileus.services.identity.federation import store as federation
from pileus.services.identity.federation.model import identity_providers, mappings
from pileus.services.identity.model import NO_DOMAIN, endpoints, regions, services
from pileus.services.identity.provider.own import NAME as OWN_PROVIDER
from pileus.services.identity.store import project, role, user

DEFAULT_DOMAIN = "default"
IMPLIED = {"admin": "manager", "manager": "member", "member": "reader"}
INTERFACES = ("public", "internal", "admin")


class CatalogEntry(msgspec.Struct, frozen=True):
    """A service of this cloud, at a full URL."""

    type: str
    name: str
    url: str


def is_empty(tx: Tx) -> bool:
    """Whether nothing has been laid yet."""
    return project.get(tx, DEFAULT_DOMAIN) is None


def admin_project_id(tx: Tx) -> str | None:
    """The project that the cloud's own first things belong to; None where it was deleted or renamed."""
    row = project.by_name(tx, "admin", DEFAULT_DOMAIN)
    return None if row is None else str(row.id)


def lay(tx: Tx, password_hash: str) -> None:
    """Domain Default; roles; user and project admin, with admin there and on the system; project service."""
    blank = {"description": "", "enabled": True, "tags": [], "options": {}, "extra": {}}
    domain = {"name": "Default", "domain_id": DEFAULT_DOMAIN, "parent_id": None, "is_domain": True}
    project.insert(tx, {**blank, **domain, "id": DEFAULT_DOMAIN, "description": "The default domain"})
    ids = {}
    for name in (*IMPLIED, "reader", "service", "ResellerAdmin"):
        ids[name] = new_hex()
        values = {
            "name": name,
            "domain_key": NO_DOMAIN,
            "description": None,
            "options": {"immutable": True},
            "extra": {},
        }
        role.insert(tx, {**values, "id": ids[name]})
    for prior, implied in IMPLIED.items():
        role.imply(tx, ids[prior], ids[implied])
    for name in ("admin", "service"):
        below = {"name": name, "domain_id": DEFAULT_DOMAIN, "parent_id": DEFAULT_DOMAIN, "is_domain": False}
        project.insert(tx, {**blank, **below, "id": new_hex()})
    admin_project = project.by_name(tx, "admin", DEFAULT_DOMAIN)
    assert admin_project is not None
    admin = user.insert(
        tx,
        {
            "id": new_hex(),
            "name": "admin",
            "domain_id": DEFAULT_DOMAIN,
            "default_project_id": None,
            "enabled": True,
            "password_hash": password_hash,
            "password_changed_at": tx.now,
            "password_expires_at": None,
            "options": {},
            "extra": {},
            "created_at": tx.now,
        },
    )
    for target_kind, target_id in (
        ("project", admin_project.id),
        ("system", role.SYSTEM),
        ("domain", DEFAULT_DOMAIN),
    ):
        grant = {
            "actor_kind": "user",
            "actor_id": admin.id,
            "target_kind": target_kind,
            "target_id": target_id,
        }
        role.give(tx, {**grant, "role_id": ids["admin"], "inherited": False})
    lay_provider(tx)


def lay_provider(tx: Tx) -> None:
    """Trusts this cloud's own OpenID Connect provider: its users come in as themselves."""
    rules = [{"remote": [{"type": "sub"}], "local": [{"user": {"id": "{0}", "type": "local"}}]}]
    rows.add(tx, mappings, {"id": OWN_PROVIDER, "rules": rules, "schema_version": "1.0"})
    about = {"description": "The users of this cloud, by browser or device code.", "authorization_ttl": None}
    row = {"id": OWN_PROVIDER, "domain_id": DEFAULT_DOMAIN, "enabled": True, **about}
    rows.add(tx, identity_providers, row)
    names = {"idp_id": OWN_PROVIDER, "id": "openid", "mapping_id": OWN_PROVIDER}
    federation.insert_protocol(tx, {**names, "remote_id_attribute": None})


def publish(tx: Tx, region: str, entries: Sequence[CatalogEntry]) -> None:
    """Makes the catalog say where this cloud's services are; entries of others are left alone."""
    if rows.get(tx, regions, region) is None:
        rows.add(tx, regions, {"id": region, "description": "", "parent_region_id": None, "extra": {}})
    there = {(row.type, row.name): row.id for row in tx.rows(services.select())}
    for entry in entries:
        service_id = there.get((entry.type, entry.name))
        if service_id is None:
            service_id = new_hex()
            values: dict[str, Any] = {
                "type": entry.type,
                "name": entry.name,
                "description": None,
                "enabled": True,
                "extra": {},
            }
            rows.add(tx, services, {**values, "id": service_id})
        mine = {
            row.interface: row
            for row in tx.rows(endpoints.select().where(endpoints.c.service_id == service_id))
            if row.region_id == region
        }
        for interface in INTERFACES:
            if interface not in mine:
                values = {
                    "service_id": service_id,
                    "interface": interface,
                    "region_id": region,
                    "enabled": True,
                }
                rows.add(tx, endpoints, {**values, "id": new_hex(), "url": entry.url, "extra": {}})
            elif mine[interface].url != entry.url:
                rows.change(tx, endpoints, mine[interface].id, url=entry.url)
