"""Access control lists of buckets and objects: grants to projects, users and two groups.

A canonical user's id is a project's id, which means all of its users, or a user's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from pileus.kernel.context import Context
from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import documents
from pileus.services.object_store.s3.errors import S3Error

Permission = Literal["FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"]
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS = (ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY)
PUBLIC = (ALL_USERS, AUTHENTICATED_USERS)
MAX_GRANTS = 100
_HEADERS: dict[str, Permission] = {
    "x-amz-grant-full-control": "FULL_CONTROL",
    "x-amz-grant-read": "READ",
    "x-amz-grant-write": "WRITE",
    "x-amz-grant-read-acp": "READ_ACP",
    "x-amz-grant-write-acp": "WRITE_ACP",
}
_CANNED: dict[str, tuple[tuple[str, Permission], ...]] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "aws-exec-read": (),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
}
"""What each gives beside all to the owner. An object's owner is its bucket's, so what it gives to that one is nothing more."""
_TELLING = frozenset(("x-amz-acl", *_HEADERS))
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*"([^"]*)"\s*', re.IGNORECASE)


class Grant(NamedTuple):
    grantee: str
    """An id, or the URI of a group."""
    permission: Permission

    @property
    def public(self) -> bool:
        return self.grantee in PUBLIC


class Grantee(Document):
    kind: str = msgspec.field(name="@type")
    id: str | None = msgspec.field(name="ID", default=None)
    display_name: str | None = None
    uri: str | None = msgspec.field(name="URI", default=None)
    email_address: str | None = None


class GrantElement(Document):
    grantee: Grantee
    permission: Permission


class Grants(Document):
    grant: list[GrantElement] = []


class Owner(Document):
    id: str = msgspec.field(name="ID")
    display_name: str | None = None


class AccessControlPolicy(Document):
    owner: Owner
    access_control_list: Grants


def _checked(grantee: str, kind: str, permission: Permission) -> Grant:
    if kind == "email":
        raise S3Error(
            "UnresolvableGrantByEmailAddress",
            "Grants go to ids of projects and users, not to e-mail addresses",
        )
    if kind == "uri" and grantee not in GROUPS:
        raise S3Error("InvalidArgument", "Invalid group uri")
    if not grantee or len(grantee) > 255 or (kind == "id" and not grantee.isprintable()):
        raise S3Error("InvalidArgument", "Invalid id")
    return Grant(grantee, permission)


def from_headers(headers: Mapping[str, str], owner: str) -> tuple[Grant, ...] | None:
    """What `x-amz-acl` or `x-amz-grant-*` say; None where they say nothing. The owner's own grant is not among a canned one's.

    400 where both are there, or they can't be read.
    """
    if _TELLING.isdisjoint(headers):
        return None
    canned = headers.get("x-amz-acl")
    given = [name for name in _HEADERS if name in headers]
    if canned is not None:
        if given:
            raise S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
        if canned not in _CANNED:
            raise S3Error("InvalidArgument", f"There is no canned ACL {canned[:60]!r}")
        return (Grant(owner, "FULL_CONTROL"), *(Grant(*each) for each in _CANNED[canned]))
    found = []
    for name in given:
        for each in headers[name].split(","):
            matched = _GRANTEE.fullmatch(each)
            if matched is None:
                raise S3Error("InvalidArgument", f'{name} must be of the form id="…" or uri="…"')
            kind = {"id": "id", "uri": "uri"}.get(matched[1].lower(), "email")
            found.append(_checked(matched[2], kind, _HEADERS[name]))
    return _not_too_many(found)


def from_xml(body: bytes, owner: str) -> tuple[Grant, ...]:
    try:
        given = documents.read(body, AccessControlPolicy, "AccessControlPolicy")
        if given.owner.id != owner:
            raise S3Error("AccessDenied", "The owner of a bucket or an object can't be changed")
        return from_elements(given.access_control_list.grant)
    except S3Error as error:
        if error.kind != "MalformedXML":
            raise
        raise S3Error("MalformedACLError", error.message) from error


def from_elements(given: list[GrantElement]) -> tuple[Grant, ...]:
    """400 where one of them can't be."""
    found = []
    for each in given:
        match each.grantee:
            case Grantee(kind="CanonicalUser", id=str(id_)):
                found.append(_checked(id_, "id", each.permission))
            case Grantee(kind="Group", uri=str(uri)):
                found.append(_checked(uri, "uri", each.permission))
            case Grantee(kind="AmazonCustomerByEmail", email_address=str(address)):
                found.append(_checked(address, "email", each.permission))
            case _:
                raise documents.malformed("a Grantee is a CanonicalUser with ID, or a Group with URI")
    return _not_too_many(found)


def _not_too_many(found: list[Grant]) -> tuple[Grant, ...]:
    if len(found) > MAX_GRANTS:
        raise S3Error("InvalidArgument", f"An access control list has at most {MAX_GRANTS} grants")
    return tuple(dict.fromkeys(found))


def document(grants: tuple[Grant, ...], owner: str) -> AccessControlPolicy:
    shown = [
        GrantElement(
            grantee=Grantee(kind="Group", uri=each.grantee)
            if each.grantee in GROUPS
            else Grantee(kind="CanonicalUser", id=each.grantee, display_name=each.grantee),
            permission=each.permission,
        )
        for each in grants
    ]
    return AccessControlPolicy(
        owner=Owner(id=owner, display_name=owner), access_control_list=Grants(grant=shown)
    )


def stored(grants: tuple[Grant, ...]) -> str:
    return " ".join(f"{each.permission}={each.grantee.replace(' ', '%20')}" for each in grants)


def load(kept: str | None) -> tuple[Grant, ...]:
    found = []
    for each in (kept or "").split():
        permission, _, grantee = each.partition("=")
        found.append(Grant(grantee.replace("%20", " "), msgspec.convert(permission, Permission)))
    return tuple(found)


def only_owner(grants: tuple[Grant, ...], owner: str) -> bool:
    """Whether it gives nobody anything but the owner."""
    return all(each.grantee == owner for each in grants)


def permits(
    grants: tuple[Grant, ...], context: Context | None, permission: Permission, *, public: bool = True
) -> bool:
    """Whether one of the grants is the caller's; `public`: whether those to everybody count."""
    mine: set[str | None] = {ALL_USERS} if public else set()
    if context is not None:
        mine |= {context.project_id, context.user_id} | ({AUTHENTICATED_USERS} if public else set())
    return any(each.grantee in mine and each.permission in (permission, "FULL_CONTROL") for each in grants)


def swift_grants(container: Mapping[str, str]) -> tuple[Grant, ...]:
    """What a container's own access lists give, as far as grants can say it."""
    found: list[Grant] = []
    for header, permission in (("x-container-read", "READ"), ("x-container-write", "WRITE")):
        entries = [each for each in container.get(header, "").split(",") if each]
        for entry in entries:
            project, colon, user = entry.partition(":")
            if entry == ".r:*" and ".rlistings" in entries:
                found.append(Grant(ALL_USERS, "READ"))
            elif entry.startswith(".") or not colon:
                continue
            elif user == "*":
                grantee = AUTHENTICATED_USERS if project == "*" else project
                found.append(Grant(grantee, "READ" if permission == "READ" else "WRITE"))
            elif project != "*":
                found.append(Grant(user, "READ" if permission == "READ" else "WRITE"))
    return tuple(dict.fromkeys(found))
