"""Who is in which group."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.common import changed, collection, in_own_domain, selected
from pileus.services.identity.api.group import group_target
from pileus.services.identity.api.user import User, user_target
from pileus.services.identity.ldap.directories import check_writable
from pileus.services.identity.store import user

routes = Routes()
_MEMBER = "/groups/{group_id}/users/{user_id}"


def _admitted(call: Call, tx: Tx, rule: str) -> tuple[Row[Any], Row[Any]]:
    group, person = user.get_group(tx, call.params["group_id"]), user.get(tx, call.params["user_id"])
    target = {
        **(group_target(group) if group is not None else {}),
        **(user_target(person) if person is not None else {}),
    }
    call.enforce(rule, target)
    if group is None:
        raise NotFound(f"Could not find group: {call.params['group_id']}.")
    if person is None:
        raise NotFound(f"Could not find user: {call.params['user_id']}.")
    return group, person


@routes.add("PUT", _MEMBER, policy=AUTHENTICATED, status=204)
def add(call: Call, tx: Tx) -> None:
    """Puts a user into a group."""
    group, person = _admitted(call, tx, "identity:add_user_to_group")
    check_writable(tx, group.domain_id, group.id)
    user.add_member(tx, group.id, person.id)
    changed(call, tx)


@routes.add("GET", _MEMBER, policy=AUTHENTICATED, status=204)
@routes.add("HEAD", _MEMBER, policy=AUTHENTICATED, status=204)
def check(call: Call, tx: Tx) -> Reply:
    """Whether a user is in a group."""
    group, person = _admitted(call, tx, "identity:check_user_in_group")
    if not user.is_member(tx, group.id, person.id):
        raise NotFound(f"User {person.id} is not found in group {group.id}.")
    return Reply(204)


@routes.add("DELETE", _MEMBER, policy=AUTHENTICATED, status=204)
def remove(call: Call, tx: Tx) -> None:
    """Takes a user out of a group."""
    group, person = _admitted(call, tx, "identity:remove_user_from_group")
    check_writable(tx, group.domain_id, group.id)
    if not user.remove_member(tx, group.id, person.id):
        raise NotFound(f"User {person.id} is not found in group {group.id}.")
    changed(call, tx)


@routes.add("GET", "/groups/{group_id}/users", policy=AUTHENTICATED, answers=[User])
def members(call: Call, tx: Tx) -> dict[str, Any]:
    """The users in a group."""
    group = user.get_group(tx, call.params["group_id"])
    call.enforce("identity:list_users_in_group", group_target(group) if group is not None else {})
    if group is None:
        raise NotFound(f"Could not find group: {call.params['group_id']}.")
    show = User.view(call)
    rows = selected(call, User, in_own_domain(call, user.members(tx, group.id)))
    return collection(call, "users", [show(row) for row in rows])
