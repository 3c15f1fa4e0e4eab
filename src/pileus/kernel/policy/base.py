"""Rules that several services share under upstream's names and texts.

A service lists the ones it uses among its own: `RULES = (CONTEXT_IS_ADMIN, PROJECT_READER_API, ...)`.
The constants in quotes are what other rules write (`check=PROJECT_READER_OR_ADMIN`).
Sources: the policy references of Nova (project_*), Keystone (admin_required, owner) and Neutron.
"""

from __future__ import annotations

from typing import Final

from pileus.kernel.policy.rule import Rule

ANY: Final = "@"
NOBODY: Final = "!"
ADMIN: Final = "rule:context_is_admin"
PROJECT_MEMBER_OR_ADMIN: Final = "rule:project_member_or_admin"
PROJECT_READER_OR_ADMIN: Final = "rule:project_reader_or_admin"


def _base(name: str, check: str, description: str) -> Rule:
    """A rule that others refer to: the scope is theirs to say."""
    return Rule(name, check, description, scope_types=())


PROJECT_RULES: Final = (
    _base("context_is_admin", "role:admin", "Who counts as an administrator of the cloud."),
    _base("project_manager_api", "role:manager and project_id:%(project_id)s", "Managers of the project."),
    _base("project_member_api", "role:member and project_id:%(project_id)s", "Members of the project."),
    _base("project_reader_api", "role:reader and project_id:%(project_id)s", "Readers of the project."),
    _base(
        "project_manager_or_admin",
        "rule:project_manager_api or rule:context_is_admin",
        "Managers of the project, or administrators.",
    ),
    _base(
        "project_member_or_admin",
        "rule:project_member_api or rule:context_is_admin",
        "Members of the project, or administrators.",
    ),
    _base(
        "project_reader_or_admin",
        "rule:project_reader_api or rule:context_is_admin",
        "Readers of the project, or administrators.",
    ),
)
"""Nova's; services that own things by project use them."""

IDENTITY_RULES: Final = (
    _base("admin_required", "role:admin or is_admin:1", "Administrators."),
    _base("service_role", "role:service", "Services of the cloud."),
    _base("service_or_admin", "rule:admin_required or rule:service_role", "Services, or administrators."),
    _base("owner", "user_id:%(user_id)s", "The user that the target belongs to."),
    _base(
        "admin_or_owner", "rule:admin_required or rule:owner", "Administrators, or the user it belongs to."
    ),
    _base("token_subject", "user_id:%(target.token.user_id)s", "The user that the token speaks for."),
    _base(
        "admin_or_token_subject",
        "rule:admin_required or rule:token_subject",
        "Administrators, or the user that the token speaks for.",
    ),
    _base(
        "service_admin_or_token_subject",
        "rule:service_or_admin or rule:token_subject",
        "Services, administrators, or the user that the token speaks for.",
    ),
)
"""Keystone's."""

NETWORK_RULES: Final = (
    _base("context_is_admin", "role:admin", "Who counts as an administrator of the cloud."),
    _base("service_api", "role:service", "Services of the cloud."),
    _base("owner", "tenant_id:%(tenant_id)s", "The project that owns the resource."),
    _base("admin_or_owner", "rule:context_is_admin or rule:owner", "Administrators, or the owner."),
    _base("network_owner", "tenant_id:%(network:tenant_id)s", "The owner of the resource's network."),
    _base(
        "admin_or_network_owner",
        "rule:context_is_admin or tenant_id:%(network:tenant_id)s",
        "Administrators, or the owner of the resource's network.",
    ),
    _base(
        "admin_owner_or_network_owner",
        "rule:owner or rule:admin_or_network_owner",
        "The owner of the resource or of its network, or administrators.",
    ),
    _base("admin_only", "rule:context_is_admin", "Administrators."),
    _base("regular_user", "", "Anybody with a token."),
    _base("shared", "field:networks:shared=True", "Networks shared with everybody."),
    _base("ext_parent_owner", "tenant_id:%(ext_parent:tenant_id)s", "The owner of the parent resource."),
    _base(
        "admin_or_ext_parent_owner",
        "rule:context_is_admin or tenant_id:%(ext_parent:tenant_id)s",
        "Administrators, or the owner of the parent resource.",
    ),
)
"""Neutron's."""
