"""The options of a domain's directory, in the names and with the defaults of upstream's `[ldap]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pileus.services.identity.domain_options import DEFAULTS

Deref = Literal["default", "never", "searching", "always", "finding"]


class LdapOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Those that are in use here; others are taken and do nothing (pools of connections, mostly)."""

    url: str
    user: str | None
    password: str | None
    suffix: str
    query_scope: Literal["one", "sub"]
    page_size: int
    alias_dereferencing: Deref
    chase_referrals: bool | None
    user_tree_dn: str | None
    user_filter: str | None
    user_objectclass: str
    user_id_attribute: str
    user_name_attribute: str
    user_mail_attribute: str
    user_description_attribute: str
    user_enabled_attribute: str
    user_enabled_invert: bool
    user_enabled_mask: int
    user_enabled_default: str
    user_attribute_ignore: list[str]
    user_default_project_id_attribute: str | None
    user_enabled_emulation: bool
    user_enabled_emulation_dn: str | None
    user_additional_attribute_mapping: list[str]
    group_tree_dn: str | None
    group_filter: str | None
    group_objectclass: str
    group_id_attribute: str
    group_name_attribute: str
    group_members_are_ids: bool
    group_member_attribute: str
    group_desc_attribute: str
    group_ad_nesting: bool
    tls_cacertfile: str | None
    tls_cacertdir: str | None
    use_tls: bool
    tls_req_cert: Literal["demand", "never", "allow"]
    pool_connection_timeout: int

    @property
    def users_dn(self) -> str:
        return self.user_tree_dn or f"ou=Users,{self.suffix}"

    @property
    def groups_dn(self) -> str:
        return self.group_tree_dn or f"ou=UserGroups,{self.suffix}"

    @property
    def emulation_dn(self) -> str:
        """The group whose members are enabled, where groups say who is."""
        return self.user_enabled_emulation_dn or f"cn=enabled_users,{self.users_dn}"

    @property
    def timeout_seconds(self) -> int:
        return self.pool_connection_timeout if self.pool_connection_timeout > 0 else 10


def directory_options(config: Mapping[str, Mapping[str, Any]]) -> LdapOptions | None:
    """Of a domain that is configured so; None where its users are in our own tables. Raises ValueError for an option
    whose value can't be."""
    if config.get("identity", {}).get("driver") != "ldap":
        return None
    values = {"password": None, **DEFAULTS["ldap"], **config.get("ldap", {})}
    names = {each.name for each in msgspec.structs.fields(LdapOptions)}
    try:
        found = msgspec.convert(
            {name: value for name, value in values.items() if name in names}, LdapOptions, strict=False
        )
    except msgspec.ValidationError as error:
        raise ValueError(f"the options of the directory can't be used: {error}") from error
    if found.use_tls and "ldaps://" in found.url.lower():
        raise ValueError(
            "use_tls is for ldap://; an address that begins with ldaps:// speaks TLS from the start"
        )
    return found
