"""Stored policies: texts that services may fetch, and the endpoints that they are for (OS-ENDPOINT-POLICY)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Text255, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import NotFound
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.catalog import Endpoint
from pileus.services.identity.api.common import collection, given, merged_extra, self_link
from pileus.services.identity.catalog_model import ANY, policies
from pileus.services.identity.model import endpoints, regions, services
from pileus.services.identity.store import policy


class Policy(Resource, member="policy", collection="policies", table=policies, extras="extra"):
    id: str = field(read_only, sort)
    type: Text255 = field(create, update, filter, required=True)
    blob: str = field(create, update, required=True)
    links: dict[str, Any] = field(render=self_link("policies"))

    default_sort = (("id", "asc"),)


@Policy.create(policy="identity:create_policy")
def create_policy(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Keeps a policy."""
    return rows.add(tx, policies, {**given(body), "id": new_hex()})


@Policy.update(policy="identity:update_policy", method="PATCH")
def update_policy(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a policy."""
    rows.change(tx, policies, row.id, **given(body, "extra"), extra=merged_extra(row, body))
    return rows.existing(tx, policies, row.id)


@Policy.delete(policy="identity:delete_policy")
def delete_policy(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a policy wherever it was put."""
    rows.remove(tx, policies, row.id)


Policy.show(policy="identity:get_policy")
Policy.list(policy="identity:list_policies")


@Policy.member_route(
    "GET", "/OS-ENDPOINT-POLICY/endpoints", policy="identity:list_endpoints_for_policy", answers=[Endpoint]
)
def list_endpoints_of_policy(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The endpoints that a policy is for: named, or of a named service, there or in a named region and below."""
    show = Endpoint.view(call)
    return collection(call, "endpoints", [show(each) for each in policy.endpoints_of(tx, row.id)])


@Endpoint.member_route(
    "GET", "/OS-ENDPOINT-POLICY/policy", policy="identity:get_policy_for_endpoint", answers=Policy
)
def show_policy_of_endpoint(call: Call, tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """The policy that holds for an endpoint."""
    found = policy.for_endpoint(tx, row)
    if found is None:
        raise NotFound(f"No policy is associated with endpoint {row.id}.")
    return {"policy": Policy.view(call)(found)}


routes = Routes()
_TABLES = {"policy": policies, "endpoint": endpoints, "service": services, "region": regions}


def _place(call: Call, tx: Tx) -> policy.Place:
    """Where the path puts its policy, once all that it names is there."""
    found = {}
    for noun, table in _TABLES.items():
        key = call.params.get(f"{noun}_id")
        if key is not None and rows.get(tx, table, key) is None:
            raise NotFound(f"Could not find {noun}: {key}.")
        found[noun] = key or ANY
    return found["endpoint"], found["service"], found["region"]


def _is_there(call: Call, tx: Tx) -> policy.Place:
    place = _place(call, tx)
    if policy.policy_at(tx, place) != call.params["policy_id"]:
        raise NotFound(f"Policy {call.params['policy_id']} is not associated with this.")
    return place


def associate(call: Call, tx: Tx) -> None:
    """Puts a policy here, instead of the one that was."""
    policy.associate(tx, _place(call, tx), call.params["policy_id"])


def check(call: Call, tx: Tx) -> Reply:
    """Whether a policy was put here."""
    _is_there(call, tx)
    return Reply(204)


def dissociate(call: Call, tx: Tx) -> None:
    """Takes a policy from here."""
    policy.dissociate(tx, _is_there(call, tx))


_HANDLERS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("PUT", "create", associate),
    ("GET", "check", check),
    ("HEAD", "check", check),
    ("DELETE", "delete", dissociate),
)
for _noun, _path in (
    ("endpoint", "/endpoints/{endpoint_id}"),
    ("service", "/services/{service_id}"),
    ("region_and_service", "/services/{service_id}/regions/{region_id}"),
):
    for _method, _verb, _handler in _HANDLERS:
        routes.add(
            _method,
            f"/policies/{{policy_id}}/OS-ENDPOINT-POLICY{_path}",
            policy=f"identity:{_verb}_policy_association_for_{_noun}",
            status=204,
        )(_handler)
