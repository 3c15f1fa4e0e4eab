"""Contexts of upstream's RBAC personas: {system, domain, project} x {admin, manager, member, reader}."""

from __future__ import annotations

from typing import Final, Literal

from pileus.kernel.context import Context

PersonaScope = Literal["system", "domain", "project"]
PersonaRole = Literal["admin", "manager", "member", "reader"]

SCOPES: Final[tuple[PersonaScope, ...]] = ("system", "domain", "project")
ROLES: Final[tuple[PersonaRole, ...]] = ("admin", "manager", "member", "reader")
"""From the mightiest; each implies those after it."""

PROJECT_ID: Final = "7065727073f140f4a0f1e00000000001"
DOMAIN_ID: Final = "default"


def persona(
    scope: PersonaScope,
    role: PersonaRole,
    *,
    project_id: str = PROJECT_ID,
    domain_id: str = DOMAIN_ID,
    user_id: str | None = None,
) -> Context:
    """The context of one persona; roles it implies are included, as in a token."""
    name = f"{scope}_{role}"
    of_project, of_domain = scope == "project", scope == "domain"
    return Context(
        user_id=user_id or name.encode().hex().ljust(32, "0")[:32],
        user_name=name,
        user_domain_id=domain_id,
        user_domain_name="Default",
        project_id=project_id if of_project else None,
        project_name="persona" if of_project else None,
        project_domain_id=domain_id if of_project else None,
        project_domain_name="Default" if of_project else None,
        domain_id=domain_id if of_domain else None,
        domain_name="Default" if of_domain else None,
        system_scope="all" if scope == "system" else None,
        roles=frozenset(ROLES[ROLES.index(role) :]),
        request_id="req-00000000-0000-4000-8000-000000000000",
    )


PERSONAS: Final = {f"{scope}_{role}": persona(scope, role) for scope in SCOPES for role in ROLES}
"""All twelve by name, as `project_reader`."""
