"""Roles, and which imply which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Name, create, field, filter, read_only, sort, update
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import (
    BY_NAME,
    Options,
    changed,
    check_mutable,
    given,
    merged_extra,
    merged_options,
    self_link,
)
from pileus.services.identity.domain import implies_itself
from pileus.services.identity.model import NO_DOMAIN, roles
from pileus.services.identity.store import project, role

_IN_DOMAIN = roles.c.domain_key == bindparam("role_domain")


class Role(Resource, member="role", collection="roles", table=roles, extras="extra"):
    id: str = field(read_only, filter, sort)
    name: Name = field(create, update, filter, sort, required=True)
    domain_id: str | None = field(create, column=None, render=lambda call, row: row.domain_key or None)
    description: str | None = field(create, update, default=None)
    options: Options = field(create, update, default={})
    links: dict[str, Any] = field(render=self_link("roles"))

    default_sort = BY_NAME

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        return _IN_DOMAIN, {"role_domain": call.arg("domain_id") or NO_DOMAIN}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return role_target(row)


def role_target(row: Row[Any]) -> dict[str, Any]:
    """What policy sees of a role."""
    return {
        "target.role.id": row.id,
        "target.role.name": row.name,
        "target.role.domain_id": row.domain_key or None,
    }


def _rule(verb: str, domain_key: str | None) -> str:
    return f"identity:{verb}_domain_role" if domain_key else f"identity:{verb}_role"


@Role.create(policy=AUTHENTICATED)
def create_role(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a role, for all or for one domain."""
    values = given(body)
    values["domain_key"] = values.pop("domain_id", None) or NO_DOMAIN
    call.enforce(_rule("create", values["domain_key"]), {})
    domain = project.get(tx, values["domain_key"]) if values["domain_key"] else None
    if values["domain_key"] and (domain is None or not domain.is_domain):
        raise NotFound(f"Could not find domain: {values['domain_key']}.")
    values["id"] = new_hex()
    try:
        return role.insert(tx, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


def _twice(name: str) -> Conflict:
    return Conflict(f"Conflict occurred attempting to store role - Duplicate entry found with name {name}.")


@Role.update(policy=AUTHENTICATED, method="PATCH")
def update_role(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a role."""
    call.enforce(_rule("update", row.domain_key), role_target(row))
    values = {**given(body, "extra"), "extra": merged_extra(row, body)}
    check_mutable(row, values)
    if "options" in values:
        values["options"] = merged_options(row, values["options"])
    changed(call, tx)
    try:
        return role.change(tx, row.id, values)
    except Duplicate as error:
        raise _twice(values["name"]) from error


@Role.delete(policy=AUTHENTICATED)
def delete_role(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a role wherever it was given."""
    call.enforce(_rule("delete", row.domain_key), role_target(row))
    check_mutable(row)
    changed(call, tx)
    role.delete(tx, row.id)


@Role.show(policy=AUTHENTICATED)
def show_role(call: Call, tx: Tx, row: Row[Any]) -> Row[Any]:
    """Shows one."""
    call.enforce(_rule("get", row.domain_key), role_target(row))
    return row


@Role.list(policy=AUTHENTICATED)
def list_roles(call: Call, tx: Tx) -> dict[str, Any]:
    """Global roles, or with `domain_id` those of a domain."""
    from pileus.kernel.api.listing import listing

    call.enforce("identity:list_domain_roles" if call.arg("domain_id") else "identity:list_roles", {})
    return listing(call, tx, Role)


implied = Routes()
_ONE = "/roles/{prior_role_id}/implies/{implied_role_id}"


def _found(tx: Tx, role_id: str) -> Row[Any]:
    row = role.get(tx, role_id)
    if row is None:
        raise NotFound(f"Could not find role: {role_id}.")
    return row


class BriefRole(msgspec.Struct):
    id: str
    name: str
    links: dict[str, str]


class Inference(msgspec.Struct):
    prior_role: BriefRole
    implies: BriefRole


class Inferences(msgspec.Struct):
    prior_role: BriefRole
    implies: list[BriefRole]


class InferenceAnswer(msgspec.Struct):
    """That one role implies another."""

    role_inference: Inference
    links: dict[str, str]


class InferencesAnswer(msgspec.Struct):
    """All that one role implies."""

    role_inference: Inferences
    links: dict[str, str]


class AllInferencesAnswer(msgspec.Struct):
    role_inferences: list[Inferences]
    links: dict[str, str]


def _brief(call: Call, row: Row[Any]) -> BriefRole:
    return BriefRole(row.id, row.name, {"self": f"{call.base_url}/roles/{row.id}"})


def _inference(call: Call, tx: Tx) -> InferenceAnswer:
    prior, other = _found(tx, call.params["prior_role_id"]), _found(tx, call.params["implied_role_id"])
    href = f"{call.base_url}/roles/{prior.id}/implies/{other.id}"
    return InferenceAnswer(Inference(_brief(call, prior), _brief(call, other)), {"self": href})


def _is_implied(call: Call, tx: Tx) -> bool:
    return call.params["implied_role_id"] in role.implications(tx).get(call.params["prior_role_id"], ())


@implied.add("GET", _ONE, policy="identity:get_implied_role")
def show_implied(call: Call, tx: Tx) -> InferenceAnswer:
    """That one role implies another."""
    shown = _inference(call, tx)
    if not _is_implied(call, tx):
        raise NotFound("The one role does not imply the other.")
    return shown


@implied.add("HEAD", _ONE, policy="identity:check_implied_role")
def check_implied(call: Call, tx: Tx) -> Reply:
    """Whether one role implies another."""
    show_implied(call, tx)
    return Reply(204)


@implied.add("PUT", _ONE, policy="identity:create_implied_role", status=201)
def imply(call: Call, tx: Tx) -> InferenceAnswer:
    """From now on who has the one role has the other."""
    shown = _inference(call, tx)
    prior, other = call.params["prior_role_id"], call.params["implied_role_id"]
    if _found(tx, other).domain_key and not _found(tx, prior).domain_key:
        raise Forbidden(f"Invalid implied role: {other}: a global role may not imply a domain's.")
    prohibited = call.runtime.state.settings.prohibited_implied_role
    if _found(tx, other).name in prohibited:
        raise Forbidden(f"Invalid implied role: no role may imply {', '.join(prohibited)}.")
    if implies_itself(prior, other, role.implications(tx)):
        raise BadRequest("A role can't imply itself, not even by way of others.")
    if not _is_implied(call, tx):
        role.imply(tx, prior, other)
        changed(call, tx)
    return shown


@implied.add("DELETE", _ONE, policy="identity:delete_implied_role", status=204)
def no_longer_imply(call: Call, tx: Tx) -> None:
    """The one role stands alone again."""
    _inference(call, tx)
    if not role.no_longer_imply(tx, call.params["prior_role_id"], call.params["implied_role_id"]):
        raise NotFound("The one role does not imply the other.")
    changed(call, tx)


@implied.add("GET", "/roles/{prior_role_id}/implies", policy="identity:list_implied_roles")
def list_implied(call: Call, tx: Tx) -> InferencesAnswer:
    """What a role implies."""
    prior = _found(tx, call.params["prior_role_id"])
    ids = role.implications(tx).get(prior.id, [])
    shown = Inferences(_brief(call, prior), [_brief(call, _found(tx, each)) for each in ids])
    return InferencesAnswer(shown, {"self": call.root_url + call.path})


@implied.add("GET", "/role_inferences", policy="identity:list_role_inference_rules")
def list_inferences(call: Call, tx: Tx) -> AllInferencesAnswer:
    """All that is implied."""
    known = role.by_id(tx)
    shown = [
        Inferences(_brief(call, known[prior]), [_brief(call, known[each]) for each in others])
        for prior, others in role.implications(tx).items()
    ]
    return AllInferencesAnswer(shown, {"self": call.root_url + call.path})
