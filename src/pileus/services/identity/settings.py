"""What operators can set of identity. Names, units and defaults of groups are upstream's (`keystone.conf`)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from pileus.services.identity import passwords
from pileus.services.identity.federation.oidc import OidcSettings
from pileus.services.identity.limits import ModelName
from pileus.services.identity.provider.issuing import ProviderSettings
from pileus.services.identity.saml.trust import SamlSettings


class SecurityCompliance(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for passwords and accounts. None and 0 switch a rule off."""

    disable_user_account_days_inactive: int | None = None
    """Who has not come for so many days comes no more, until an administrator enables the user again."""
    lockout_failure_attempts: int | None = None
    """Failures in a row after which an account is locked."""
    lockout_duration: int | None = 1800
    """Seconds that it stays so; None: until an administrator enables the user."""
    password_expires_days: int | None = None
    """Days that a new password is good for."""
    unique_last_password_count: int = 0
    """How many of a user's last passwords it can't choose again."""
    minimum_password_age: int = 0
    """Days that a password must be used before its user can change it."""
    password_regex: str | None = None
    """What a password must match."""
    password_regex_description: str | None = None
    """The same in words, for users."""
    change_password_upon_first_use: bool = False
    """A password that an administrator set is good for nothing but to be changed."""

    def __post_init__(self) -> None:
        for name in ("disable_user_account_days_inactive", "lockout_failure_attempts", "lockout_duration"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or left out")
        if self.password_regex is not None:
            try:
                re.compile(self.password_regex)
            except re.error as error:
                raise ValueError(f"password_regex is no regular expression: {error}") from error


class External(msgspec.Struct, frozen=True, kw_only=True):
    """What upstream reads from a web server's environment, as headers."""

    variant: Literal["DefaultDomain", "Domain"] | None = None
    """Users of the default domain, or of the one that a header names; None: the method is off."""
    remote_user_header: str = "X-Remote-User"
    remote_domain_header: str = "X-Remote-Domain"
    auth_type_header: str = "X-Auth-Type"
    """Must say `Negotiate` for the method `kerberos`."""


class Oauth2(msgspec.Struct, frozen=True, kw_only=True):
    oauth2_authn_methods: tuple[Literal["tls_client_auth", "client_secret_basic"], ...] = (
        "tls_client_auth",
        "client_secret_basic",
    )
    """By what a client of OAuth 2.0 may prove who it is."""
    oauth2_cert_dn_mapping_id: str = "oauth2_mapping"
    """The mapping that says which user a client certificate is of."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    token_lifetime_seconds: int = 3600
    token_provider: Literal["fernet", "jws"] = "fernet"
    """Tokens that only this cloud can read, or signed ones that anybody can."""
    keys_kept: int = 3
    """Fernet keys: one staged, one that signs, the rest only open."""
    min_password_length: int = 1
    password_hash_cost: Annotated[int, msgspec.Meta(ge=1, le=20)] = passwords.COST
    """Binary logarithm of scrypt's N for passwords and secrets that are set from now on: each more doubles the time and
    memory of a login, 30 ms and 16 MiB at 14."""
    application_credential_user_limit: int = -1
    """Most application credentials of a user; -1 for no limit."""
    totp_included_previous_windows: int = 1
    """How many passcodes before the present one are taken; each is good for 30 seconds."""
    receipt_lifetime_seconds: int = 300
    """How long somebody has who needs several methods of authentication, one after the other."""
    oauth_request_token_duration: int = 28_800
    """Seconds that a request token of OAuth 1.0a waits for its user; 0 for ever."""
    oauth_access_token_duration: int = 86_400
    """Seconds that an access token is good for; 0 for ever."""
    max_redelegation_count: int = 3
    """How many times a trust can be handed on."""
    security_compliance: SecurityCompliance = SecurityCompliance()
    unified_limit_model: ModelName = "flat"
    """How limits of projects and domains must agree: `flat`, not at all; `strict_two_level`, none is more than what
    its project lies in has, and projects lie at most two deep."""
    prohibited_implied_role: tuple[str, ...] = ("admin",)
    """Names of roles that no role may imply."""
    max_project_tree_depth: int = 5
    """How many levels of projects may lie below a domain."""
    list_limit: int | None = None
    """Most entries of a list for who names no `limit`; a list that was cut says `truncated`. None: all there are."""
    directory_sync_seconds: float = 60.0
    """How often the users and groups of domains with an LDAP directory are read."""
    external: External = External()
    """Users whom a web server in front (`front_proxy`) names."""
    oauth2: Oauth2 = Oauth2()
    oidc: dict[str, OidcSettings] = {}
    """Identity providers that speak OpenID Connect, by their id here."""
    saml: dict[str, SamlSettings] = {}
    """Identity providers that speak SAML 2.0, by their id here."""
    saml_readers: dict[str, str] = {}
    """Files with the metadata of service providers that get their assertions encrypted, by their id here."""
    provider: ProviderSettings = ProviderSettings()
    trusted_dashboards: tuple[str, ...] = ("http://localhost:9990/auth/websso/",)
    """Where a browser may be sent with a token after a federated login; by default where keystoneauth's `v3websso` listens
    on the user's own machine."""
