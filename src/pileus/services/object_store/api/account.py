"""Accounts: a project's containers."""

from __future__ import annotations

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import Conflict, Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import access, metadata
from pileus.services.object_store.api import listing
from pileus.services.object_store.api.info import POLICY
from pileus.services.object_store.listings import AccountInfo, NotEmpty
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.state import ObjectStoreState

routes = Routes()
QUOTAS = ("account-quota-bytes", "account-quota-count")
"""Headers beside `X-Account-Meta-*`, without `x-`, that an account keeps."""


async def _described(state: ObjectStoreState, name: Name) -> dict[str, str]:
    """An owner's account is there before it is made."""
    info = await state.listings.account(name.account) or AccountInfo(state.now(), {}, 0, 0, 0)
    policy = f"x-account-storage-policy-{POLICY.lower()}"
    counts = {
        "container-count": str(info.containers),
        "object-count": str(info.objects),
        "bytes-used": str(info.bytes_used),
    }
    return {
        **{f"x-account-{what}": count for what, count in counts.items()},
        **({f"{policy}-{what}": count for what, count in counts.items()} if info.containers else {}),
        **info.metadata,
        "x-timestamp": info.created.normal,
        "accept-ranges": "bytes",
    }


@routes.add("HEAD", "/{account}", policy=ANYONE)
async def head_account(call: Call) -> Reply:
    """An account's metadata and counts."""
    name = parse(call.path)
    await access.require(call, name, "read")
    state: ObjectStoreState = call.runtime.state
    headers = await _described(state, name)
    return Reply(204, headers={**headers, "content-type": listing.MEDIA_TYPES[listing.form(call)]})


@routes.add("GET", "/{account}", policy=ANYONE)
async def list_containers(call: Call) -> Reply:
    """An account's containers."""
    name = parse(call.path)
    await access.require(call, name, "list")
    shape, asked = listing.form(call), listing.ask(call)
    state: ObjectStoreState = call.runtime.state
    body = await state.listings.list_containers(name.account, asked, shape)
    if body is None:
        empty = f'<?xml version="1.0" encoding="UTF-8"?>\n<account name="{name.account}"></account>'
        body = {"plain": b"", "json": b"[]", "xml": empty.encode()}[shape]
    return listing.answer(body, shape, await _described(state, name))


@routes.add("POST", "/{account}", policy=ANYONE)
async def update_account(call: Call) -> Reply:
    """Sets and removes an account's metadata."""
    name = parse(call.path)
    context = await access.require(call, name, "write")
    state: ObjectStoreState = call.runtime.state
    headers = dict(call.headers)
    limits = ("account-meta-quota-bytes", *QUOTAS)
    if any(f"x-{each}" in headers or f"x-remove-{each}" in headers for each in limits):
        roles = {role.lower() for role in context.roles} if context is not None else set()
        if state.settings.reseller_admin_role.lower() not in roles:
            raise Forbidden("Only a reseller's administrator sets an account's quota.")
    await state.listings.set_account(
        name.account, state.now(), lambda old: metadata.changed(old, headers, "account", QUOTAS)
    )
    state.forget_account(name.account)
    return Reply(204, headers={"content-type": listing.MEDIA_TYPES["plain"]})


@routes.add("PUT", "/{account}", policy=ANYONE)
async def create_account(call: Call) -> Reply:
    """Makes an account; resellers' administrators only, since a project's own is there already."""
    name = parse(call.path)
    _require_reseller(call, await access.require(call, name, "write") is not None)
    state: ObjectStoreState = call.runtime.state
    headers = dict(call.headers)
    made = await state.listings.account(name.account) is None
    await state.listings.set_account(
        name.account, state.now(), lambda old: metadata.changed(old, headers, "account", QUOTAS)
    )
    state.forget_account(name.account)
    return Reply(201 if made else 202, headers={"content-type": listing.MEDIA_TYPES["plain"]})


@routes.add("DELETE", "/{account}", policy=ANYONE)
async def delete_account(call: Call) -> Reply:
    """Deletes an empty account; resellers' administrators only."""
    name = parse(call.path)
    _require_reseller(call, await access.require(call, name, "write") is not None)
    state: ObjectStoreState = call.runtime.state
    try:
        if not await state.listings.delete_account(name.account):
            raise NotFound("The resource could not be found.")
    except NotEmpty:
        raise Conflict("The account has containers; delete them first.") from None
    state.forget_account(name.account)
    return Reply(204)


def _require_reseller(call: Call, owner: bool) -> None:
    state: ObjectStoreState = call.runtime.state
    roles = {role.lower() for role in call.context.roles}
    if not owner or state.settings.reseller_admin_role.lower() not in roles:
        raise Forbidden("Access was denied to this resource.")
