"""Rules for passwords and accounts: how long a password is good, who is locked out, what a user's options mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.errors import BadRequest
from pileus.services.identity.settings import SecurityCompliance, Settings

_Rule = Annotated[list[str], msgspec.Meta(min_length=1)]


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """A user's `options`; null takes one away (Identity API v3, "Users")."""

    ignore_change_password_upon_first_use: bool | None = None
    ignore_password_expiry: bool | None = None
    ignore_lockout_failure_attempts: bool | None = None
    ignore_user_inactivity: bool | None = None
    lock_password: bool | None = None
    multi_factor_auth_enabled: bool | None = None
    multi_factor_auth_rules: list[_Rule] | None = None


def check_options(options: Mapping[str, Any]) -> None:
    """400 for options that are not there, or not of this type."""
    try:
        known = msgspec.convert(options, Options)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid user options: {str(error).replace('`', '')}.") from error
    rules = known.multi_factor_auth_rules or []
    if any(len(set(rule)) != len(rule) for rule in rules) or len({tuple(rule) for rule in rules}) != len(
        rules
    ):
        raise BadRequest("multi_factor_auth_rules: neither a rule nor a method in a rule may be there twice.")


def check_strength(settings: Settings, password: str) -> None:
    """400 where the password is not what the operator wants one to be."""
    if len(password) < settings.min_password_length:
        raise BadRequest(
            f"The password is too short: it needs at least {settings.min_password_length} characters."
        )
    rules = settings.security_compliance
    if rules.password_regex is not None and re.match(rules.password_regex, password) is None:
        wanted = rules.password_regex_description or f"it must match {rules.password_regex}"
        raise BadRequest(f"The password does not match the requirements: {wanted}.")


def expiry(
    rules: SecurityCompliance, options: Mapping[str, Any], now: datetime, *, self_service: bool
) -> datetime | None:
    """Until when a password is good that is set now, by its user or by an administrator; None: for ever."""
    first_use = rules.change_password_upon_first_use and not self_service
    if first_use and not options.get("ignore_change_password_upon_first_use"):
        return now
    if rules.password_expires_days is None or options.get("ignore_password_expiry"):
        return None
    return now + timedelta(days=rules.password_expires_days)


def is_expired(row: Row[Any], now: datetime) -> bool:
    at = row.password_expires_at
    return at is not None and at <= now and not row.options.get("ignore_password_expiry")


def counts_failures(rules: SecurityCompliance, row: Row[Any]) -> bool:
    """Whether failures lock this user out."""
    return rules.lockout_failure_attempts is not None and not row.options.get(
        "ignore_lockout_failure_attempts"
    )


def is_locked(rules: SecurityCompliance, row: Row[Any], now: datetime) -> bool:
    """Whether too many attempts have failed too lately."""
    most = rules.lockout_failure_attempts
    if most is None or not counts_failures(rules, row) or row.failed_auth_count < most:
        return False
    if rules.lockout_duration is None or row.failed_auth_at is None:
        return True
    return bool(row.failed_auth_at + timedelta(seconds=rules.lockout_duration) > now)


def is_lapsed(rules: SecurityCompliance, row: Row[Any], now: datetime) -> bool:
    """Whether the user has not come for so long that the account is as good as disabled."""
    days = rules.disable_user_account_days_inactive
    if days is None or row.options.get("ignore_user_inactivity"):
        return False
    return bool((row.last_active_at or row.created_at) + timedelta(days=days) <= now)


def check_age(rules: SecurityCompliance, row: Row[Any], now: datetime) -> None:
    """400 where the user chose its password too lately to choose another."""
    if not (rules.minimum_password_age and row.password_self_service and row.password_changed_at is not None):
        return
    until = row.password_changed_at + timedelta(days=rules.minimum_password_age)
    if now < until:
        raise BadRequest(
            f"The password can't be changed yet: a new one must be used for {rules.minimum_password_age} days, "
            f"until {until:%Y-%m-%d %H:%M} UTC. An administrator can reset it before."
        )


def missing_methods(
    options: Mapping[str, Any], methods: frozenset[str], known: frozenset[str]
) -> list[list[str]]:
    """The user's rules for several methods of authentication, where none is fulfilled by `methods`; else nothing.

    Rules are looked at without methods that the cloud does not have; a rule that is then empty binds nobody.
    """
    if not options.get("multi_factor_auth_enabled", True):
        return []
    rules = [
        [each for each in rule if each in known] for rule in options.get("multi_factor_auth_rules") or []
    ]
    rules = [rule for rule in rules if rule]
    if not rules or any(methods.issuperset(rule) for rule in rules):
        return []
    return rules
