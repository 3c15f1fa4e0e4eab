"""Trusts: a user lets another act with some of its roles on a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import create, field, filter, read_only, sort
from pileus.kernel.api.listing import listing
from pileus.kernel.api.operation import AUTHENTICATED, Kind
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import changed, given, read_expiry
from pileus.services.identity.api.role import Role
from pileus.services.identity.api.roles_given import RoleRef, named_roles
from pileus.services.identity.delegation_model import trusts
from pileus.services.identity.domain import closure
from pileus.services.identity.store import project, role, trust, user

routes = Routes()
_TRUST = "/OS-TRUST/trusts/{trust_id}"
Uses = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


def _shown_roles(call: Call, row: Row[Any]) -> Any:
    if call.operation.kind is Kind.LIST:
        return msgspec.UNSET
    known, show = call.gathered["roles"], Role.view(call)
    return [show(known[each]) for each in row.role_ids if each in known]


def _roles_links(call: Call, row: Row[Any]) -> Any:
    if call.operation.kind is Kind.LIST:
        return msgspec.UNSET
    return {"self": f"{call.base_url}/OS-TRUST/trusts/{row.id}/roles", "previous": None, "next": None}


class Trust(
    Resource, member="trust", collection="trusts", table=trusts, path="/OS-TRUST/trusts", extras="extra"
):
    id: str = field(read_only, sort)
    trustor_user_id: str = field(create, filter, required=True)
    trustee_user_id: str = field(create, filter, required=True)
    impersonation: bool = field(create, required=True)
    project_id: str | None = field(create, default=None)
    roles: list[RoleRef] = field(create, render=_shown_roles, shows=[Role])
    roles_links: dict[str, Any] = field(render=_roles_links)
    expires_at: str | None = field(create, render=lambda call, row: _time(call, row.expires_at))
    deleted_at: str | None = field(read_only, column=None, render=lambda call, row: None)
    remaining_uses: Uses | None = field(create, default=None)
    allow_redelegation: bool | None = field(create, column=None, render=lambda call, row: msgspec.UNSET)
    redelegation_count: Count | None = field(create)
    redelegated_trust_id: str | None = field(read_only)
    links: dict[str, Any] = field(
        render=lambda call, row: {"self": f"{call.base_url}/OS-TRUST/trusts/{row.id}"}
    )

    default_sort = (("id", "asc"),)

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {
            "target.trust.trustor_user_id": row.trustor_user_id,
            "target.trust.trustee_user_id": row.trustee_user_id,
        }

    @classmethod
    def load(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        row = trust.get(tx, key) if "\0" not in key else None
        if row is None or trust.is_over(row, tx.now) or trust.is_used_up(row):
            raise cls.not_found(key)
        return row

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Could not find trust: {key}.")

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["roles"] = role.by_id(tx)


def _time(call: Call, moment: datetime | None) -> str | None:
    return None if moment is None else call.runtime.service.dialect.time(moment)


def _check_direct(call: Call) -> None:
    """403 for tokens got by what was handed out, other than by a trust: with that one, redelegating is meant."""
    if call.context.is_delegated and call.context.trust_id is None:
        raise Forbidden("A token got by delegation manages no trusts.")


def _new_target(call: Call, body: Any) -> Mapping[str, Any]:
    return {"target.trust.trustor_user_id": body.trustor_user_id}


@Trust.create(policy="identity:create_trust", target=_new_target)
def create_trust(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a trust, or hands one on that the token was got by."""
    _check_direct(call)
    if body.project_id and not body.roles:
        raise Forbidden("At least one role should be specified.")
    if call.context.user_id != body.trustor_user_id:
        raise Forbidden("The authenticated user should match the trustor.")
    if user.get(tx, body.trustee_user_id) is None:
        raise NotFound(f"Could not find user: {body.trustee_user_id}.")
    parent = None
    if call.context.trust_id is not None:
        parent = trust.get(tx, call.context.trust_id)
    values = given(body, "roles", "allow_redelegation", "extra")
    values.update(
        id=new_hex(),
        role_ids=named_roles(tx, body.roles or []),
        expires_at=read_expiry(tx, body.expires_at),
        redelegated_trust_id=None if parent is None else parent.id,
        extra=body.extra,
        created_at=tx.now,
    )
    values["redelegation_count"] = _redelegations(call, values, body.allow_redelegation is True, parent)
    _check_trustor_roles(tx, values, parent)
    if parent is not None:
        for each in trust.chain(tx, parent):
            _check_within(call, values, each)
    return trust.insert(tx, values)


def _redelegations(call: Call, values: Mapping[str, Any], allowed: bool, parent: Row[Any] | None) -> int:
    """How many times the new trust can be handed on."""
    asked, most = values.get("redelegation_count"), call.runtime.state.settings.max_redelegation_count
    if not allowed or asked == 0:
        return 0
    if asked is not None and asked > most:
        raise Forbidden(f"Requested redelegation depth of {asked} is greater than allowed {most}.")
    if values["remaining_uses"] is not None:
        raise BadRequest("remaining_uses must not be set if redelegation is allowed.")
    if parent is None:
        return int(most if asked is None else asked)
    left = parent.redelegation_count - 1
    if asked is not None and asked != left:
        raise Forbidden(
            f"redelegation_count can't be changed when a trust is handed on: leave it out, or say {left}."
        )
    return int(left)


def _check_trustor_roles(tx: Tx, values: Mapping[str, Any], parent: Row[Any] | None) -> None:
    """404 for a role that the first trustor does not have on the project."""
    if values["project_id"] is None:
        return
    target = project.get(tx, values["project_id"])
    if target is None:
        raise NotFound(f"Could not find project: {values['project_id']}.")
    origin = values["trustor_user_id"] if parent is None else trust.chain(tx, parent)[-1].trustor_user_id
    held = {row.id for row in role.effective(tx, origin, "project", target)}
    for role_id in values["role_ids"]:
        if role_id not in held:
            raise NotFound(f"Could not find role: {role_id}.")


def _check_within(call: Call, values: dict[str, Any], parent: Row[Any]) -> None:
    """403 where the new trust would give more than one that it comes from."""
    most = call.runtime.state.settings.max_redelegation_count
    if not 0 < parent.redelegation_count <= most:
        raise Forbidden(
            f"Remaining redelegation depth of {parent.redelegation_count} out of allowed range of [0..{most}]."
        )
    if values["remaining_uses"] is not None:
        raise Forbidden("remaining_uses must not be set in order to hand a trust on.")
    if values["expires_at"] is None:
        values["expires_at"] = parent.expires_at
    elif parent.expires_at is not None and values["expires_at"] > parent.expires_at:
        raise Forbidden("Requested expiration time is more than the trust that is handed on can provide.")
    if not set(values["role_ids"]) <= set(parent.role_ids):
        raise Forbidden("Some of the requested roles are not in the trust that is handed on.")
    if values["project_id"] != parent.project_id:
        raise Forbidden("A trust is handed on for its own project only.")
    if values["impersonation"] and not parent.impersonation:
        raise Forbidden(f"Impersonation is not allowed because trust {parent.id} does not allow it.")


@Trust.delete(policy=AUTHENTICATED)
def delete_trust(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a trust with all that were made by it; their tokens are void."""
    call.enforce("identity:delete_trust", Trust.target(row))
    _check_direct(call)
    changed(call, tx)
    trust.delete(tx, row.id)


@Trust.show(policy=AUTHENTICATED)
def show_trust(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one; whose trust is gone hears so, even if it was none of its business."""
    call.enforce("identity:get_trust", Trust.target(row))
    _check_direct(call)
    return row


@Trust.list(policy=AUTHENTICATED)
def list_trusts(call: Call, tx: Tx) -> Any:
    """Lists trusts: all, or those of a trustor or of a trustee."""
    for side in ("trustor", "trustee"):
        person = call.arg(f"{side}_user_id")
        if person:
            call.enforce(f"identity:list_trusts_for_{side}", {f"target.trust.{side}_user_id": person})
            break
    else:
        call.enforce("identity:list_trusts", {})
    _check_direct(call)
    return listing(call, tx, Trust, "full")


@routes.add("GET", f"{_TRUST}/roles", policy=AUTHENTICATED, answers=[Role])
def list_roles(call: Call, tx: Tx) -> dict[str, Any]:
    """The roles of a trust."""
    row = Trust.load(call, tx, call.params["trust_id"])
    call.enforce("identity:list_roles_for_trust", Trust.target(row))
    known, show = role.by_id(tx), Role.view(call)
    links = {"self": call.root_url + call.path, "previous": None, "next": None}
    return {"roles": [show(known[each]) for each in row.role_ids if each in known], "links": links}


@routes.add("GET", f"{_TRUST}/roles/{{role_id}}", policy=AUTHENTICATED, answers=Role)
def show_role(call: Call, tx: Tx) -> dict[str, Any]:
    """One role of a trust, implied ones included."""
    row = Trust.load(call, tx, call.params["trust_id"])
    call.enforce("identity:get_role_for_trust", Trust.target(row))
    found = role.get(tx, call.params["role_id"])
    if found is None or found.id not in closure(row.role_ids, role.implications(tx)):
        raise NotFound(f"Could not find role: {call.params['role_id']}.")
    return {"role": Role.view(call)(found)}
