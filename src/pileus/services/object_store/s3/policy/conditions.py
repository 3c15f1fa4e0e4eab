"""Conditions of policies (IAM User Guide, "Condition operators")."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pileus.lib.wildcard import Wildcard

Facts = Mapping[str, Sequence[str]]
"""What is known of a request: values by condition key in lower case."""
Compare = Callable[[str, str], bool]
"""A value of the request, and one of the policy."""

KEYS = frozenset({
    "aws:currenttime", "aws:epochtime", "aws:principalaccount", "aws:principalarn",
    "aws:principaltype", "aws:referer", "aws:securetransport", "aws:sourceip", "aws:useragent",
    "aws:userid", "aws:username", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcearn",
    "aws:sourceaccount", "aws:principalorgid", "aws:requestedregion", "aws:viaawsservice",
    "s3:authtype", "s3:delimiter", "s3:max-keys", "s3:prefix", "s3:signatureage",
    "s3:signatureversion", "s3:versionid", "s3:x-amz-acl", "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source", "s3:x-amz-grant-full-control", "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp", "s3:x-amz-grant-write", "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive", "s3:x-amz-object-ownership", "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm", "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location", "s3:requestobjecttagkeys", "s3:object-lock-mode",
    "s3:object-lock-retain-until-date", "s3:object-lock-legal-hold",
    "s3:object-lock-remaining-retention-days", "s3:locationconstraint", "s3:tlsversion",
    "s3:resourceaccount", "s3:if-none-match", "s3:if-match", "s3:objectcreationoperation",
})  # fmt: skip
KEY_FAMILIES = ("s3:existingobjecttag/", "s3:requestobjecttag/", "aws:requesttag/", "aws:principaltag/")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class Unreadable(ValueError):
    """No condition; the message says why."""


def known(key: str) -> bool:
    lowered = key.lower()
    return lowered in KEYS or any(lowered.startswith(family) and lowered != family for family in KEY_FAMILIES)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?", text):
        raise Unreadable(f"{text[:60]!r} is no number")
    return float(text)


def _moment(text: str) -> float:
    if re.fullmatch(r"\d{1,12}", text):
        return float(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"{text[:60]!r} is no date") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Unreadable(f"{text[:60]!r} is no range of addresses") from None


def _inside(given: str, wanted: str) -> bool:
    network = _network(wanted)
    address = ipaddress.ip_address(given)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in network


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Unreadable(f"{text[:60]!r} is neither true nor false")
    return text.lower() == "true"


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Unreadable(f"{text[:60]!r} is no base64") from None


_OPERATORS: dict[str, Compare] = {
    "stringequals": lambda given, wanted: given == wanted,
    "stringequalsignorecase": lambda given, wanted: given.casefold() == wanted.casefold(),
    "numericequals": lambda given, wanted: _number(given) == _number(wanted),
    "numericlessthan": lambda given, wanted: _number(given) < _number(wanted),
    "numericlessthanequals": lambda given, wanted: _number(given) <= _number(wanted),
    "numericgreaterthan": lambda given, wanted: _number(given) > _number(wanted),
    "numericgreaterthanequals": lambda given, wanted: _number(given) >= _number(wanted),
    "dateequals": lambda given, wanted: _moment(given) == _moment(wanted),
    "datelessthan": lambda given, wanted: _moment(given) < _moment(wanted),
    "datelessthanequals": lambda given, wanted: _moment(given) <= _moment(wanted),
    "dategreaterthan": lambda given, wanted: _moment(given) > _moment(wanted),
    "dategreaterthanequals": lambda given, wanted: _moment(given) >= _moment(wanted),
    "bool": lambda given, wanted: _bool(given) == _bool(wanted),
    "binaryequals": lambda given, wanted: _bytes(given) == _bytes(wanted),
    "ipaddress": _inside,
}
_PATTERNS = ("stringlike", "arnequals", "arnlike")
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
_READERS: dict[str, Callable[[str], object]] = {
    "numeric": _number,
    "date": _moment,
    "bool": _bool,
    "binary": _bytes,
    "ipaddress": _network,
    "null": _bool,
}


class Condition:
    """One operator with one key: holds where one of the values fits."""

    def __init__(self, operator: str, key: str, values: Sequence[str]) -> None:
        """Raises Unreadable where there is no such operator or key, or a value is none of its kind."""
        name = operator.lower()
        self.each = name.startswith("forallvalues:")
        self.any = name.startswith("foranyvalue:")
        name = name.rpartition(":")[2]
        self.if_exists = name.endswith("ifexists") and name != "null"
        name = name.removesuffix("ifexists")
        self.negated = name in _NEGATED
        name = _NEGATED.get(name, name)
        if name not in _OPERATORS and name not in _PATTERNS and name != "null":
            raise Unreadable(f"there is no operator {operator[:60]!r}")
        if not known(key):
            raise Unreadable(f"there is no condition key {key[:60]!r}")
        for start, read in _READERS.items():
            if name.startswith(start):
                for value in values:
                    if "${" not in value:
                        read(value)
        self.name, self.key, self.values = name, key.lower(), tuple(values)

    def holds(self, facts: Facts) -> bool:
        given = facts.get(self.key)
        if self.name == "null":
            return any(_bool(value) == (given is None) for value in self.values)
        if given is None:
            return self.each or self.if_exists or (self.negated and not self.any)
        fits = [self._fits(one, facts) for one in given]
        return all(fits) if self.each or (self.negated and not self.any) else any(fits)

    def _fits(self, given: str, facts: Facts) -> bool:
        try:
            found = any(self._compare(given, value, facts) for value in self.values)
        except ValueError:  # what the request says is of another kind
            found = False
        return found != self.negated

    def _compare(self, given: str, wanted: str, facts: Facts) -> bool:
        if self.name == "stringlike":
            return filled_pattern(wanted, facts).matches(given)
        if self.name in _PATTERNS:  # each of an ARN's six parts by itself
            parts, patterns = given.split(":", 5), wanted.split(":", 5)
            pairs = zip(parts, patterns, strict=False)
            return len(parts) == len(patterns) and all(filled_pattern(p, facts).matches(g) for g, p in pairs)
        return _OPERATORS[self.name](given, filled(wanted, facts))


def filled(text: str, facts: Facts) -> str:
    """With the policy's variables put in; one that the request lacks fits nothing."""
    return "".join(part for part, _ in _parts(text, facts)) if "${" in text else text


def filled_pattern(text: str, facts: Facts) -> Wildcard:
    """As `filled`, with wildcards; what variables put in has none."""
    return Wildcard(_parts(text, facts))


def _parts(text: str, facts: Facts) -> Iterator[tuple[str, bool]]:
    for number, part in enumerate(_VARIABLE.split(text)):
        yield (_variable(part, facts), True) if number % 2 else (part, False)


def _variable(name: str, facts: Facts) -> str:
    if name in ("*", "?", "$"):
        return name
    key, _, default = name.partition(",")
    known = facts.get(key.strip().lower())
    if known:
        return known[0]
    return default.strip().strip("'") if default else "\0"
