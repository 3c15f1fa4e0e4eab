"""Who may do what: owners of accounts, resellers' administrators, and those whom a container's lists name."""

from __future__ import annotations

import json
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import authenticate
from pileus.kernel.context import Context
from pileus.kernel.errors import BadRequest, Forbidden, Unauthorized
from pileus.services.object_store import metadata
from pileus.services.object_store.name import Name, as_text
from pileus.services.object_store.state import ObjectStoreState

ACCOUNT_ACL = "x-account-access-control"
ACCOUNT_LEVELS = ("admin", "read-write", "read-only")
AccountAcl = dict[str, list[str]]
Way = Literal["read", "write", "list"]
RULED = frozenset(f"{metadata.SYSTEM}s3-{each}" for each in ("policy", "ownership", "public-access"))
"""A container with one of these has rules that S3 made; they hold for every API."""


async def identify(call: Call) -> Context | None:
    """Who asks; None for nobody in particular, also where the token is no good: a public object needs none."""
    state: ObjectStoreState = call.runtime.state
    token = call.header("x-auth-token") or call.header("x-storage-token")
    if token and state.temp_auth is not None and (known := state.temp_auth.context(token)) is not None:
        call.context = known
        return known
    try:
        await authenticate(call)
    except Unauthorized:
        return None
    return call.context


def owns(context: Context | None, name: Name, state: ObjectStoreState) -> bool:
    """Whether all of the account is the caller's."""
    if context is None:
        return False
    roles = context.creds.role_names
    if state.reseller_admin_role in roles:
        return True
    return (
        context.project_id is not None
        and context.project_id == name.project_id
        and not roles.isdisjoint(state.operator_roles)
    )


def refuse(context: Context | None) -> Unauthorized | Forbidden:
    if context is None:
        return Unauthorized("This server could not verify that you are authorized to access it.")
    return Forbidden("Access was denied to this resource.")


def _action(call: Call, name: Name, way: Way) -> str:
    """What policies of buckets call it."""
    if not name.object:
        return "s3:ListBucket"
    if way == "write":
        return "s3:DeleteObject" if call.method == "DELETE" else "s3:PutObject"
    return "s3:GetObject"


def _version(call: Call, way: Way) -> str | None:
    """The version of the object that is read or deleted, where the request names one."""
    return (call.arg("version-id") or None) if way == "read" or call.method == "DELETE" else None


async def require(call: Call, name: Name, way: Way, *, by_list: bool = True) -> Context | None:
    """401 or 403 where the caller may not. Returns the owner's context; None for whom a list lets in, of the account or
    (`by_list`) of the container."""
    state: ObjectStoreState = call.runtime.state
    context = await identify(call)
    info = await state.container(name.account, name.container) if name.container else None
    if info is not None and not info.metadata.keys().isdisjoint(RULED):
        from pileus.services.object_store.s3 import permission

        version_id = _version(call, way) if name.object else None
        action = _action(call, name, way)
        if not await permission.decide(call, context, action, name, info.metadata, version_id=version_id):
            raise refuse(context)
        owner = owns(context, name, state) or await account_level(state, name, context) == "admin"
        return context if owner else None
    if owns(context, name, state):
        return context
    level = await account_level(state, name, context)
    if level == "admin":
        return context
    if (level and way != "write") or (level == "read-write" and name.container):
        return None
    if name.container and by_list:
        acl = (
            ""
            if info is None
            else info.metadata.get(f"x-container-{'write' if way == 'write' else 'read'}", "")
        )
        if acl and granted(as_text(acl), context, call.header("referer"), way):
            return None
    raise refuse(context)


async def require_account(call: Call, name: Name) -> bool:
    """Whether the caller owns the account, not only writes to it. A container's lists open what is in it, not itself."""
    state: ObjectStoreState = call.runtime.state
    context = await identify(call)
    if owns(context, name, state):
        return True
    level = await account_level(state, name, context)
    if level not in ("admin", "read-write"):
        raise refuse(context)
    return level == "admin"


async def account_level(state: ObjectStoreState, name: Name, context: Context | None) -> str:
    """What the account's own access list gives the caller: `admin`, `read-write`, `read-only` or nothing."""
    if context is None:
        return ""
    kept = (await state.account_metadata(name.account)).get(ACCOUNT_ACL)
    if not kept:
        return ""
    levels = msgspec.json.decode(kept.encode("latin-1", "replace"), type=AccountAcl)
    for level in ACCOUNT_LEVELS:
        if any(_is_named(entry, context) for entry in levels.get(level, ())):
            return level
    return ""


def clean_account_acl(value: str) -> str:
    """`X-Account-Access-Control` in its plain form: JSON in ASCII, levels to identities; empty where it names nobody. 400 where it
    is none."""
    try:
        levels = msgspec.json.decode(value.encode("latin-1"), type=AccountAcl)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise BadRequest(
            f"X-Account-Access-Control must be JSON, levels to lists of identities: {error}"
        ) from error
    unknown = levels.keys() - set(ACCOUNT_LEVELS)
    if unknown:
        raise BadRequest(
            f"X-Account-Access-Control knows {', '.join(ACCOUNT_LEVELS)}, not {', '.join(sorted(unknown))}"
        )
    named = {level: levels[level] for level in ACCOUNT_LEVELS if levels.get(level)}
    return json.dumps(named, separators=(",", ":")) if named else ""


_OF_NAMES = (None, "default")
"""Domains whose users and projects lists may name, the default one and none, as of the settings' users: a name is nobody's
own in two domains, an id is (Swift's documentation, "The Auth System")."""


def _is_named(entry: str, context: Context) -> bool:
    """Whether `PROJECT:USER` or a role, in an access list, is the caller."""
    project, colon, user = entry.partition(":")
    if entry.startswith(".") or not entry:
        return False
    if not colon:
        return entry.lower() in {role.lower() for role in context.roles}
    projects, users = {"*", context.project_id}, {"*", context.user_id}
    if context.user_domain_id in _OF_NAMES and context.project_domain_id in _OF_NAMES:
        projects.add(context.project_name)
        users.add(context.user_name)
    return project in projects - {None} and user in users - {None}


def granted(acl: str, context: Context | None, referrer: str | None, way: Way) -> bool:
    """Whether an access list (Object Storage API, "Container ACLs") lets somebody in."""
    entries = [entry for entry in acl.split(",") if entry]
    if context is not None and any(_is_named(entry, context) for entry in entries):
        return True
    if way == "write" or not _referred([e[3:] for e in entries if e.startswith(".r:")], referrer):
        return False
    return way == "read" or ".rlistings" in entries


def _referred(hosts: list[str], referrer: str | None) -> bool:
    """Whether the last of the hosts that fit lets in."""
    allowed = False
    try:
        host = (urlsplit(referrer).hostname if referrer and "//" in referrer else None) or "unknown"
    except ValueError:
        host = "unknown"
    for entry in hosts:
        wanted = entry.removeprefix("-")
        if wanted == "*" or wanted == host or (wanted.startswith(".") and host.endswith(wanted)):
            allowed = not entry.startswith("-")
    return allowed
