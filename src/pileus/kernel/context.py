"""Who asks: the outcome of a validated token, handed to every operation."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import msgspec

Scope = Literal["system", "domain", "project", "none"]


class Credentials(dict[str, Any]):
    """A context as policy rules see it: oslo.context's policy values by name, `roles` as a list.

    `role_names` holds the same roles in lower case, since rules compare roles without regard to case.
    """

    __slots__ = ("role_names",)
    role_names: frozenset[str]

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.role_names = frozenset(role.lower() for role in values.get("roles", ()))


class AccessRule(msgspec.Struct, frozen=True):
    """A call that an application credential is good for; see `kernel.api.access_rules`."""

    service: str
    method: str
    path: str


class Context(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The user, the scope and the roles of a request. A default one is nobody, without scope and roles."""

    user_id: str | None = None
    user_name: str | None = None
    user_domain_id: str | None = None
    user_domain_name: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: Literal["all"] | None = None
    roles: frozenset[str] = frozenset()
    """Names of roles on the scope, implied ones included."""
    is_admin_project: bool = True
    """As oslo.context: true unless the cloud sets one project apart as the administrators'."""
    service_roles: frozenset[str] = frozenset()
    """Roles of the service that passes the request on (`X-Service-Token`)."""
    expires_at: datetime | None = None
    audit_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    """Groups that the user is in by its token alone: by federation."""
    trust_id: str | None = None
    application_credential_id: str | None = None
    access_token_id: str | None = None
    """An OAuth 1.0a access token."""
    is_delegated: bool = False
    """Whether the token was got by what a user gave out of its hands: with such a token no more of it is given out."""
    certificate_thumbprint: str | None = None
    """Of the only client certificate with which the token is good."""
    access_rules: tuple[AccessRule, ...] | None = None
    """The only calls from outside that the token is good for; None: all."""
    request_id: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the roles include `admin`: what `is_admin:True` means in a rule."""
        return bool(self.creds["is_admin"])

    @cached_property
    def scope(self) -> Scope:
        if self.system_scope is not None:
            return "system"
        if self.domain_id is not None:
            return "domain"
        return "none" if self.project_id is None else "project"

    @cached_property
    def creds(self) -> Credentials:
        project = {
            "id": self.project_id,
            "name": self.project_name,
            "domain": {"id": self.project_domain_id, "name": self.project_domain_name},
        }
        user = {
            "id": self.user_id,
            "name": self.user_name,
            "domain": {"id": self.user_domain_id, "name": self.user_domain_name},
        }
        return Credentials(
            {
                "user_id": self.user_id,
                "user_domain_id": self.user_domain_id,
                "project_id": self.project_id,
                "tenant_id": self.project_id,
                "project_domain_id": self.project_domain_id,
                "domain_id": self.domain_id,
                "system_scope": self.system_scope,
                "system": self.system_scope,
                "roles": sorted(self.roles),
                "service_roles": sorted(self.service_roles),
                "is_admin": any(role.lower() == "admin" for role in self.roles),
                "is_admin_project": self.is_admin_project,
                "token": {
                    "user": user,
                    "project": project,
                    "domain": {"id": self.domain_id, "name": self.domain_name},
                    "is_admin_project": self.is_admin_project,
                },
            }
        )

    def with_request_id(self, request_id: str) -> Context:
        """The same context for another request; what is derived is shared, so a cached one serves many."""
        context = msgspec.structs.replace(self, request_id=request_id)
        context.__dict__.update(creds=self.creds, scope=self.scope)
        return context


def own(context: Context) -> dict[str, Any]:
    """The policy target of what a caller makes for itself."""
    return {
        "project_id": context.project_id,
        "tenant_id": context.project_id,
        "user_id": context.user_id,
        "domain_id": context.domain_id,
    }


def service_user(name: str) -> Context:
    """A service of this cloud acting for itself, not for a user: `service_user("compute")`."""
    return Context(
        user_id=name,
        user_name=name,
        user_domain_id="default",
        project_id="service",
        project_name="service",
        project_domain_id="default",
        roles=frozenset({"admin", "manager", "member", "reader", "service"}),
    )
