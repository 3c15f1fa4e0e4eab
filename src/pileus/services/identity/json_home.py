"""What the Identity API offers, by relation: a JSON Home document (draft-nottingham-json-home), as clients may ask for
with `Accept: application/json-home`. Relations are those of the Identity API v3 reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

MEDIA_TYPE = "application/json-home"
_ROOT = "https://docs.openstack.org/api/openstack-identity/3"
_PARAMETER = re.compile(r"\{(\w+)\}")
_USUAL = frozenset(
    f"{noun}_id"
    for noun in (
        *("domain", "endpoint", "group", "policy", "project", "region", "role", "service", "user"),
        *("registered_limit", "limit", "application_credential", "access_rule", "credential"),
        *("prior_role", "implied_role"),
    )
) | {"tag_value", "config_group", "config_option"}
"""Parameters that no extension brought in."""
_FEDERATION = f"{_ROOT}/ext/OS-FEDERATION/1.0"
_FEDERATED = frozenset({"idp_id", "protocol_id"})
"""Parameters of federation, wherever they stand."""

CORE: Mapping[str, str] = {
    "auth_tokens": "/auth/tokens",
    "auth_catalog": "/auth/catalog",
    "auth_projects": "/auth/projects",
    "auth_domains": "/auth/domains",
    "auth_system": "/auth/system",
    "saml2": "/auth/OS-FEDERATION/saml2",
    "ecp": "/auth/OS-FEDERATION/saml2/ecp",
    "websso": "/auth/OS-FEDERATION/websso/{protocol_id}",
    "identity_providers_websso": (
        "/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso"
    ),
    "credentials": "/credentials",
    "credential": "/credentials/{credential_id}",
    "domains": "/domains",
    "domain": "/domains/{domain_id}",
    "domain_config": "/domains/{domain_id}/config",
    "domain_config_group": "/domains/{domain_id}/config/{config_group}",
    "domain_config_option": "/domains/{domain_id}/config/{config_group}/{config_option}",
    "domain_config_default": "/domains/config/default",
    "domain_config_default_group": "/domains/config/{config_group}/default",
    "domain_config_default_option": "/domains/config/{config_group}/{config_option}/default",
    "domain_user_roles": "/domains/{domain_id}/users/{user_id}/roles",
    "domain_user_role": "/domains/{domain_id}/users/{user_id}/roles/{role_id}",
    "domain_group_roles": "/domains/{domain_id}/groups/{group_id}/roles",
    "domain_group_role": "/domains/{domain_id}/groups/{group_id}/roles/{role_id}",
    "ec2tokens": "/ec2tokens",
    "endpoints": "/endpoints",
    "endpoint": "/endpoints/{endpoint_id}",
    "groups": "/groups",
    "group": "/groups/{group_id}",
    "group_users": "/groups/{group_id}/users",
    "group_user": "/groups/{group_id}/users/{user_id}",
    "limits": "/limits",
    "limit": "/limits/{limit_id}",
    "limit_model": "/limits/model",
    "policies": "/policies",
    "policy": "/policies/{policy_id}",
    "projects": "/projects",
    "project": "/projects/{project_id}",
    "project_tags": "/projects/{project_id}/tags",
    "project_tag": "/projects/{project_id}/tags/{tag_value}",
    "project_user_roles": "/projects/{project_id}/users/{user_id}/roles",
    "project_user_role": "/projects/{project_id}/users/{user_id}/roles/{role_id}",
    "project_group_roles": "/projects/{project_id}/groups/{group_id}/roles",
    "project_group_role": "/projects/{project_id}/groups/{group_id}/roles/{role_id}",
    "regions": "/regions",
    "region": "/regions/{region_id}",
    "registered_limits": "/registered_limits",
    "registered_limit": "/registered_limits/{registered_limit_id}",
    "role_assignments": "/role_assignments",
    "role_inferences": "/role_inferences",
    "roles": "/roles",
    "role": "/roles/{role_id}",
    "implied_roles": "/roles/{prior_role_id}/implies",
    "implied_role": "/roles/{prior_role_id}/implies/{implied_role_id}",
    "s3tokens": "/s3tokens",
    "services": "/services",
    "service": "/services/{service_id}",
    "system_user_roles": "/system/users/{user_id}/roles",
    "system_user_role": "/system/users/{user_id}/roles/{role_id}",
    "system_group_roles": "/system/groups/{group_id}/roles",
    "system_group_role": "/system/groups/{group_id}/roles/{role_id}",
    "users": "/users",
    "user": "/users/{user_id}",
    "user_change_password": "/users/{user_id}/password",
    "user_groups": "/users/{user_id}/groups",
    "user_projects": "/users/{user_id}/projects",
    "user_tokens": "/users/{user_id}/tokens",
    "user_credentials": "/users/{user_id}/credentials/OS-EC2",
    "user_credential": "/users/{user_id}/credentials/OS-EC2/{credential_id}",
    "application_credentials": "/users/{user_id}/application_credentials",
    "application_credential": "/users/{user_id}/application_credentials/{application_credential_id}",
    "access_rules": "/users/{user_id}/access_rules",
    "access_rule": "/users/{user_id}/access_rules/{access_rule_id}",
}
EXTENSIONS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("OS-ENDPOINT-POLICY", "1.0"): {
        "endpoint_policy": "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy",
        "policy_endpoints": "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints",
        "endpoint_policy_association": "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id}",
        "service_policy_association": "/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}",
        "region_and_service_policy_association": (
            "/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id}"
        ),
    },
    ("OS-EP-FILTER", "1.0"): {
        "endpoint_groups": "/OS-EP-FILTER/endpoint_groups",
        "endpoint_group": "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}",
        "endpoint_projects": "/OS-EP-FILTER/endpoints/{endpoint_id}/projects",
        "project_endpoint": "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}",
        "project_endpoints": "/OS-EP-FILTER/projects/{project_id}/endpoints",
        "project_endpoint_groups": "/OS-EP-FILTER/projects/{project_id}/endpoint_groups",
        "endpoints_in_endpoint_group": "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/endpoints",
        "projects_associated_with_endpoint_group": (
            "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects"
        ),
        "endpoint_group_to_project_association": (
            "/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id}"
        ),
    },
    ("OS-FEDERATION", "1.0"): {
        "identity_providers": "/OS-FEDERATION/identity_providers",
        "identity_provider": "/OS-FEDERATION/identity_providers/{idp_id}",
        "identity_provider_protocols": "/OS-FEDERATION/identity_providers/{idp_id}/protocols",
        "identity_provider_protocol": "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}",
        "identity_provider_protocol_auth": (
            "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"
        ),
        "mappings": "/OS-FEDERATION/mappings",
        "metadata": "/OS-FEDERATION/saml2/metadata",
        "mapping": "/OS-FEDERATION/mappings/{mapping_id}",
        "service_providers": "/OS-FEDERATION/service_providers",
        "service_provider": "/OS-FEDERATION/service_providers/{service_provider_id}",
    },
    ("OS-INHERIT", "1.0"): {
        f"{target}_{actor}_{noun}_inherited_to_projects": (
            f"/OS-INHERIT/{target}s/{{{target}_id}}/{actor}s/{{{actor}_id}}/roles{one}/inherited_to_projects"
        )
        for target in ("domain", "project")
        for actor in ("user", "group")
        for noun, one in (("roles", ""), ("role", "/{role_id}"))
    },
    ("OS-OAUTH1", "1.0"): {
        "consumers": "/OS-OAUTH1/consumers",
        "consumer": "/OS-OAUTH1/consumers/{consumer_id}",
        "request_tokens": "/OS-OAUTH1/request_token",
        "access_tokens": "/OS-OAUTH1/access_token",
        "authorize_request_token": "/OS-OAUTH1/authorize/{request_token_id}",
        "user_access_tokens": "/users/{user_id}/OS-OAUTH1/access_tokens",
        "user_access_token": "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}",
        "user_access_token_roles": "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles",
        "user_access_token_role": "/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles/{role_id}",
    },
    ("OS-OAUTH2", "1.0"): {"token": "/OS-OAUTH2/token"},
    ("OS-REVOKE", "1.0"): {"events": "/OS-REVOKE/events"},
    ("OS-TRUST", "1.0"): {
        "trusts": "/OS-TRUST/trusts",
        "trust": "/OS-TRUST/trusts/{trust_id}",
        "trust_roles": "/OS-TRUST/trusts/{trust_id}/roles",
        "trust_role": "/OS-TRUST/trusts/{trust_id}/roles/{role_id}",
    },
}
"""By extension and its version. OS-SIMPLE-CERT is retired and not here."""


@cache
def document(prefix: str) -> dict[str, Any]:
    """The document, its addresses below `prefix`."""
    resources = {f"{_ROOT}/rel/{rel}": _resource(prefix, path, _ROOT) for rel, path in CORE.items()}
    for (name, version), relations in EXTENSIONS.items():
        root = f"{_ROOT}/ext/{name}/{version}"
        resources |= {f"{root}/rel/{rel}": _resource(prefix, path, root) for rel, path in relations.items()}
    return {"resources": resources}


def _resource(prefix: str, path: str, root: str) -> dict[str, Any]:
    names = _PARAMETER.findall(path)
    if not names:
        return {"href": prefix + path}
    return {"href-template": prefix + path, "href-vars": {name: _parameter(name, root) for name in names}}


def _parameter(name: str, root: str) -> str:
    origin = _ROOT if name in _USUAL else _FEDERATION if name in _FEDERATED else root
    return f"{origin}/param/{name}"
