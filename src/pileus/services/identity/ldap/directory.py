"""What an LDAP directory says: all its users and groups, and whether a password is right. Blocking: run it in a thread."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pileus.services.identity.ldap.options import LdapOptions

PAGE = 500
"""Entries asked for at once, where the options do not say: servers limit what they give without pages."""


class DirectoryError(Exception):
    """The directory does not answer, or not as it should; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Person:
    local_id: str
    dn: str
    name: str
    enabled: bool = True
    email: str | None = None
    description: str | None = None
    default_project_id: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Team:
    local_id: str
    dn: str
    name: str
    description: str = ""
    members: frozenset[str] = frozenset()
    """Local ids of users."""


@dataclass(frozen=True, slots=True)
class Contents:
    people: Sequence[Person]
    teams: Sequence[Team]


Attributes = Mapping[str, list[str]]


def read(options: LdapOptions) -> Contents:
    """All users and groups that the options let through. Raises DirectoryError."""
    with _connected(options, options.user, options.password) as connection:
        enabled = _emulated(connection, options) if options.user_enabled_emulation else None
        people = []
        by_dn: dict[str, str] = {}
        for dn, attributes in _search(connection, options, options.users_dn, *_user_query(options)):
            person = _person(options, dn, attributes, enabled)
            if person is not None:
                people.append(person)
                by_dn[plain_dn(dn)] = person.local_id
        ids = {person.local_id for person in people}
        inner = _nested(connection, options) if options.group_ad_nesting else {}
        teams = [
            team
            for dn, attributes in _search(connection, options, options.groups_dn, *_group_query(options))
            if (team := _team(options, dn, attributes, by_dn, ids, inner)) is not None
        ]
        return Contents(people, teams)


def is_password(options: LdapOptions, dn: str, password: str) -> bool:
    """Whether it is the password of this entry, by binding with it. Raises DirectoryError."""
    if not password:  # a bind without a password is anonymous, and always good
        return False
    from ldap3.core.exceptions import LDAPInvalidCredentialsResult, LDAPInvalidDnError

    try:
        with _connected(options, dn, password):
            return True
    except _Refused as error:
        if isinstance(error.__cause__, LDAPInvalidCredentialsResult | LDAPInvalidDnError):
            return False
        raise


class _Refused(DirectoryError):
    """It answered, and said no."""


@contextmanager
def _connected(options: LdapOptions, user: str | None, password: str | None) -> Iterator[Any]:
    import ldap3
    from ldap3.core.exceptions import LDAPException, LDAPOperationResult

    checks = {"demand": ssl.CERT_REQUIRED, "allow": ssl.CERT_OPTIONAL, "never": ssl.CERT_NONE}
    try:
        tls = ldap3.Tls(
            validate=checks[options.tls_req_cert],
            ca_certs_file=options.tls_cacertfile,
            ca_certs_path=options.tls_cacertdir,
        )
        servers = [
            ldap3.Server(url.strip(), get_info=ldap3.NONE, tls=tls, connect_timeout=options.timeout_seconds)
            for url in options.url.split(",")
        ]
        pool = ldap3.ServerPool(servers, ldap3.FIRST, active=1, exhaust=False)
        connection = ldap3.Connection(
            pool,
            user=user,
            password=password,
            read_only=True,
            raise_exceptions=True,
            auto_referrals=options.chase_referrals is True,
            receive_timeout=options.timeout_seconds,
            auto_bind=(ldap3.AUTO_BIND_TLS_BEFORE_BIND if options.use_tls else ldap3.AUTO_BIND_NO_TLS),
        )
    except LDAPOperationResult as error:
        raise _Refused(f"{options.url} refuses {user or 'an anonymous bind'}: {error.description}") from error
    except (LDAPException, OSError, ValueError) as error:
        raise DirectoryError(f"{options.url} can't be reached: {error}") from error
    try:
        yield connection
    except (LDAPException, OSError) as error:
        raise DirectoryError(f"{options.url} gave up: {error}") from error
    finally:
        with contextlib.suppress(LDAPException, OSError):  # it is gone either way
            connection.unbind()


def _search(
    connection: Any, options: LdapOptions, base: str, query: str, attributes: Sequence[str]
) -> Iterator[tuple[str, Attributes]]:
    import ldap3

    deref = {
        "default": ldap3.DEREF_NEVER,
        "never": ldap3.DEREF_NEVER,
        "searching": ldap3.DEREF_SEARCH,
        "always": ldap3.DEREF_ALWAYS,
        "finding": ldap3.DEREF_BASE,
    }
    scope = {"one": ldap3.LEVEL, "sub": ldap3.SUBTREE}
    found = connection.extend.standard.paged_search(
        base,
        query,
        search_scope=scope[options.query_scope],
        dereference_aliases=deref[options.alias_dereferencing],
        attributes=list(attributes),
        paged_size=options.page_size or PAGE,
        generator=True,
    )
    for entry in found:
        if entry["type"] == "searchResEntry":
            texts = {
                name.lower(): [value.decode("utf-8", "replace") for value in values]
                for name, values in entry["raw_attributes"].items()
            }
            yield entry["dn"], texts


def _query(objectclass: str, extra: str | None) -> str:
    wanted = f"(objectClass={objectclass})"
    return f"(&{wanted}{extra})" if extra else wanted


def _user_query(options: LdapOptions) -> tuple[str, list[str]]:
    wanted = {
        options.user_id_attribute,
        options.user_name_attribute,
        options.user_mail_attribute,
        options.user_description_attribute,
        options.user_enabled_attribute,
        options.user_default_project_id_attribute,
        *(each.partition(":")[0] for each in options.user_additional_attribute_mapping),
    }
    return _query(options.user_objectclass, options.user_filter), sorted(each for each in wanted if each)


def _group_query(options: LdapOptions) -> tuple[str, list[str]]:
    wanted = {
        options.group_id_attribute,
        options.group_name_attribute,
        options.group_desc_attribute,
        options.group_member_attribute,
    }
    return _query(options.group_objectclass, options.group_filter), sorted(each for each in wanted if each)


def _first(attributes: Attributes, name: str | None) -> str | None:
    values = attributes.get((name or "").lower())
    return values[0] if values else None


def _fit(*texts: str | None) -> bool:
    """Whether these can be ids and names."""
    return all(text is not None and 0 < len(text) <= 255 and "\0" not in text for text in texts)


def _person(
    options: LdapOptions, dn: str, attributes: Attributes, emulated: frozenset[str] | None
) -> Person | None:
    local_id = _first(attributes, options.user_id_attribute)
    name = _first(attributes, options.user_name_attribute)
    if local_id is None or name is None or not _fit(local_id, name):
        return None
    ignored = set(options.user_attribute_ignore)
    extra = {}
    for each in options.user_additional_attribute_mapping:
        theirs, _, ours = each.partition(":")
        value = _first(attributes, theirs)
        if value is not None and ours:
            extra[ours] = value
    if emulated is None:
        emulated = frozenset(
            {plain_dn(dn)} if "enabled" in ignored or _is_enabled(options, attributes) else ()
        )
    return Person(
        local_id,
        dn,
        name,
        plain_dn(dn) in emulated,
        None if "email" in ignored else _first(attributes, options.user_mail_attribute),
        None if "description" in ignored else _first(attributes, options.user_description_attribute),
        None
        if "default_project_id" in ignored
        else _first(attributes, options.user_default_project_id_attribute),
        extra,
    )


def _is_enabled(options: LdapOptions, attributes: Attributes) -> bool:
    """By a truth value, or by a bit that is set in who is disabled (Active Directory's userAccountControl)."""
    said = _first(attributes, options.user_enabled_attribute) or options.user_enabled_default
    if options.user_enabled_mask:
        try:
            bits = int(said)
        except ValueError:
            return False
        return bits & options.user_enabled_mask != options.user_enabled_mask
    return (said.strip().lower() in ("true", "1", "yes", "on")) is not options.user_enabled_invert


def _emulated(connection: Any, options: LdapOptions) -> frozenset[str]:
    import ldap3

    connection.search(
        options.emulation_dn,
        "(objectClass=*)",
        search_scope=ldap3.BASE,
        attributes=[options.group_member_attribute],
    )
    members: set[str] = set()
    for entry in connection.response:
        for values in entry.get("raw_attributes", {}).values():
            members.update(plain_dn(value.decode("utf-8", "replace")) for value in values)
    return frozenset(members)


def _nested(connection: Any, options: LdapOptions) -> dict[str, list[str]]:
    """The members that each group names, by plain name: also of groups that the filter hides, for those may lie between.

    Upstream has Active Directory follow them (its rule 1.2.840.113556.1.4.1941), which no other server knows.
    """
    query, member = _query(options.group_objectclass, None), options.group_member_attribute
    return {
        plain_dn(dn): [plain_dn(each) for each in attributes.get(member.lower(), [])]
        for dn, attributes in _search(connection, options, options.groups_dn, query, [member])
    }


def _within(named: Iterable[str], inner: Mapping[str, Sequence[str]]) -> set[str]:
    """Those named, and whom the groups among them name, and so on; a circle ends where it began."""
    found: set[str] = set()
    waiting = list(named)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(inner.get(each, ()))
    return found


def _team(
    options: LdapOptions,
    dn: str,
    attributes: Attributes,
    by_dn: Mapping[str, str],
    ids: set[str],
    inner: Mapping[str, Sequence[str]],
) -> Team | None:
    local_id = _first(attributes, options.group_id_attribute)
    name = _first(attributes, options.group_name_attribute)
    if local_id is None or name is None or not _fit(local_id, name):
        return None
    said = attributes.get(options.group_member_attribute.lower(), [])
    if options.group_members_are_ids:
        members = ids.intersection(said)
    else:
        named = _within((plain_dn(each) for each in said), inner)
        members = {by_dn[each] for each in named if each in by_dn}
    description = _first(attributes, options.group_desc_attribute) or ""
    return Team(local_id, dn, name, description, frozenset(members))


def plain_dn(dn: str) -> str:
    """A distinguished name in the one spelling by which two can be compared."""
    from ldap3.core.exceptions import LDAPInvalidDnError
    from ldap3.utils.dn import parse_dn

    try:
        return ",".join(f"{name}={value}" for name, value, _ in parse_dn(dn, strip=True)).lower()
    except LDAPInvalidDnError:
        return dn.lower()
