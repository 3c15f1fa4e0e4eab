"""What an assertion of an identity provider means here: upstream's mapping language (Keystone, "Mapping Combinations").

    rules = parse({"rules": [{"remote": [{"type": "sub"}], "local": [{"user": {"name": "{0}"}}]}]})
    mapped = apply(rules, {"sub": ["alice"]})

Pure: names are not looked up, nothing is read or written. Versions 1.0, 2.0 (domains of projects, a default domain) and
3.0 (projects from a JSON attribute, roles taken away again).
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

VERSIONS = ("1.0", "2.0", "3.0")
Assertion = Mapping[str, Sequence[str]]
"""Attribute to values, always a list."""
Matches = Sequence[Sequence[str]]
"""What placeholders stand for: the values of one attribute each, by position."""


class MappingInvalid(Exception):
    """Rules that are none; the message says why."""


class NothingMapped(Exception):
    """No rule speaks of this assertion, or what one makes of it is nobody."""


class DomainRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A domain by id, or by name; neither is no domain."""

    id: str | None = None
    name: str | None = None

    def __bool__(self) -> bool:
        return self.id is not None or self.name is not None


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str | None = None
    name: str | None = None
    email: str | None = None
    domain: DomainRef | None = None
    type: Literal["ephemeral", "local"] = "ephemeral"
    """local: one that exists here already."""


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    roles: list[Role]
    domain: DomainRef | None = None


class Local(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds here, with placeholders."""

    user: User | None = None
    projects: list[Project] | None = None
    projects_json: str | None = None
    group: Group | None = None
    groups: str | None = None
    group_ids: str | None = None
    domain: DomainRef | None = None


class Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on one attribute. `any_one_of` and `not_any_of` only ask; the others also give a placeholder."""

    type: str
    any_one_of: list[Any] | None = None
    not_any_of: list[Any] | None = None
    whitelist: list[Any] | None = None
    blacklist: list[Any] | None = None
    regex: bool | None = None

    @property
    def only_asks(self) -> bool:
        return self.any_one_of is not None or self.not_any_of is not None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    local: list[Local]
    remote: list[Remote]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[Rule]
    schema_version: str = "1.0"


@dataclass(frozen=True, slots=True)
class Mapped:
    """Who it is, and what it may have. Names are still to be looked up."""

    user: User
    group_ids: tuple[str, ...] = ()
    groups: tuple[tuple[str, DomainRef], ...] = ()
    projects: tuple[Project, ...] = ()


def parse(document: Mapping[str, Any]) -> Rules:
    """The rules of `{"rules": […], "schema_version": "1.0"}`; MappingInvalid where upstream's schema says no, or where a
    placeholder can never have a value."""
    try:
        rules = msgspec.convert(document, Rules)
    except msgspec.ValidationError as error:
        raise MappingInvalid(f"The mapping is none: {error}.") from error
    if rules.schema_version not in VERSIONS:
        raise MappingInvalid(
            f"There is no schema_version {rules.schema_version!r}; there are {', '.join(VERSIONS)}."
        )
    if not rules.rules:
        raise MappingInvalid("The mapping is none: `rules` needs at least one rule.")
    for number, (rule, raw) in enumerate(zip(rules.rules, document["rules"], strict=True)):
        _check_remote(number, rule)
        places = sum(not each.only_asks for each in rule.remote)
        for local in rule.local:
            _check_local(number, local, rules.schema_version)
        _check_placeholders(number, raw["local"], places)
    return rules


def _check_remote(number: int, rule: Rule) -> None:
    if not rule.remote:
        raise MappingInvalid(f"Rule {number}: `remote` needs at least one condition.")
    for each in rule.remote:
        conditions = [
            values
            for values in (each.any_one_of, each.not_any_of, each.whitelist, each.blacklist)
            if values is not None
        ]
        if len(conditions) > 1 or (each.regex is not None and not conditions):
            raise MappingInvalid(
                f"Rule {number}: the condition on {each.type!r} must have exactly one of any_one_of, not_any_of, "
                "whitelist and blacklist, or be the type alone."
            )
        for pattern in conditions[0] if each.regex else ():
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise MappingInvalid(
                    f"Rule {number}: {pattern!r} is no regular expression: {error}."
                ) from error


def _check_local(number: int, local: Local, version: str) -> None:
    group = local.group
    if group is not None and (group.id is None) == (group.name is None or group.domain is None):
        raise MappingInvalid(f"Rule {number}: a group is named by its id, or by its name and domain.")
    if version == "1.0" and any(each.domain is not None for each in local.projects or ()):
        raise MappingInvalid(f"Rule {number}: a project may have a domain from schema_version 2.0 on.")
    if local.projects_json is not None:
        if version != "3.0":
            raise MappingInvalid(f"Rule {number}: projects_json is there from schema_version 3.0 on.")
        if _lone_place(local.projects_json) is None:
            raise MappingInvalid(f"Rule {number}: projects_json must be one placeholder, as {{0}}.")


def _check_placeholders(number: int, value: Any, places: int) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _check_placeholders(number, each, places)
    elif isinstance(value, str):
        for place in _places(value):
            if place is not None and place >= places:
                raise MappingInvalid(
                    f"Rule {number}: {value!r} speaks of {{{place}}}, but its `remote` gives only {places} value(s)."
                )


def _parts(template: str) -> list[tuple[str, int | None]]:
    """Literal texts, each followed by the position of a placeholder or by nothing."""
    found: list[tuple[str, int | None]] = []
    counted = 0
    try:
        for text, name, spec, conversion in string.Formatter().parse(template):
            place = None
            if name is not None:
                if spec or conversion or not (name == "" or (name.isascii() and name.isdigit())):
                    raise ValueError("placeholders are {0}, {1} and so on")
                place = int(name) if name else counted
                counted += not name
            found.append((text, place))
    except ValueError as error:
        raise MappingInvalid(f"{template!r} can't be filled in: {error}.") from error
    return found


def _places(template: str) -> list[int | None]:
    return [place for _, place in _parts(template)]


def _lone_place(template: str) -> int | None:
    """The position of the placeholder that is all of the template; None where there is more, or less."""
    parts = _parts(template)
    return parts[0][1] if len(parts) == 1 and parts[0][0] == "" else None


def _fill(template: str, matches: Matches) -> str:
    """Several values show as upstream shows them: as a list."""
    return "".join(
        text + ("" if place is None else _shown(matches[place])) for text, place in _parts(template)
    )


def _shown(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else repr(list(values))


def _fill_list(template: str, matches: Matches) -> list[str]:
    """All values where the template is nothing but a placeholder; otherwise the one text."""
    place = _lone_place(template)
    return [_fill(template, matches)] if place is None else list(matches[place])


# Applying


def apply(rules: Rules, assertion: Assertion) -> Mapped:
    """Who the assertion is about. NothingMapped where no rule applies."""
    entries = [
        (local, matches)
        for rule in rules.rules
        if (matches := _matches(rule.remote, assertion)) is not None
        for local in rule.local
    ]
    if not entries:
        raise NothingMapped("No rule of the mapping applies to what the identity provider says.")
    user: User | None = None
    group_ids: dict[str, None] = {}
    groups: dict[tuple[str, DomainRef], None] = {}
    projects: list[Project] = []
    default: DomainRef | None = None
    for local, matches in entries:
        default = _domain(local.domain, matches)
        if user is None and local.user is not None:
            user = _user(local.user, matches)
        if local.group is not None and local.group.id is not None:
            group_ids[_fill(local.group.id, matches)] = None
        elif local.group is not None and local.group.name is not None:
            name = _fill(local.group.name, matches)
            groups[(name, _needed(_domain(local.group.domain, matches), name))] = None
        for name in _fill_list(local.groups, matches) if local.groups is not None else ():
            groups[_named_group(name, default)] = None
        for group_id in _fill_list(local.group_ids, matches) if local.group_ids is not None else ():
            group_ids[group_id] = None
        if local.projects is not None or local.projects_json is not None:
            projects = _projects(local, matches, default if rules.schema_version != "1.0" else None)
    user = user or User()
    if rules.schema_version != "1.0" and not user.domain:
        user = msgspec.structs.replace(user, domain=default)
    return Mapped(user, tuple(group_ids), tuple(groups), tuple(projects))


def _matches(remote: Sequence[Remote], assertion: Assertion) -> Matches | None:
    """The placeholders' values, or None where a condition does not hold."""
    found: list[Sequence[str]] = []
    for each in remote:
        values = assertion.get(each.type)
        if not values:
            return None
        if each.any_one_of is not None:
            if not _hits(each.any_one_of, values, each.regex):
                return None
        elif each.not_any_of is not None:
            if _hits(each.not_any_of, values, each.regex):
                return None
        elif each.whitelist is not None:
            found.append(list(dict.fromkeys(_hits(each.whitelist, values, each.regex))))
        elif each.blacklist is not None:
            bad = _hits(each.blacklist, values, each.regex)
            found.append(list(dict.fromkeys(value for value in values if value not in bad)))
        else:
            found.append(values)
    return found


def _hits(wanted: Sequence[Any], values: Sequence[str], regex: bool | None) -> list[str]:
    """Those values that are among the wanted ones, or that contain what one of the patterns matches."""
    if regex:
        return [value for value in values if any(re.search(pattern, value) for pattern in wanted)]
    return [value for value in values if value in wanted]


def _domain(domain: DomainRef | None, matches: Matches) -> DomainRef | None:
    if not domain:
        return None
    return DomainRef(
        None if domain.id is None else _fill(domain.id, matches),
        None if domain.name is None else _fill(domain.name, matches),
    )


def _needed(domain: DomainRef | None, name: str) -> DomainRef:
    if not domain:
        raise NothingMapped(f"The mapping names a group {name!r} and no domain that it is in.")
    return domain


def _named_group(name: str, domain: DomainRef | None) -> tuple[str, DomainRef]:
    """`JSON:{"name": …, "domain": {…}}` is how one Keystone tells another of a group in a domain."""
    if not name.startswith("JSON:"):
        return name, _needed(domain, name)
    try:
        group = msgspec.json.decode(name.removeprefix("JSON:"), type=Group)
    except msgspec.DecodeError as error:
        raise NothingMapped(f"{name!r} is no group: {error}.") from error
    if group.name is None:
        raise NothingMapped(f"{name!r} is no group: it has no name.")
    return group.name, _needed(group.domain, group.name)


def _user(user: User, matches: Matches) -> User:
    return User(
        id=None if user.id is None else _fill(user.id, matches),
        name=None if user.name is None else _fill(user.name, matches),
        email=None if user.email is None else _fill(user.email, matches),
        domain=_domain(user.domain, matches),
        type=user.type,
    )


def _projects(local: Local, matches: Matches, default: DomainRef | None) -> list[Project]:
    found = [
        Project(
            _fill(each.name, matches),
            [Role(_fill(role.name, matches)) for role in each.roles],
            _domain(each.domain, matches),
        )
        for each in local.projects or ()
    ]
    for text in _fill_list(local.projects_json, matches) if local.projects_json is not None else ():
        try:
            found.extend(msgspec.json.decode(text, type=list[Project]))
        except msgspec.DecodeError as error:
            raise NothingMapped(
                f"The projects that the identity provider names can't be read: {error}."
            ) from error
    return [
        each if each.domain or default is None else msgspec.structs.replace(each, domain=default)
        for each in found
    ]
