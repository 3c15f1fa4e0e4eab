"""Bucket policies: who is let in, who is kept out, and what is no policy."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.lib.wildcard import wildcard
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.policy.document import Policy, Principal, Question

ANN, BOB = Principal("p1", "u1", "ann"), Principal("p2", "u2", "bob")
NOBODY = Principal()
BUCKET, OBJECTS = "arn:aws:s3:::b", "arn:aws:s3:::b/*"


def policy(*statements: dict[str, Any]) -> Policy:
    filled = [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS, **each}
        for each in statements
    ]
    return Policy(
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{k: v for k, v in each.items() if v is not None} for each in filled],
            }
        ),
        "b",
    )


def ask(
    of: Policy, who: Principal = BOB, action: str = "s3:GetObject", resource: str = "b/o", **facts: str
) -> str | None:
    known = {name.replace("__", ":"): [value] for name, value in facts.items()}
    return of.verdict(Question(who, action, resource, known))


def test_a_denial_wins() -> None:
    both = policy({}, {"Effect": "Deny", "Resource": "arn:aws:s3:::b/secret/*"})
    assert ask(both) == "allow"
    assert ask(both, NOBODY) == "allow"
    assert ask(both, resource="b/secret/o") == "deny"
    assert ask(both, action="s3:PutObject") is None


@pytest.mark.parametrize(
    ("principal", "ann", "bob", "nobody"),
    [
        ("*", True, True, True),
        ({"AWS": "*"}, True, True, True),
        ({"AWS": "p2"}, False, True, False),
        ({"AWS": ["arn:aws:iam::p1:root", "p2"]}, True, True, False),
        ({"AWS": "arn:aws:iam::p2:user/bob"}, False, True, False),
        ({"AWS": "arn:aws:iam::p2:user/u2"}, False, True, False),
        ({"AWS": "arn:aws:iam::p1:user/bob"}, False, False, False),
        ({"CanonicalUser": "u1"}, True, False, False),
    ],
)
def test_principals(principal: Any, ann: bool, bob: bool, nobody: bool) -> None:
    found = policy({"Principal": principal})
    assert [ask(found, who) == "allow" for who in (ANN, BOB, NOBODY)] == [ann, bob, nobody]


def test_all_but_some() -> None:
    found = policy({}, {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": "p1"}})
    assert (ask(found, ANN), ask(found, BOB), ask(found, NOBODY)) == ("allow", "deny", "deny")
    found = policy(
        {"Action": None, "NotAction": "s3:Delete*", "Resource": None, "NotResource": "arn:aws:s3:::b/x"}
    )
    assert (ask(found), ask(found, action="s3:DeleteObject"), ask(found, resource="b/x")) == (
        "allow",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("operator", "key", "values", "given", "fits"),
    [
        ("StringEquals", "s3:prefix", ["a", "b"], "b", True),
        ("StringEquals", "s3:prefix", "a", "A", False),
        ("StringEqualsIgnoreCase", "s3:prefix", "a", "A", True),
        ("StringNotEquals", "s3:prefix", "a", "b", True),
        ("StringNotEquals", "s3:prefix", ["a", "b"], "b", False),
        ("StringNotEquals", "s3:prefix", "a", None, True),
        ("StringLike", "s3:prefix", "home/*", "home/x/y", True),
        ("StringLike", "s3:prefix", "home/?", "home/xy", False),
        ("StringNotLike", "s3:prefix", "home/*", "other", True),
        ("StringEquals", "s3:prefix", "a", None, False),
        ("StringEqualsIfExists", "s3:prefix", "a", None, True),
        ("NumericLessThanEquals", "s3:max-keys", 10, "10", True),
        ("NumericLessThan", "s3:max-keys", "10", "10", False),
        ("NumericLessThan", "s3:max-keys", "10", "many", False),
        ("NumericNotEquals", "s3:max-keys", "10", "11", True),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-01", "2026-06-01T00:00:00Z", False),
        ("DateLessThan", "aws:EpochTime", "2000000000", "1000000000", True),
        ("Bool", "aws:SecureTransport", False, "false", True),
        ("Bool", "aws:SecureTransport", "true", "false", False),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "192.0.2.77", True),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "::ffff:192.0.2.77", True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", True),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "not an address", False),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", "198.51.100.1", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/b*", "arn:aws:iam::p2:user/bob", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*", "arn:aws:iam::p2:user/bob", False),
        ("Null", "aws:Referer", "true", None, True),
        ("Null", "aws:Referer", "true", "x", False),
        ("Null", "aws:Referer", "false", "x", True),
        ("StringEquals", "s3:ExistingObjectTag/colour", "red", "red", True),
        ("StringLike", "s3:prefix", "home/${aws:username}/*", "home/bob/x", True),
        ("StringLike", "s3:prefix", "home/${aws:username}/*", "home/ann/x", False),
        ("StringEquals", "s3:prefix", "${aws:unknown}", "", False),
        ("StringEquals", "s3:prefix", "${*}", "*", True),
        ("ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", "a", "a", True),
        ("ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", "a", None, False),
        ("ForAllValues:StringEquals", "s3:RequestObjectTagKeys", "a", None, True),
    ],
)
def test_conditions(operator: str, key: str, values: Any, given: str | None, fits: bool) -> None:
    found = policy({"Condition": {operator: {key: values}}})
    facts = {} if given is None else {key.lower(): given}
    assert (ask(found, **{"aws:username": "bob", **facts}) == "allow") is fits


def test_a_name_with_a_star_is_no_pattern() -> None:
    """Who may choose its own name must not choose what it may read."""
    found = policy({"Resource": "arn:aws:s3:::b/home/${aws:username}/*"})
    assert ask(found, resource="b/home/bob/x", **{"aws:username": "bob"}) == "allow"
    assert ask(found, resource="b/home/ann/x", **{"aws:username": "*"}) is None
    assert ask(found, resource="b/home/*/x", **{"aws:username": "*"}) == "allow"


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "p2"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "p2"}}}, False),
        ({"Condition": {"StringLike": {"aws:userid": "u*"}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:userid": "u1"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
    ],
)
def test_public_or_not(statement: dict[str, Any], public: bool) -> None:
    found = policy(statement)
    assert found.public is public
    asked = Question(
        BOB, "s3:GetObject", "b/o", {"aws:principalaccount": ["p2"], "aws:securetransport": ["true"]}
    )
    if public:
        assert found.verdict(asked, restricted=True) is None


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Perhaps"},
        {"Principal": None},
        {"Principal": {"AWS": "arn:aws:iam::p1:user/*"}},
        {"Principal": {"Service": "x"}},
        {"Principal": "p1"},
        {"Principal": {"AWS": []}},
        {"Principal": {}},
        {"NotPrincipal": {"AWS": "p1"}},
        {"Action": "s3:GetTheObject"},
        {"Action": "ec2:RunInstances"},
        {"Action": 7},
        {"Action": ["s3:GetObject", 7]},
        {"Action": "s3:ListBucket"},
        {"Action": "s3:GetObject", "Resource": BUCKET},
        {"Resource": "arn:aws:s3:::other/*"},
        {"Resource": "b/*"},
        {"Condition": {"StringAlike": {"s3:prefix": "x"}}},
        {"Condition": {"StringEquals": {"s3:unheard-of": "x"}}},
        {"Condition": {"StringEquals": "x"}},
        {"Condition": {"StringEquals": {"s3:prefix": {}}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "300.1.1.1"}}},
        {"Condition": {"NumericEquals": {"s3:max-keys": "ten"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "perhaps"}}},
        {"Condition": {"DateEquals": {"aws:CurrentTime": "tomorrow"}}},
        {"Condition": []},
        {"Colour": "red"},
    ],
)
def test_what_is_no_statement(statement: dict[str, Any]) -> None:
    with pytest.raises(S3Error) as error:
        policy(statement)
    assert (error.value.kind, error.value.status) == ("MalformedPolicy", 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 15_000,
        b'{"Statement": []}',
        b'{"Statement": [7]}',
        b'{"Version": "2020-01-01", "Statement": {}}',
        b'{"Version": {}, "Statement": {}}',
        b"{" + b" " * 20_480 + b"}",
    ],
)
def test_what_is_no_policy(body: bytes) -> None:
    with pytest.raises(S3Error) as error:
        Policy(body, "b")
    assert error.value.kind == "MalformedPolicy"


def test_one_sid_each() -> None:
    with pytest.raises(S3Error):
        policy({"Sid": "a"}, {"Sid": "a"})


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_wildcards_are_as_in_a_shell(pattern: str, text: str) -> None:
    assert wildcard(pattern).matches(text) is (re.match(fnmatch.translate(pattern), text) is not None)


def test_wildcards_take_no_time() -> None:
    assert not wildcard("*a" * 500 + "b").matches("a" * 1024)
