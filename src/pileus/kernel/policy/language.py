"""oslo.policy's rule language as a tree (https://docs.openstack.org/oslo.policy/latest/reference/api/oslo_policy.policy.html).

A rule is text (`role:admin or not (rule:frozen and project_id:%(project_id)s)`) or the older list of lists
(an `or` of `and`s of single checks). Where oslo.policy logs a rule that it cannot read and then refuses
everybody, this parser raises `PolicyError`: a mistake is better found at start than by users.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

RuleText: TypeAlias = str | Sequence[str | Sequence[str]]


class PolicyError(ValueError):
    """Rules that cannot be used as they stand; the message names the rule and what is wrong with it."""


class Always(msgspec.Struct, frozen=True):
    """`@`: anybody."""

    def __str__(self) -> str:
        return "@"


class Never(msgspec.Struct, frozen=True):
    """`!`: nobody."""

    def __str__(self) -> str:
        return "!"


class Role(msgspec.Struct, frozen=True):
    """`role:NAME`: one of the roles has this name, whatever its case."""

    template: str

    def __str__(self) -> str:
        return f"role:{self.template}"


class Match(msgspec.Struct, frozen=True):
    """`KIND:TEMPLATE`: a literal, or the credentials' value at a dotted path, equals the filled template."""

    kind: str
    template: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.template}"

    @property
    def literal(self) -> str | None:
        """The text of the literal that `kind` is, or None when it is a path into the credentials."""
        return _literal(self.kind)


class Field(msgspec.Struct, frozen=True):
    """`field:RESOURCE:NAME=VALUE` or `=~REGEX`, Neutron's check of an attribute of the target."""

    resource: str
    name: str
    value: str
    is_pattern: bool

    def __str__(self) -> str:
        return f"field:{self.resource}:{self.name}={'~' if self.is_pattern else ''}{self.value}"


class Ref(msgspec.Struct, frozen=True):
    """`rule:NAME`: another rule holds."""

    name: str

    def __str__(self) -> str:
        return f"rule:{self.name}"


class Not(msgspec.Struct, frozen=True):
    check: Check

    def __str__(self) -> str:
        return f"not {self.check}"


class And(msgspec.Struct, frozen=True):
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        return "(" + " and ".join(map(str, self.checks)) + ")"


class Or(msgspec.Struct, frozen=True):
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        return "(" + " or ".join(map(str, self.checks)) + ")"


Check: TypeAlias = Always | Never | Role | Match | Field | Ref | Not | And | Or

_TEMPLATE: Final = re.compile(r"(?:[^%]|%%|%\([^()]*\)s)*")
_FIELD: Final = re.compile(r"(?P<resource>[^:]+):(?P<name>[^=]+)=(?P<tilde>~?)(?P<value>.*)")


def parse(rule: RuleText) -> Check:
    """The tree of a rule; an empty text or list allows everybody. Raises PolicyError."""
    return _parse_text(rule) if isinstance(rule, str) else _parse_list(rule)


@lru_cache(maxsize=1024)
def _parse_text(rule: str) -> Check:
    return _Parser(rule).parse() if rule else Always()


def references(check: Check) -> Iterator[str]:
    """Names of the rules that a tree refers to."""
    match check:
        case Ref(name):
            yield name
        case Not(inner):
            yield from references(inner)
        case And(checks) | Or(checks):
            for each in checks:
                yield from references(each)


@lru_cache(maxsize=1024)
def _literal(kind: str) -> str | None:
    try:
        return str(ast.literal_eval(kind))
    except ValueError:
        return None
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise PolicyError(
            f"{kind!r} before the colon is neither a literal nor a name or dotted path in the credentials"
        ) from None


def _parse_single(text: str) -> Check:
    if text == "@":
        return Always()
    if text == "!":
        return Never()
    kind, colon, template = text.partition(":")
    if not colon:
        raise PolicyError(f"{text!r} is no check: one reads KIND:VALUE, as role:admin")
    if kind in ("http", "https"):
        raise PolicyError(
            f"{text!r} asks an external server, which is not supported; "
            "write what it decides as roles and attributes instead"
        )
    if kind == "rule":
        return Ref(template)
    if kind == "field":
        return _parse_field(text, template)
    if not _TEMPLATE.fullmatch(template):
        raise PolicyError(f"{text!r}: after the colon a percent sign must begin %(name)s, or be doubled")
    if kind == "role":
        return Role(template)
    _literal(kind)
    return Match(kind, template)


def _parse_field(text: str, definition: str) -> Field:
    found = _FIELD.fullmatch(definition)
    if not found:
        raise PolicyError(
            f"{text!r}: a field check reads field:RESOURCE:NAME=VALUE or field:RESOURCE:NAME=~REGEX"
        )
    is_pattern = bool(found["tilde"])
    if is_pattern:
        try:
            re.compile(found["value"])
        except re.error as error:
            raise PolicyError(f"{text!r}: {error}") from None
    return Field(found["resource"], found["name"], found["value"], is_pattern)


def _parse_list(rule: Sequence[str | Sequence[str]]) -> Check:
    if not rule:
        return Always()
    alternatives: list[Check] = []
    for each in rule:
        if not each:
            continue
        checks = tuple(_parse_single(text) for text in ([each] if isinstance(each, str) else each))
        alternatives.append(checks[0] if len(checks) == 1 else And(checks))
    if not alternatives:
        return Never()
    return alternatives[0] if len(alternatives) == 1 else Or(tuple(alternatives))


def _tokens(text: str) -> Iterator[str]:
    """Words and parentheses. Those inside a word belong to it, as in `%(project_id)s`."""
    for word in text.split():
        core = word.lstrip("(")
        yield from "(" * (len(word) - len(core))
        bare = core.rstrip(")")
        if bare:
            yield bare.lower() if bare.lower() in ("and", "or", "not") else bare
        yield from ")" * (len(core) - len(bare))


class _Parser:
    """Recursive descent: `or` binds least, then `and`, then `not`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse(self) -> Check:
        check = self._or()
        if self._peek() is not None:
            raise self._unexpected("`and`, `or` or the end")
        return check

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _unexpected(self, wanted: str) -> PolicyError:
        found = self._peek()
        where = "it ends" if found is None else f"there is {found!r}"
        return PolicyError(f"cannot read {self._text!r}: {where} where {wanted} should be")

    def _or(self) -> Check:
        checks = [self._and()]
        while self._accept("or"):
            checks.append(self._and())
        return checks[0] if len(checks) == 1 else Or(tuple(checks))

    def _and(self) -> Check:
        checks = [self._not()]
        while self._accept("and"):
            checks.append(self._not())
        return checks[0] if len(checks) == 1 else And(tuple(checks))

    def _not(self) -> Check:
        if self._accept("not"):
            return Not(self._not())
        if self._accept("("):
            check = self._or()
            if not self._accept(")"):
                raise self._unexpected("a closing parenthesis")
            return check
        token = self._peek()
        if token is None or token in ("and", "or", ")"):
            raise self._unexpected("a check")
        if len(token) >= 2 and token[0] == token[-1] and token[0] in "'\"":
            raise PolicyError(f"cannot read {self._text!r}: the quoted word {token} is no check")
        self._at += 1
        return _parse_single(token)
