"""A bucket's policy, read and asked (IAM User Guide, "JSON policy elements")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from pileus.lib.wildcard import wildcard
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.policy.actions import ON_BUCKETS, ON_OBJECTS, named
from pileus.services.object_store.s3.policy.conditions import Condition, Facts, Unreadable, filled_pattern

MAX_BYTES = 20 * 1024
ARN = "arn:aws:s3:::"
_VERSIONS = ("2012-10-17", "2008-10-17")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com")
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::([^:*?]+):(root|user/([^*?]+))")
_NARROWING = ("aws:sourceip", "aws:principalaccount", "aws:principalarn", "aws:userid", "aws:username",
              "aws:sourcearn", "aws:sourceaccount", "aws:sourcevpc", "aws:sourcevpce", "aws:principalorgid")  # fmt: skip
"""Conditions on these can make a statement for everybody one for some."""
Verdict = Literal["allow", "deny"]


class Principal(NamedTuple):
    """Who asks; all None: nobody in particular."""

    project_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    service: str | None = None
    """A service of the store's own: `logging.s3.amazonaws.com`."""

    @property
    def arn(self) -> str | None:
        return None if self.project_id is None else f"arn:aws:iam::{self.project_id}:user/{self.user_name}"


class Question(NamedTuple):
    principal: Principal
    action: str
    resource: str
    """`bucket` or `bucket/key`."""
    facts: Facts


def malformed(why: str) -> S3Error:
    return S3Error("MalformedPolicy", why)


class Statement:
    def __init__(self, given: Any, bucket: str) -> None:
        if not isinstance(given, dict):
            raise malformed("Statement is no object")
        unknown = set(given) - {
            "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
        }  # fmt: skip
        if unknown:
            raise malformed(f"Unknown field {sorted(unknown)[0][:60]}")
        if given.get("Effect") not in ("Allow", "Deny"):
            raise malformed("Invalid effect: it must be Allow or Deny")
        self.allows = given["Effect"] == "Allow"
        if not isinstance(given.get("Sid", ""), str):
            raise malformed("Sid is no text")
        self.principals, self.all_but = _either(given, "Principal", _principals)
        if self.all_but and self.allows:
            raise malformed("Allow with NotPrincipal is not supported")
        self.actions, self.other_actions = _either(given, "Action", _actions)
        self.resources, self.other_resources = _either(
            given, "Resource", lambda each: _resources(each, bucket)
        )
        self.conditions = _conditions(given.get("Condition", {}))
        if not (self.other_actions or self.other_resources):
            self._check_fit()

    def _check_fit(self) -> None:
        """An action must be one that is done to one of the resources."""
        on_objects = any("/" in each or each.endswith("*") for each in self.resources)
        on_buckets = any("/" not in each for each in self.resources)
        possible = (ON_OBJECTS if on_objects else frozenset()) | (ON_BUCKETS if on_buckets else frozenset())
        if not self.actions & possible:
            raise malformed("Action does not apply to any resource(s) in statement")

    def speaks_of(self, asked: Question) -> bool:
        if (asked.action in self.actions) == self.other_actions:
            return False
        fits = any(filled_pattern(each, asked.facts).matches(asked.resource) for each in self.resources)
        if fits == self.other_resources:
            return False
        if any(_is(each, asked.principal) for each in self.principals) == self.all_but:
            return False
        return all(each.holds(asked.facts) for each in self.conditions)

    @property
    def public(self) -> bool:
        """Whether it lets in everybody (S3 User Guide, 'The meaning of "public"')."""
        if not self.allows or "*" not in self.principals:
            return False
        return not any(
            each.key in _NARROWING
            and not each.negated
            and not each.if_exists
            and not each.each
            and each.name != "null"
            and not any(
                "*" in value or "?" in value or "${" in value or _is_wide(value) for value in each.values
            )
            for each in self.conditions
        )


class Policy:
    def __init__(self, body: bytes | str, bucket: str) -> None:
        """400 MalformedPolicy where it is none."""
        if len(body) > MAX_BYTES:
            raise malformed(f"The policy is larger than {MAX_BYTES} bytes")
        try:
            given = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise malformed(
                f"Policies must be valid JSON and the first byte must be '{{': {error}"
            ) from error
        if not isinstance(given, dict):
            raise malformed("Policies must be valid JSON and the first byte must be '{'")
        if unknown := set(given) - {"Version", "Id", "Statement"}:
            raise malformed(f"Unknown field {sorted(unknown)[0][:60]}")
        if given.get("Version", _VERSIONS[1]) not in _VERSIONS:
            raise malformed("The policy must contain a valid version string")
        if not isinstance(given.get("Id", ""), str):
            raise malformed("Id is no text")
        stated = given.get("Statement")
        stated = [stated] if isinstance(stated, dict) else stated
        if not isinstance(stated, list) or not stated:
            raise malformed("Missing required field Statement")
        self.statements = [Statement(each, bucket) for each in stated]
        sids = [each["Sid"] for each in stated if each.get("Sid")]
        if len(set(sids)) != len(sids):
            raise malformed("Statement IDs (SID) in a single policy must be unique.")

    def verdict(self, asked: Question, *, restricted: bool = False) -> Verdict | None:
        """A denial wins; None where no statement speaks of it. `restricted`: what lets in everybody counts for nothing."""
        found: Verdict | None = None
        for each in self.statements:
            if each.allows and (found is not None or (restricted and each.public)):
                continue
            if each.speaks_of(asked):
                if not each.allows:
                    return "deny"
                found = "allow"
        return found

    @property
    def public(self) -> bool:
        return any(each.public for each in self.statements)


def _either(given: Mapping[str, Any], name: str, read: Any) -> tuple[Any, bool]:
    """What `name` or `Not…name` says, and whether it was the latter."""
    if (name in given) == (f"Not{name}" in given):
        raise malformed(f"Statement must have either {name} or Not{name}")
    return (read(given[name]), False) if name in given else (read(given[f"Not{name}"]), True)


def _texts(given: Any, what: str) -> list[str]:
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise malformed(f"{what} must be a text or a list of texts")
    return found


def _principals(given: Any) -> frozenset[str]:
    """`*`, project ids, `project/user`, `=id`, `service:name`."""
    if given == "*":
        return frozenset("*")
    if not isinstance(given, dict) or not given:
        raise malformed("Invalid principal in policy")
    found = set()
    for kind, names in given.items():
        for name in _texts(names, "Principal"):
            if kind == "CanonicalUser" and name and name != "*":
                found.add(f"={name}")
            elif kind == "Service" and _SERVICE.fullmatch(name):
                found.add(f"service:{name}")
            elif kind != "AWS":
                raise malformed("Invalid principal in policy")
            elif name == "*" or re.fullmatch(r"[A-Za-z0-9._-]+", name):
                found.add(name)
            elif matched := _PRINCIPAL.fullmatch(name):
                found.add(matched[1] if matched[2] == "root" else f"{matched[1]}/{matched[3]}")
            else:
                raise malformed("Invalid principal in policy")
    return frozenset(found)


def _is(named_: str, asked: Principal) -> bool:
    if named_ == "*":
        return True
    if named_.startswith("service:"):
        return asked.service is not None and named_ == f"service:{asked.service}"
    if asked.project_id is None:
        return False
    if named_.startswith("="):
        return named_[1:] in (asked.project_id, asked.user_id)
    project, slash, user = named_.partition("/")
    return project == asked.project_id and (not slash or user in (asked.user_id, asked.user_name))


def _actions(given: Any) -> frozenset[str]:
    found: set[str] = set()
    for each in _texts(given, "Action"):
        meant = named(each)
        if not meant:
            raise malformed("Policy has invalid action")
        found |= meant
    return frozenset(found)


def _resources(given: Any, bucket: str) -> tuple[str, ...]:
    found = []
    for each in _texts(given, "Resource"):
        path = each.removeprefix(ARN)
        of_bucket = wildcard(path.partition("/")[0]).matches(bucket)
        if each != "*" and (path == each or not of_bucket):
            raise malformed("Policy has invalid resource")
        found.append(path)
    return tuple(found)


def _conditions(given: Any) -> tuple[Condition, ...]:
    if not isinstance(given, dict):
        raise malformed("Condition is no object")
    found = []
    for operator, keys in given.items():
        if not isinstance(keys, dict) or not keys:
            raise malformed(f"Condition {operator[:60]} is no object")
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            if not all(isinstance(each, str | bool | int | float) for each in listed) or not listed:
                raise malformed("Invalid condition value")
            texts = [str(each).lower() if isinstance(each, bool) else str(each) for each in listed]
            try:
                found.append(Condition(operator, key, texts))
            except Unreadable as error:
                raise malformed(f"Policy has an invalid condition: {error}") from error
    return tuple(found)


def _is_wide(value: str) -> bool:
    """A range of addresses of more than a 256th of all: as AWS, no restriction."""
    address, slash, bits = value.partition("/")
    return bool(slash) and bits.isdigit() and int(bits) < (32 if ":" in address else 8)
