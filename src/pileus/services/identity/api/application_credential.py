"""Application credentials and access rules of users."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import iso_micro
from pileus.kernel.api.fields import Name, create, field, filter, read_only, sort
from pileus.kernel.api.listing import listing
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import BY_NAME, changed, given, read_expiry
from pileus.services.identity.api.roles_given import RoleRef, named_roles
from pileus.services.identity.api.user import User
from pileus.services.identity.delegation_model import access_rules, application_credentials
from pileus.services.identity.domain import closure
from pileus.services.identity.store import application_credential as store
from pileus.services.identity.store import role

Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class RuleRef(msgspec.Struct, forbid_unknown_fields=True):
    """One of the user's access rules by its id, or a new one by all the rest."""

    id: str | None = None
    service: Name | None = None
    path: Annotated[str, msgspec.Meta(max_length=225, pattern=r"^/")] | None = None
    method: Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"] | None = None


def _link(call: Call, row: Row[Any]) -> dict[str, str]:
    return {"self": f"{call.base_url}/users/{row.user_id}/application_credentials/{row.id}"}


def _shown_expiry(call: Call, row: Row[Any]) -> str | None:
    return None if row.expires_at is None else iso_micro(row.expires_at)


def _shown_secret(call: Call, row: Row[Any]) -> Any:
    """Whoever makes one sees its secret, once."""
    return call.gathered.get("secret", UNSET)


class GivenRole(msgspec.Struct):
    id: str
    name: str
    domain_id: str | None


def _shown_roles(call: Call, row: Row[Any]) -> list[GivenRole]:
    known = call.gathered["roles"]
    found = [known[each] for each in row.role_ids if each in known]
    return [GivenRole(each.id, each.name, each.domain_key or None) for each in found]


def _shown_rules(call: Call, row: Row[Any]) -> Any:
    if row.access_rule_ids is None:
        return UNSET
    known = call.gathered["access_rules"]
    found = [known[each] for each in row.access_rule_ids if each in known]
    return [
        {"id": each.id, "service": each.service, "path": each.path, "method": each.method} for each in found
    ]


class ApplicationCredential(
    Resource,
    member="application_credential",
    collection="application_credentials",
    table=application_credentials,
    path="/users/{user_id}/application_credentials",
    parent=User,
    parent_column="user_id",
):
    id: str = field(read_only, filter, sort)
    name: Name = field(create, filter, sort, required=True)
    description: str | None = field(create, default=None)
    secret: Secret | None = field(create, column=None, render=_shown_secret)
    project_id: str | None = field(create)
    user_id: str = field(read_only)
    roles: list[RoleRef] = field(create, render=_shown_roles, shows=list[GivenRole])
    expires_at: str | None = field(create, render=_shown_expiry)
    unrestricted: bool | None = field(create, default=False)
    access_rules: list[RuleRef] = field(create, render=_shown_rules)
    system: str | None = field(read_only, column=None, render=lambda call, row: None)
    links: dict[str, Any] = field(render=_link)

    default_sort = BY_NAME

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"user_id": row.user_id, "target.user.id": row.user_id}

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def load(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        try:
            return super().load(call, tx, key)
        except NotFound:
            # Under the caller's own name somebody else's is refused as it is under theirs.
            row = store.get(tx, key) if "\0" not in key else None
            if row is not None:
                call.enforce(call.operation.policy, cls.target(row))
            raise

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["roles"] = role.by_id(tx)
        ids = {rule for row in rows for rule in row.access_rule_ids or ()}
        call.gathered["access_rules"] = {each.id: each for each in store.rules(tx, sorted(ids))}


def _check_direct(call: Call, tx: Tx, *, manages: bool = False) -> None:
    """403 for tokens that were themselves got by something handed out: a credential made by such a token would outlive
    what it was made by. Application credentials may where they are unrestricted, and to read."""
    context = call.context
    if context.application_credential_id is not None:
        own = store.get(tx, context.application_credential_id)
        if manages and (own is None or not own.unrestricted):
            raise Forbidden("This application credential is restricted: it manages no others.")
    elif context.is_delegated:
        raise Forbidden("A token got by delegation manages no application credentials.")


@ApplicationCredential.create(policy="identity:create_application_credential")
async def create_application_credential(call: Call, body: Any) -> Row[Any]:
    """Makes an application credential for the token's project. This answer alone shows its secret."""
    secret = body.secret if isinstance(body.secret, str) else secrets.token_urlsafe(64)
    digest = await call.runtime.state.passwords.hash(secret)
    call.gathered["secret"] = secret
    return await call.runtime.db.write(_insert, call, body, digest)


def _insert(tx: Tx, call: Call, body: Any, digest: str) -> Row[Any]:
    _check_direct(call, tx, manages=True)
    user_id = call.params["user_id"]
    if call.context.user_id != user_id:
        raise Forbidden("An application credential is made by the user it is for.")
    most = call.runtime.state.settings.application_credential_user_limit
    if 0 <= most <= store.count(tx, user_id):
        raise Forbidden(
            f"There can't be more than {most} application credentials of a user; delete one first."
        )
    values = {**given(body, "secret", "roles", "access_rules", "expires_at", "project_id")}
    values.update(
        id=new_hex(),
        user_id=user_id,
        project_id=call.project_id,
        secret_hash=digest,
        unrestricted=bool(values["unrestricted"]),
        role_ids=_role_ids(call, tx, body),
        access_rule_ids=_rule_ids(tx, user_id, body.access_rules) if body.access_rules else None,
        expires_at=read_expiry(tx, body.expires_at),
        created_at=tx.now,
    )
    try:
        return store.insert(tx, values)
    except Duplicate as error:
        raise Conflict(
            "Conflict occurred attempting to store application_credential - Duplicate entry found with name "
            f"{values['name']}."
        ) from error


def _role_ids(call: Call, tx: Tx, body: Any) -> list[str]:
    """Those wanted with what they imply, or all that the token has; never more than these."""
    known = role.by_id(tx)
    held = {row.id for row in known.values() if not row.domain_key and row.name in call.context.roles}
    if not body.roles:
        return sorted(held)
    wanted = closure(named_roles(tx, body.roles), role.implications(tx))
    if not wanted <= held:
        raise BadRequest("Invalid application credential: it can't have a role that the token has not.")
    return sorted(wanted)


def _rule_ids(tx: Tx, user_id: str, wanted: Sequence[RuleRef]) -> list[str]:
    ids = []
    for each in wanted:
        if each.id is not None:
            if not any(found.user_id == user_id for found in store.rules(tx, [each.id])):
                raise NotFound(f"Could not find access rule: {each.id}.")
            ids.append(each.id)
            continue
        if each.service is None or each.path is None or each.method is None:
            raise BadRequest("An access rule is an id of one, or a service, a path and a method.")
        rule = {"service": each.service, "path": each.path, "method": each.method}
        same = store.rule_like(tx, user_id, rule)
        ids.append(same.id if same is not None else new_hex())
        if same is None:
            store.insert_rule(tx, {**rule, "id": ids[-1], "user_id": user_id})
    return list(dict.fromkeys(ids))


@ApplicationCredential.delete(policy="identity:delete_application_credential")
def delete_application_credential(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes an application credential; its tokens are void."""
    _check_direct(call, tx, manages=True)
    changed(call, tx)
    store.delete(tx, row.id)


@ApplicationCredential.show(policy="identity:get_application_credential")
def show_application_credential(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    _check_direct(call, tx)
    return row


@ApplicationCredential.list(policy="identity:list_application_credentials")
def list_application_credentials(call: Call, tx: Tx) -> Any:
    """Lists those of a user."""
    _check_direct(call, tx)
    return listing(call, tx, ApplicationCredential, "full")


class AccessRule(
    Resource,
    member="access_rule",
    collection="access_rules",
    table=access_rules,
    path="/users/{user_id}/access_rules",
    parent=User,
    parent_column="user_id",
):
    id: str = field(read_only, filter, sort)
    service: str = field(read_only, filter, sort)
    rule_path: str = field(read_only, filter, sort, wire="path", column="path")
    method: str = field(read_only, filter, sort)
    links: dict[str, Any] = field(
        render=lambda call, row: {"self": f"{call.base_url}/users/{row.user_id}/access_rules/{row.id}"}
    )

    default_sort = (("id", "asc"),)

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {"user_id": row.user_id, "target.user.id": row.user_id}


@AccessRule.delete(policy="identity:delete_access_rule")
def delete_access_rule(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes an access rule that no application credential has."""
    _check_direct(call, tx)
    if store.is_used(tx, row):
        raise Forbidden(
            f"The access rule {row.id} is in use; delete the application credentials that have it first."
        )
    store.delete_rule(tx, row.id)


@AccessRule.show(policy="identity:get_access_rule")
def show_access_rule(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    _check_direct(call, tx)
    return row


@AccessRule.list(policy="identity:list_access_rules")
def list_access_rules(call: Call, tx: Tx) -> Any:
    """Lists those of a user."""
    _check_direct(call, tx)
    return listing(call, tx, AccessRule, "full")
