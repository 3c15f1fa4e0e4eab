"""What buckets are configured with, read from XML: tags, access control lists, CORS, web sites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.context import Context
from pileus.lib import xml_document
from pileus.services.object_store.s3 import acl, cors, tagging, website
from pileus.services.object_store.s3.acl import ALL_USERS, AUTHENTICATED_USERS, Grant
from pileus.services.object_store.s3.documents import NAMESPACE
from pileus.services.object_store.s3.errors import S3Error

BOB = Context(user_id="u2", project_id="p2")


def code(call: Callable[[], Any]) -> str:
    with pytest.raises(S3Error) as error:
        call()
    assert 400 <= error.value.status < 500
    return error.value.kind


def tags(*pairs: tuple[str, str]) -> bytes:
    inside = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs)
    return f"<Tagging><TagSet>{inside}</TagSet></Tagging>".encode()


def test_tags() -> None:
    assert tagging.from_xml(tags(("a", "1"), ("ä b", "")), 10) == {"a": "1", "ä b": ""}
    assert tagging.from_header("a=1&b=%C3%A4&c") == {"a": "1", "b": "ä", "c": ""}
    for wrong in (("a&amp;b", "x"), ("", "x"), ("k" * 129, "x"), ("a", "v" * 257), ("aws:a", "x")):
        assert code(lambda wrong=wrong: tagging.from_xml(tags(wrong), 10)) == "InvalidTag"  # type: ignore[misc]
    assert code(lambda: tagging.from_xml(tags(("a", "1"), ("a", "2")), 10)) == "InvalidTag"
    assert code(lambda: tagging.from_header("a=1&a=2")) == "InvalidTag"
    many = tags(*((f"k{n}", "") for n in range(11)))
    assert code(lambda: tagging.from_xml(many, 10)) == "BadRequest"
    assert len(tagging.from_xml(many, 50)) == 11
    assert code(lambda: tagging.from_header("a=%ff")) == "InvalidArgument"
    assert code(lambda: tagging.from_header("&".join(f"k{n}=" for n in range(2000)))) == "InvalidArgument"
    assert code(lambda: tagging.from_xml(b"<Tagging/>", 10)) == "MalformedXML"


@given(st.dictionaries(st.text("ab =/ä", min_size=1), st.text("ab &=ä"), max_size=5))
def test_tags_are_kept(given_: dict[str, str]) -> None:
    assert tagging.load(tagging.stored(given_)) == given_


def test_grants_of_headers() -> None:
    assert acl.from_headers({}, "p1") is None
    canned = acl.from_headers({"x-amz-acl": "public-read"}, "p1")
    assert canned == (Grant("p1", "FULL_CONTROL"), Grant(ALL_USERS, "READ"))
    said = acl.from_headers({"x-amz-grant-read": f'id="p2", uri="{AUTHENTICATED_USERS}"'}, "p1")
    assert said == (Grant("p2", "READ"), Grant(AUTHENTICATED_USERS, "READ"))
    assert acl.load(acl.stored(said)) == said
    assert not acl.only_owner(said, "p1")
    for headers, kind in (
        ({"x-amz-acl": "open"}, "InvalidArgument"),
        ({"x-amz-acl": "private", "x-amz-grant-read": 'id="p2"'}, "InvalidRequest"),
        ({"x-amz-grant-read": "p2"}, "InvalidArgument"),
        ({"x-amz-grant-read": 'id=""'}, "InvalidArgument"),
        ({"x-amz-grant-read": 'uri="http://example.org"'}, "InvalidArgument"),
        ({"x-amz-grant-read": 'emailAddress="a@b.example"'}, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-grant-read": ",".join(f'id="{n}"' for n in range(101))}, "InvalidArgument"),
    ):
        assert code(lambda headers=headers: acl.from_headers(headers, "p1")) == kind  # type: ignore[misc]


def test_who_is_let_in() -> None:
    grants = (Grant("p1", "FULL_CONTROL"), Grant("u2", "WRITE"), Grant(AUTHENTICATED_USERS, "READ"))
    assert acl.permits(grants, BOB, "READ")
    assert not acl.permits(grants, BOB, "READ", public=False)
    assert acl.permits(grants, BOB, "WRITE", public=False)
    assert not acl.permits(grants, None, "READ")
    assert not acl.permits(grants, Context(), "WRITE")
    assert acl.permits(grants, Context(project_id="p1"), "WRITE_ACP")
    assert acl.permits((Grant(ALL_USERS, "READ"),), None, "READ")


def test_grants_of_documents() -> None:
    grants = (Grant("p1", "FULL_CONTROL"), Grant(ALL_USERS, "READ"))
    body = xml_document.encode(acl.document(grants, "p1"), "AccessControlPolicy", NAMESPACE)
    assert b'xsi:type="Group"' in body
    assert acl.from_xml(body, "p1") == grants
    assert code(lambda: acl.from_xml(body, "p2")) == "AccessDenied"
    assert code(lambda: acl.from_xml(body.replace(b"CanonicalUser", b"Nobody"), "p1")) == "MalformedACLError"
    assert code(lambda: acl.from_xml(body.replace(b">READ<", b">LOOK<"), "p1")) == "MalformedACLError"
    assert code(lambda: acl.from_xml(b"<Acl", "p1")) == "MalformedACLError"


def test_swifts_lists_as_grants() -> None:
    container = {"x-container-read": ".r:*,.rlistings,p2:*,p3:u3,role", "x-container-write": "*:*"}
    assert acl.swift_grants(container) == (
        Grant(ALL_USERS, "READ"),
        Grant("p2", "READ"),
        Grant("u3", "READ"),
        Grant(AUTHENTICATED_USERS, "WRITE"),
    )
    assert acl.swift_grants({"x-container-read": ".r:*"}) == ()


RULE = (
    "<CORSRule><AllowedOrigin>http://*.example.org</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
    "<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>9</MaxAgeSeconds></CORSRule>"
)


def of_rules(rules: str) -> cors.Configuration:
    return cors.read(f"<CORSConfiguration>{rules}</CORSConfiguration>".encode())


def test_pages_of_other_origins() -> None:
    anyone = "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
    found = of_rules(RULE + anyone)
    rule = cors.chosen(found, "http://a.example.org", "PUT", ["x-amz-date"])
    assert rule is found.rule[0]
    assert rule.answer("http://a.example.org", ["x-amz-date"], preflight=True) == {
        "access-control-allow-origin": "http://a.example.org",
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "x-amz-date",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "ETag",
        "access-control-max-age": "9",
        "vary": cors.VARY,
    }
    assert cors.chosen(found, "http://a.example.org", "PUT", ["authorization"]) is None
    assert cors.chosen(found, "http://a.example.com", "PUT") is None
    everybody = cors.chosen(found, "null", "GET")
    assert everybody is not None
    assert everybody.answer("null", [], preflight=False)["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("PUT", "PATCH", "InvalidRequest"),
        ("http://*", "*://*", "InvalidRequest"),
        ("x-amz-*", "*-*", "InvalidRequest"),
        ("ETag", "*", "InvalidRequest"),
        ("ETag", "a\nb", "MalformedXML"),
        (">9<", ">-1<", "MalformedXML"),
        ("<AllowedMethod>PUT</AllowedMethod>", "", "MalformedXML"),
        (RULE, "", "MalformedXML"),
        (RULE, RULE * 101, "MalformedXML"),
    ],
)
def test_rules_that_are_none(old: str, new: str, kind: str) -> None:
    assert code(lambda: of_rules(RULE.replace(old, new))) == kind


def site(inside: str) -> website.Configuration:
    return website.read(f"<WebsiteConfiguration>{inside}</WebsiteConfiguration>".encode())


INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"


def rules(*each: str) -> str:
    return f"<RoutingRules>{''.join(f'<RoutingRule>{one}</RoutingRule>' for one in each)}</RoutingRules>"


def test_sites() -> None:
    moved = (
        "<Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition>"
        "<Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect>"
    )
    lost = (
        "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>"
        "<Redirect><HostName>h.example</HostName><ReplaceKeyWith>lost</ReplaceKeyWith>"
        "<HttpRedirectCode>302</HttpRedirectCode></Redirect>"
    )
    found = site(INDEX + rules(moved, lost))
    assert [website.key(found, each) for each in ("", "a/", "a")] == ["index.html", "a/index.html", "a"]
    assert website.routed(found, "old/x") == (301, None, None, "new/x")
    assert website.routed(found, "x") is None
    assert website.routed(found, "x", 404) == (302, None, "h.example", "lost")
    gone = site(
        "<RedirectAllRequestsTo><HostName>h</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>"
    )
    assert website.routed(gone, "x") == (301, "https", "h", "x")


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>",
        "<IndexDocument><Suffix/></IndexDocument>",
        INDEX + "<ErrorDocument><Key/></ErrorDocument>",
        INDEX + "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>",
        "<RedirectAllRequestsTo><HostName>h\r\nx: y</HostName></RedirectAllRequestsTo>",
        "<RedirectAllRequestsTo><HostName>h</HostName><Protocol>gopher</Protocol></RedirectAllRequestsTo>",
        INDEX + rules("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>"),
        INDEX
        + rules(
            "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"
        ),
        INDEX + rules(*["<Redirect><HostName>h</HostName></Redirect>"] * 51),
    ],
)
def test_what_is_no_site(inside: str) -> None:
    assert code(lambda: site(inside)) == "InvalidArgument"
