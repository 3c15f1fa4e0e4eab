"""From a rule's tree to a function that is called with credentials and a target."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never

from pileus.kernel.context import Credentials
from pileus.kernel.policy.language import Always, And, Check, Field, Match, Never, Not, Or, Ref, Role

Target: TypeAlias = Mapping[str, Any]
Compiled: TypeAlias = Callable[[Credentials, Target], bool]

_MISSING: Final = object()
"""Not an exception, since raising one costs more than the rest of a check."""
_KEY_ALONE: Final = re.compile(r"%\(([^()]*)\)s")


def compile_check(check: Check, rule: Callable[[str], Compiled]) -> Compiled:
    """The function of a tree; `rule` gives that of another rule by its name.

    It never raises: a key that the target or the credentials lack fails the check, as in oslo.policy.
    Values are compared by their text, as there.
    """
    match check:
        case Always():
            return _always
        case Never():
            return _never
        case Role(template):
            return _role(template)
        case Match(kind, template):
            literal = check.literal
            return _path(kind.split("."), template) if literal is None else _literal(literal, template)
        case Field(_, name, value, is_pattern):
            return _field_pattern(name, value) if is_pattern else _attribute(name, value)
        case Ref(name):
            return rule(name)
        case Not(inner):
            return _not(compile_check(inner, rule))
        case And(checks):
            return _all([compile_check(each, rule) for each in checks])
        case Or(checks):
            return _any([compile_check(each, rule) for each in checks])
        case _:
            assert_never(check)


def _always(creds: Credentials, target: Target) -> bool:
    return True


def _never(creds: Credentials, target: Target) -> bool:
    return False


def _not(inner: Compiled) -> Compiled:
    def check(creds: Credentials, target: Target) -> bool:
        return not inner(creds, target)

    return check


def _all(checks: Sequence[Compiled]) -> Compiled:
    if len(checks) == 1:
        return checks[0]
    first, rest = checks[0], _all(checks[1:])

    def both(creds: Credentials, target: Target) -> bool:
        return first(creds, target) and rest(creds, target)

    return both


def _any(checks: Sequence[Compiled]) -> Compiled:
    if len(checks) == 1:
        return checks[0]
    first, rest = checks[0], _any(checks[1:])

    def either(creds: Credentials, target: Target) -> bool:
        return first(creds, target) or rest(creds, target)

    return either


def _role(template: str) -> Compiled:
    if "%" not in template:
        name = template.lower()

        def named(creds: Credentials, target: Target) -> bool:
            return name in creds.role_names

        return named

    def filled(creds: Credentials, target: Target) -> bool:
        try:
            return (template % target).lower() in creds.role_names
        except KeyError:
            return False

    return filled


def _literal(literal: str, template: str) -> Compiled:
    if "%" not in template:
        return _always if template == literal else _never
    if alone := _KEY_ALONE.fullmatch(template):
        return _attribute(alone[1], literal)

    def filled(creds: Credentials, target: Target) -> bool:
        try:
            return template % target == literal
        except KeyError:
            return False

    return filled


def _attribute(key: str, literal: str) -> Compiled:
    def check(creds: Credentials, target: Target) -> bool:
        try:
            return str(target[key]) == literal
        except KeyError:
            return False

    return check


def _path(path: list[str], template: str) -> Compiled:
    if len(path) == 1 and (alone := _KEY_ALONE.fullmatch(template)):
        return _credential_and_attribute(path[0], alone[1])
    if len(path) == 1 and "%" not in template:
        return _credential(path[0], template)

    def check(creds: Credentials, target: Target) -> bool:
        try:
            return _found(creds, path, template % target)
        except KeyError:
            return False

    return check


def _credential(name: str, wanted: str) -> Compiled:
    """`system_scope:all` and its like."""

    def check(creds: Credentials, target: Target) -> bool:
        mine = creds.get(name, _MISSING)
        if mine.__class__ is list:
            return wanted in map(str, mine)
        return mine is not _MISSING and str(mine) == wanted

    return check


def _credential_and_attribute(name: str, key: str) -> Compiled:
    """`project_id:%(project_id)s` and its like, which nearly all rules end in."""

    def check(creds: Credentials, target: Target) -> bool:
        mine = creds.get(name, _MISSING)
        theirs = target.get(key, _MISSING)
        if mine is _MISSING or theirs is _MISSING:
            return False
        if mine.__class__ is list:
            return str(theirs) in map(str, mine)
        return str(mine) == str(theirs)

    return check


def _found(value: Any, path: list[str], wanted: str) -> bool:
    """Whether the value at `path` reads `wanted`; of a list on the way, any element may lead there."""
    if not path:
        return str(value) == wanted
    if not isinstance(value, Mapping) or path[0] not in value:
        return False
    inner = value[path[0]]
    if isinstance(inner, list):
        return any(_found(each, path[1:], wanted) for each in inner)
    return _found(inner, path[1:], wanted)


def _field_pattern(name: str, pattern: str) -> Compiled:
    matches = re.compile(pattern).match

    def check(creds: Credentials, target: Target) -> bool:
        value = target.get(name)
        return value is not None and matches(str(value)) is not None

    return check
