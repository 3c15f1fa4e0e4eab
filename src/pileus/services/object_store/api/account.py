"""Accounts: a project's containers."""

from __future__ import annotations

from collections.abc import Callable

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.context import Context
from pileus.kernel.errors import BadRequest, Forbidden, Gone, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import access, metadata, reaper, usage
from pileus.services.object_store.api import listing, outcome
from pileus.services.object_store.listings import AccountInfo, AccountLeaving, Metadata, Usage
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.state import ObjectStoreState

routes = Routes()
ALSO = ("account-access-control", "account-rfc-compliant-etags")
LOCK = "account-sysmeta-read-only"
"""Likewise; for resellers' administrators."""
PRIVATE = (access.ACCOUNT_ACL, "x-account-meta-temp-url-key", "x-account-meta-temp-url-key-2")
"""Shown to the account's owner only."""
QUOTAS = ("account-quota-bytes", "account-quota-count")
"""Headers beside `X-Account-Meta-*`, without `x-`, that an account keeps. With `-policy-INDEX` those of one storage policy;
clients name it."""


async def _described(state: ObjectStoreState, name: Name, *, owner: bool) -> dict[str, str]:
    """An owner's account is there before it is made. 410 where it is deleted, but not all of it gone."""
    info = await usage.of_account(state, name.account)
    if info is None:
        if await state.listings.containers_left(name.account, "", 1):
            raise _leaving()
        info = AccountInfo(state.now(), {}, 0, 0, 0)
    headers = _counts("x-account", Usage(info.containers, info.objects, info.bytes_used))
    for index, used in info.policies.items():
        headers |= _counts(f"x-account-storage-policy-{state.policies.name_of(index).lower()}", used)
    return {
        **headers,
        **{
            each: value
            for each, value in _quotas_named(state, info.metadata).items()
            if (owner or each not in PRIVATE) and each != f"x-{LOCK}"
        },
        "x-timestamp": info.created.normal,
        "accept-ranges": "bytes",
    }


def _leaving() -> Gone:
    return Gone("The account is deleted; it can be made again when all that it had is gone.")


def _counts(prefix: str, used: Usage) -> dict[str, str]:
    return {
        f"{prefix}-container-count": str(used.containers),
        f"{prefix}-object-count": str(used.objects),
        f"{prefix}-bytes-used": str(used.bytes_used),
    }


def _quotas_named(state: ObjectStoreState, kept: Metadata) -> dict[str, str]:
    """An account's metadata as clients see it: quotas of storage policies under their names."""
    shown = dict(kept)
    for policy in state.policies:
        for quota in QUOTAS:
            if (limit := shown.pop(f"x-{quota}-policy-{policy.index}", None)) is not None:
                shown[f"x-{quota}-policy-{policy.name.lower()}"] = limit
    return shown


def _quotas_numbered(state: ObjectStoreState, headers: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """A request's headers with storage policies' quotas by index, and the names of all quotas that there may be."""
    by_policy = tuple(f"{start}{quota}-policy-" for start in ("x-", "x-remove-") for quota in QUOTAS)
    found = {name: value for name, value in headers.items() if not name.startswith(by_policy)}
    quotas = list(QUOTAS)
    for policy in state.policies:
        for quota in QUOTAS:
            quotas.append(f"{quota}-policy-{policy.index}")
            for start in ("x-", "x-remove-"):
                if (limit := headers.get(f"{start}{quota}-policy-{policy.name.lower()}")) is not None:
                    found[f"{start}{quota}-policy-{policy.index}"] = limit
    return found, quotas


def _change(call: Call, context: Context | None) -> Callable[[Metadata], Metadata]:
    """What a request makes of an account's metadata. 403 where it sets a quota and may not; 400 where that is no number."""
    state: ObjectStoreState = call.runtime.state
    headers, quotas = _quotas_numbered(state, dict(call.headers))
    limits = [
        f"{start}{each}" for each in ("account-meta-quota-bytes", *quotas) for start in ("x-", "x-remove-")
    ]
    locks = [f"{start}{LOCK}" for start in ("x-", "x-remove-")]
    given = [each for each in (*limits, *locks) if each in headers]
    if given:
        roles = {role.lower() for role in context.roles} if context is not None else set()
        if state.reseller_admin_role not in roles:
            raise Forbidden(
                "Only a reseller's administrator sets an account's quota, or closes it for writing."
            )
    for each in set(given) - set(locks):
        limit = headers[each]
        if limit and not each.startswith("x-remove-") and not (limit.isascii() and limit.isdigit()):
            raise BadRequest(f"{each}: {limit!r} is not a number.")
    if headers.get(access.ACCOUNT_ACL):
        headers[access.ACCOUNT_ACL] = access.clean_account_acl(headers[access.ACCOUNT_ACL])
    return lambda old: metadata.changed(old, headers, "account", (*quotas, *ALSO, LOCK))


async def _set(call: Call, name: Name, context: Context | None) -> None:
    state: ObjectStoreState = call.runtime.state
    try:
        await state.listings.set_account(name.account, state.now(), _change(call, context))
    except AccountLeaving:
        raise _leaving() from None
    state.forget_account(name.account)


def _domain(owner: Context | None, name: Name) -> dict[str, str]:
    """The domain of the account's project, where the caller's token is of that project and tells it."""
    if owner is None or owner.project_id is None or owner.project_id != name.project_id:
        return {}
    return {"x-account-project-domain-id": owner.project_domain_id} if owner.project_domain_id else {}


@routes.add("HEAD", "/{account}", policy=ANYONE, status=204)
async def head_account(call: Call) -> Reply:
    """An account's metadata and counts."""
    name = parse(call.path)
    owner = await access.require(call, name, "read")
    state: ObjectStoreState = call.runtime.state
    headers = {**await _described(state, name, owner=owner is not None), **_domain(owner, name)}
    return Reply(204, headers={**headers, "content-type": listing.MEDIA_TYPES[listing.form(call)]})


@routes.add(
    "GET", "/{account}", policy=ANYONE, answers=listing.forms(listing.ContainerEntry), also={204: NOTHING}
)
async def list_containers(call: Call) -> Reply:
    """An account's containers."""
    name = parse(call.path)
    owner = await access.require(call, name, "list")
    shape, asked = listing.form(call), listing.ask(call)
    state: ObjectStoreState = call.runtime.state
    asked = asked._replace(policies=tuple((policy.index, policy.name) for policy in state.policies))
    body = await usage.list_containers(state, name.account, asked, shape)
    if body is None:
        empty = f'<?xml version="1.0" encoding="UTF-8"?>\n<account name="{name.account}"></account>'
        body = {"plain": b"", "json": b"[]", "xml": empty.encode()}[shape]
    return listing.answer(body, shape, await _described(state, name, owner=owner is not None))


@routes.add("POST", "/{account}", policy=ANYONE, status=204, also={200: outcome.ANSWERS})
async def update_account(call: Call) -> Reply:
    """Sets and removes an account's metadata."""
    name = parse(call.path)
    context = await access.require(call, name, "write")
    await _set(call, name, context)
    return Reply(204, headers={"content-type": listing.MEDIA_TYPES["plain"]})


@routes.add(
    "PUT",
    "/{account}",
    policy=ANYONE,
    status=201,
    answers=NOTHING,
    also={202: NOTHING, 200: outcome.ANSWERS},
)
async def create_account(call: Call) -> Reply:
    """Makes an account; resellers' administrators only, since a project's own is there already."""
    name = parse(call.path)
    context = await access.require(call, name, "write")
    _require_reseller(call, context is not None)
    state: ObjectStoreState = call.runtime.state
    made = await state.listings.account(name.account) is None
    await _set(call, name, context)
    return Reply(201 if made else 202, headers={"content-type": listing.MEDIA_TYPES["plain"]})


@routes.add("DELETE", "/{account}", policy=ANYONE, status=204, also={200: outcome.ANSWERS})
async def delete_account(call: Call) -> Reply:
    """Deletes an account; resellers' administrators only. What it had is reaped."""
    name = parse(call.path)
    _require_reseller(call, await access.require(call, name, "write") is not None)
    state: ObjectStoreState = call.runtime.state
    if not await reaper.delete_account(state.listings, name.account, state.now()):
        raise NotFound("The resource could not be found.")
    state.forget_account(name.account)
    return Reply(204)


def _require_reseller(call: Call, owner: bool) -> None:
    state: ObjectStoreState = call.runtime.state
    roles = {role.lower() for role in call.context.roles}
    if not owner or state.reseller_admin_role not in roles:
        raise Forbidden("Access was denied to this resource.")
