"""Users."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Name, create, field, filter, hidden, read_only, sort, update
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import Conflict, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity import account
from pileus.services.identity.api.common import (
    BY_NAME,
    changed,
    collection,
    given,
    home_domain,
    in_own_domain,
    listed_domain,
    merged_extra,
    merged_options,
    named_domain,
    read_time,
    same_domain,
    selected,
    self_link,
)
from pileus.services.identity.api.federation.user import (
    FEDERATED_FILTERS,
    FederatedObject,
    expiring_groups,
    federated_filter,
    gather_federated,
    set_federated,
    shown_federated,
)
from pileus.services.identity.api.group import Group
from pileus.services.identity.api.password import Password, put_password
from pileus.services.identity.api.project import Project
from pileus.services.identity.ldap.directories import check_writable
from pileus.services.identity.model import users
from pileus.services.identity.state import IdentityState
from pileus.services.identity.store import application_credential, project, role, user

_LISTED = users.c.domain_id == bindparam("listed_domain_id")


_COMPARISONS = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "neq": operator.ne,
}


def _expiry_filter(call: Call, values: list[str]) -> ColumnElement[bool]:
    """`lt:2026-01-31T12:00:00Z`; without an operator, exactly then."""
    clause: ColumnElement[bool] = users.c.password_expires_at.is_not(None)
    for value in values:
        name, _, text = value.partition(":")
        if name not in _COMPARISONS:
            name, text = "eq", value
        clause &= _COMPARISONS[name](users.c.password_expires_at, read_time("password_expires_at", text))
    return clause


class User(Resource, member="user", collection="users", table=users, extras="extra"):
    id: str = field(read_only, filter, sort)
    name: Name = field(create, update, filter, sort, required=True)
    domain_id: str | None = field(create, update, filter)
    default_project_id: str | None = field(create, update)
    enabled: bool = field(create, update, filter, default=True)
    password: Password | None = field(create, update, hidden, column=None)
    password_expires_at: datetime | None = field(read_only)
    options: dict[str, Any] = field(create, update, default={})
    federated: list[FederatedObject] | None = field(create, update, column=None, render=shown_federated)
    links: dict[str, Any] = field(render=self_link("users"))

    default_sort = BY_NAME
    filters = {"password_expires_at": _expiry_filter, **dict.fromkeys(FEDERATED_FILTERS, federated_filter)}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        gather_federated(call, tx, rows)

    @classmethod
    def view(
        cls, call: Call, name: str = "full", *, whole: bool = False
    ) -> Callable[[Row[Any]], dict[str, Any]]:
        show = super().view(call, name, whole=whole)

        def without_empty_default(row: Row[Any]) -> dict[str, Any]:
            shown = show(row)
            if shown.get("default_project_id") is None:
                shown.pop("default_project_id", None)
            return shown

        return without_empty_default

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        if call.context.domain_id is None:
            return None
        return _LISTED, {"listed_domain_id": call.context.domain_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return user_target(row)


def user_target(row: Row[Any]) -> dict[str, Any]:
    """What policy sees of a user."""
    return {"target.user.id": row.id, "target.user.domain_id": row.domain_id, "user_id": row.id}


def _new_target(call: Call, body: Any) -> Mapping[str, Any]:
    return named_domain("user", body)


@User.create(policy="identity:create_user", target=_new_target)
async def create_user(call: Call, body: Any) -> Row[Any]:
    """Makes a user; the password is hashed before the transaction begins."""
    digest = await _checked_hash(call, body)
    return await call.runtime.db.write(_insert_user, call, body, digest)


def _insert_user(tx: Tx, call: Call, body: Any, digest: str | None) -> Row[Any]:
    values = given(body, "password", "federated")
    values["domain_id"] = values.get("domain_id") or home_domain(call)
    domain = project.get(tx, values["domain_id"])
    if domain is None or not domain.is_domain:
        raise NotFound(f"Could not find domain: {values['domain_id']}.")
    check_writable(tx, domain.id)
    values.setdefault("default_project_id", None)
    values.update(
        id=new_hex(),
        options=merged_options(None, values["options"]),
        created_at=tx.now,
    )
    try:
        row = user.insert(tx, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error
    set_federated(tx, row.id, body.federated)
    if digest is None:
        return row
    put_password(tx, call, row, digest, self_service=False)
    return user.change(tx, row.id, {})


def _twice(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store user - Duplicate entry found with name {name} in the same domain."
    )


async def _checked_hash(call: Call, body: Any) -> str | None:
    password = body.password
    if body.options is not UNSET:
        account.check_options(body.options)
    if password in (UNSET, None):
        return None
    state: IdentityState = call.runtime.state
    account.check_strength(state.settings, password)
    return await state.passwords.hash(password)


@User.update(policy="identity:update_user", method="PATCH")
async def update_user(call: Call, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a user; a new password or disabling voids the user's tokens."""
    digest = await _checked_hash(call, body)
    return await call.runtime.db.write(_change_user, call, row, body, digest)


def _change_user(tx: Tx, call: Call, row: Row[Any], body: Any, digest: str | None) -> Row[Any]:
    same_domain(row, body)
    check_writable(tx, row.domain_id, row.id)
    values = {**given(body, "extra", "domain_id", "password", "federated"), "extra": merged_extra(row, body)}
    if "options" in values:
        values["options"] = merged_options(row, values["options"])
    if values.get("enabled"):  # whoever enables a user lets it in again
        values.update(failed_auth_count=0, failed_auth_at=None, last_active_at=tx.now)
    if digest is not None or values.get("enabled") is False:
        user.revoke(tx, user_id=row.id)
    if values.get("enabled") is False:
        application_credential.forget(tx, row.id)
    changed(call, tx)
    set_federated(tx, row.id, body.federated)
    try:
        row = user.change(tx, row.id, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error
    if digest is None:
        return row
    put_password(tx, call, row, digest, self_service=False)
    return user.change(tx, row.id, {})


@User.delete(policy="identity:delete_user")
def delete_user(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a user with its assignments."""
    check_writable(tx, row.domain_id, row.id)
    changed(call, tx)
    user.delete(tx, row.id)


User.show(policy="identity:get_user")
User.list(policy="identity:list_users", target=listed_domain)


@User.member_route("DELETE", "/tokens", policy="identity:revoke_tokens_for_user", status=204)
def revoke_tokens(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Voids all of a user's tokens."""
    user.revoke(tx, user_id=row.id)
    changed(call, tx)


@User.member_route("GET", "/groups", policy="identity:list_groups_for_user", answers=[Group])
def list_groups(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The groups that a user is in."""
    show = Group.view(call)
    found = list(user.groups_of(tx, row.id))
    ends = {}
    for group, end in expiring_groups(call, tx, row.id, {each.id for each in found}):
        found.append(group)
        ends[group.id] = {"membership_expires_at": end}
    rows = selected(call, Group, in_own_domain(call, found))
    return collection(call, "groups", [{**show(each), **ends.get(each.id, {})} for each in rows])


@User.member_route("GET", "/projects", policy="identity:list_user_projects", answers=[Project])
def list_projects(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The projects on which a user has a role."""
    show = Project.view(call)
    rows = selected(call, Project, role.projects_of(tx, row.id))
    return collection(call, "projects", [show(each) for each in rows])
