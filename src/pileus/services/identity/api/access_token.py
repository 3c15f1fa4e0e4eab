"""OAuth 1.0a access tokens as the users see them who gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field, read_only, sort
from pileus.kernel.api.listing import listing
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import Forbidden, NotFound
from pileus.services.identity.api.common import changed
from pileus.services.identity.api.role import Role
from pileus.services.identity.api.user import User
from pileus.services.identity.delegation_model import access_tokens
from pileus.services.identity.store import role


def _links(call: Call, row: Row[Any]) -> dict[str, str]:
    mine = f"{call.base_url}/users/{row.authorizing_user_id}/OS-OAUTH1/access_tokens/{row.id}"
    return {"self": mine, "roles": f"{mine}/roles"}


class AccessToken(
    Resource,
    member="access_token",
    collection="access_tokens",
    table=access_tokens,
    path="/users/{user_id}/OS-OAUTH1/access_tokens",
    parent=User,
    parent_column="authorizing_user_id",
):
    id: str = field(read_only, sort)
    consumer_id: str = field(read_only)
    authorizing_user_id: str = field(read_only)
    project_id: str = field(read_only)
    expires_at: str | None = field(
        render=lambda call, row: (
            None if row.expires_at is None else call.runtime.service.dialect.time(row.expires_at)
        )
    )
    links: dict[str, Any] = field(render=_links)

    default_sort = (("id", "asc"),)

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"user_id": row.authorizing_user_id, "target.user.id": row.authorizing_user_id}


def _check_direct(call: Call) -> None:
    if call.context.is_delegated:
        raise Forbidden("Cannot manage OAuth access tokens with a token issued via delegation.")


@AccessToken.show(policy="identity:get_access_token")
def show_access_token(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    _check_direct(call)
    return row


@AccessToken.list(policy="identity:list_access_tokens")
def list_access_tokens(call: Call, tx: Tx) -> Any:
    """Lists those that a user gave."""
    _check_direct(call)
    return listing(call, tx, AccessToken, "full")


@AccessToken.delete(policy="identity:delete_access_token")
def delete_access_token(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Takes it back; the tokens that were got by it are void."""
    _check_direct(call)
    changed(call, tx)
    rows.remove(tx, access_tokens, row.id)


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "domain_id": row.domain_key or None}


@AccessToken.member_route("GET", "/roles", policy="identity:list_access_token_roles", answers=[Role])
def list_roles(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The roles that go with it."""
    known = role.by_id(tx)
    links = {"self": call.root_url + call.path, "previous": None, "next": None}
    return {"roles": [_shown(known[each]) for each in row.role_ids if each in known], "links": links}


@AccessToken.member_route("GET", "/roles/{role_id}", policy="identity:get_access_token_role", answers=Role)
def show_role(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """One of these roles."""
    found = role.get(tx, call.params["role_id"])
    if found is None or found.id not in row.role_ids:
        raise NotFound(f"Could not find role: {call.params['role_id']}.")
    return {"role": _shown(found)}
