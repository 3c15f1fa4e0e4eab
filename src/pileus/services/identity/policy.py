"""The rules of identity: upstream's names and defaults (Keystone's policy reference)."""

from __future__ import annotations

from pileus.kernel.policy.base import IDENTITY_RULES
from pileus.kernel.policy.rule import Rule

ALL = ("system", "domain", "project")
CLOUD = ("system", "project")
ADMIN = "rule:admin_required"
READER = "rule:admin_required or (role:reader and system_scope:all)"

_SYSTEM_READER = "(role:reader and system_scope:all)"
_OWN = "user_id:%(target.user.id)s"
_KEEPER = "user_id:%(target.credential.user_id)s"
_TRUSTOR = "user_id:%(target.trust.trustor_user_id)s"
_TRUSTEE = "user_id:%(target.trust.trustee_user_id)s"


def _domain(role: str, *targets: str) -> str:
    """A persona of the domain that all `targets` (`user`, `group`, `project`, `domain`) belong to."""
    attributes = [f"target.{each}.id" if each == "domain" else f"target.{each}.domain_id" for each in targets]
    return "(role:" + role + "".join(f" and domain_id:%({each})s" for each in attributes) + ")"


_PAIRS = [(actor, target) for actor in ("user", "group") for target in ("project", "domain")]
_ROLE_DOMAIN = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"


def _grants(role: str) -> str:
    return "(" + " or ".join(_domain(role, actor, target) for actor, target in _PAIRS) + ")"


_LIST_GRANTS = f"{READER} or {_grants('reader')}"
_CHECK_GRANT = f"{READER} or {_grants('reader')} and {_ROLE_DOMAIN}"
_CHANGE_GRANT = f"{ADMIN} or {_grants('admin')} and {_ROLE_DOMAIN} or {_grants('manager')} and rule:domain_managed_target_role"
_IN_PROJECT = "domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s"
_PROJECT_READER = f"{READER} or (role:reader and {_IN_PROJECT}) or project_id:%(target.project.id)s"
_PROJECT_MANAGER = f"{ADMIN} or (role:manager and {_IN_PROJECT})"
_GROUP_READER = f"{READER} or {_domain('reader', 'group')}"
_GROUP_MANAGER = f"{ADMIN} or {_domain('manager', 'group')}"
_USER_MANAGER = f"{ADMIN} or (role:manager and token.domain.id:%(target.user.domain_id)s)"
_IN_TARGET_DOMAIN = f"{READER} or (role:reader and domain_id:%(target.domain_id)s)"
_IN_REAL_TARGET_DOMAIN = (
    f"{READER} or (role:reader and domain_id:%(target.domain_id)s and not None:%(target.domain_id)s)"
)
_LIMIT_READER = (
    f"{READER} or domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s"
    " or (project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)"
)


def _rules(scopes: tuple[str, ...], **checks: str) -> list[Rule]:
    return [Rule(f"identity:{name}", check, scope_types=scopes) for name, check in checks.items()]


def _crud(noun: str, plural: str, read: str, write: str) -> list[Rule]:
    return _rules(
        CLOUD,
        **{f"get_{noun}": read, f"list_{plural}": read},
        **{f"{verb}_{noun}": write for verb in ("create", "update", "delete")},
    )


RULES: tuple[Rule, ...] = (
    *IDENTITY_RULES,
    Rule(
        "domain_managed_target_role",
        "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s",
        "Roles that a domain's manager may give and take.",
        scope_types=(),
    ),
    *_rules((), get_auth_catalog="", get_auth_projects="", get_auth_domains="", get_auth_system=""),
    *_rules(
        ALL,
        get_domain=f"{READER} or token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s",
        list_domains=f"{READER} or {_domain('reader', 'domain')}",
        get_project=_PROJECT_READER,
        list_projects=_IN_TARGET_DOMAIN,
        list_user_projects=f"{READER} or {_domain('reader', 'user')} or user_id:%(target.user.id)s",
        create_project=_PROJECT_MANAGER,
        update_project=_PROJECT_MANAGER,
        delete_project=_PROJECT_MANAGER,
        list_project_tags=_PROJECT_READER,
        get_project_tag=_PROJECT_READER,
        update_project_tags=_PROJECT_MANAGER,
        create_project_tag=_PROJECT_MANAGER,
        delete_project_tags=_PROJECT_MANAGER,
        delete_project_tag=_PROJECT_MANAGER,
        get_user=f"{READER} or (role:reader and token.domain.id:%(target.user.domain_id)s) or user_id:%(target.user.id)s",
        list_users=_IN_TARGET_DOMAIN,
        create_user=_USER_MANAGER,
        update_user=_USER_MANAGER,
        delete_user=_USER_MANAGER,
        get_group=_GROUP_READER,
        list_groups=_GROUP_READER,
        revoke_tokens_for_user="rule:admin_or_owner",
        list_groups_for_user=f"{READER} or {_domain('reader', 'user')} or user_id:%(target.user.id)s",
        create_group=_GROUP_MANAGER,
        update_group=_GROUP_MANAGER,
        delete_group=_GROUP_MANAGER,
        list_users_in_group=_GROUP_READER,
        check_user_in_group=f"{READER} or {_domain('reader', 'group', 'user')}",
        add_user_to_group=f"{ADMIN} or {_domain('manager', 'group', 'user')}",
        remove_user_from_group=f"{ADMIN} or {_domain('manager', 'group', 'user')}",
        get_role=f"{READER} or (role:manager and rule:domain_managed_target_role)",
        list_roles=f"{READER} or (role:manager and not domain_id:None)",
        check_grant=_CHECK_GRANT,
        list_grants=_LIST_GRANTS,
        create_grant=_CHANGE_GRANT,
        revoke_grant=_CHANGE_GRANT,
        list_role_assignments=_IN_REAL_TARGET_DOMAIN,
        list_role_assignments_for_tree=_IN_REAL_TARGET_DOMAIN,
        get_region="",
        list_regions="",
        check_token=f"{READER} or rule:token_subject",
        validate_token=f"{READER} or rule:service_role or rule:token_subject",
        revoke_token=f"{ADMIN} or rule:token_subject",
    ),
    *_rules(("project",), create_application_credential="user_id:%(user_id)s"),
    *_rules(
        CLOUD,
        get_application_credential=f"{READER} or rule:owner",
        list_application_credentials=f"{READER} or rule:owner",
        delete_application_credential="rule:admin_or_owner",
        get_access_rule=f"{_SYSTEM_READER} or {_OWN}",
        list_access_rules=f"{_SYSTEM_READER} or {_OWN}",
        delete_access_rule=f"(role:admin and system_scope:all) or {_OWN}",
    ),
    *_rules(
        ALL,
        get_credential=f"{READER} or {_KEEPER}",
        list_credentials=f"{READER} or {_KEEPER}",
        create_credential=f"{ADMIN} or {_KEEPER}",
        update_credential=f"{ADMIN} or {_KEEPER}",
        delete_credential=f"{ADMIN} or {_KEEPER}",
        ec2tokens_validate="rule:service_or_admin",
        s3tokens_validate="rule:service_or_admin",
    ),
    *_rules(
        CLOUD,
        ec2_get_credential=f"{READER} or {_KEEPER}",
        ec2_list_credentials=f"{READER} or rule:owner",
        ec2_create_credential=f"{ADMIN} or (role:member and {_KEEPER})",
        ec2_delete_credential=f"{ADMIN} or (role:member and {_KEEPER})",
    ),
    *_crud("consumer", "consumers", READER, ADMIN),
    *_rules(
        ("project",),
        authorize_request_token=ADMIN,
        get_access_token=ADMIN,
        list_access_tokens=ADMIN,
        delete_access_token=ADMIN,
        list_access_token_roles=ADMIN,
        get_access_token_role=ADMIN,
    ),
    *_rules(("project",), create_trust=_TRUSTOR),
    *_rules(
        CLOUD,
        list_trusts=READER,
        list_trusts_for_trustor=f"{READER} or {_TRUSTOR}",
        list_trusts_for_trustee=f"{READER} or {_TRUSTEE}",
        list_roles_for_trust=f"{READER} or {_TRUSTOR} or {_TRUSTEE}",
        get_role_for_trust=f"{READER} or {_TRUSTOR} or {_TRUSTEE}",
        get_trust=f"{READER} or {_TRUSTOR} or {_TRUSTEE}",
        delete_trust=f"{ADMIN} or {_TRUSTOR}",
    ),
    *_rules(CLOUD, list_revoke_events="rule:service_or_admin"),
    *_rules(CLOUD, create_domain=ADMIN, update_domain=ADMIN, delete_domain=ADMIN),
    *_rules(CLOUD, create_role=ADMIN, update_role=ADMIN, delete_role=ADMIN),
    *_crud("domain_role", "domain_roles", READER, ADMIN),
    *_rules(CLOUD, create_region=ADMIN, update_region=ADMIN, delete_region=ADMIN),
    *_crud("service", "services", READER, ADMIN),
    *_crud("endpoint", "endpoints", READER, ADMIN),
    *_crud("endpoint_group", "endpoint_groups", READER, ADMIN),
    *_rules(
        CLOUD,
        list_projects_associated_with_endpoint_group=READER,
        list_endpoints_associated_with_endpoint_group=READER,
        get_endpoint_group_in_project=READER,
        list_endpoint_groups_for_project=READER,
        add_endpoint_group_to_project=ADMIN,
        remove_endpoint_group_from_project=ADMIN,
        list_projects_for_endpoint=READER,
        list_endpoints_for_project=READER,
        check_endpoint_in_project=READER,
        add_endpoint_to_project=ADMIN,
        remove_endpoint_from_project=ADMIN,
    ),
    *_crud("policy", "policies", READER, ADMIN),
    *_rules(CLOUD, get_policy_for_endpoint=READER, list_endpoints_for_policy=READER),
    *_rules(
        CLOUD,
        **{
            f"{verb}_policy_association_for_{place}": check
            for place in ("endpoint", "service", "region_and_service")
            for verb, check in (("create", ADMIN), ("check", READER), ("delete", ADMIN))
        },
    ),
    *_rules(
        ALL,
        get_registered_limit="",
        list_registered_limits="",
        get_limit_model="",
        list_limits="",
        get_limit=_LIMIT_READER,
        get_security_compliance_domain_config="",
    ),
    *_rules(
        CLOUD,
        **{
            f"{verb}_{noun}": ADMIN
            for verb, nouns in (
                ("create", ("registered_limits", "limits")),
                ("update", ("registered_limit", "limit")),
                ("delete", ("registered_limit", "limit")),
            )
            for noun in nouns
        },
        get_domain_config=READER,
        get_domain_config_default=READER,
        create_domain_config=ADMIN,
        update_domain_config=ADMIN,
        delete_domain_config=ADMIN,
    ),
    *_crud("identity_provider", "identity_providers", READER, ADMIN),
    *_crud("protocol", "protocols", READER, ADMIN),
    *_crud("mapping", "mappings", READER, ADMIN),
    *_crud("service_provider", "service_providers", READER, ADMIN),
    *_crud("implied_role", "implied_roles", READER, ADMIN),
    *_rules(CLOUD, check_implied_role=READER, list_role_inference_rules=READER),
    *(
        rule
        for actor in ("user", "group")
        for rule in _rules(
            CLOUD,
            **{
                f"list_system_grants_for_{actor}": READER,
                f"check_system_grant_for_{actor}": READER,
                f"create_system_grant_for_{actor}": ADMIN,
                f"revoke_system_grant_for_{actor}": ADMIN,
            },
        )
    ),
)
