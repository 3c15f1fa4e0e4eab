"""Resource providers and their trees."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta
from sqlalchemy import Row

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Uuid, create, field, update
from pileus.kernel.api.query import Param
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.http.reply import Reply
from pileus.kernel.ids import new_uuid
from pileus.lib.placement import Provider
from pileus.services.placement import policy
from pileus.services.placement.api.asked import read_group, read_uuid
from pileus.services.placement.api.common import answer, location, no_provider, relative
from pileus.services.placement.dialect import DUPLICATE_NAME, PROVIDER_HAS_CHILDREN, PROVIDER_IN_USE
from pileus.services.placement.model import providers
from pileus.services.placement.store import allocation as allocations
from pileus.services.placement.store import provider as store
from pileus.services.placement.versions import V

ProviderName = Annotated[str, Meta(max_length=200)]

_LINKS = (
    ("self", V.BASE),
    ("inventories", V.BASE),
    ("usages", V.BASE),
    ("aggregates", V.AGGREGATES),
    ("traits", V.TRAITS),
    ("allocations", V.ALLOCATIONS_LINK),
)


def _links(call: Call, row: Row[Any]) -> list[dict[str, str]]:
    path = relative(call, f"/resource_providers/{row.id}")
    return [
        {"rel": rel, "href": path if rel == "self" else f"{path}/{rel}"}
        for rel, since in _LINKS
        if call.has(since)
    ]


class ResourceProvider(
    Resource,
    member="resource_provider",
    collection="resource_providers",
    table=providers,
    id_param="uuid",
    kind="Resource provider",
):
    uuid: Uuid = field(create, column="id")
    name: ProviderName = field(create, update, required=True)
    generation: int = field()
    parent_provider_uuid: Uuid | None = field(create, update, column="parent_id", since=V.TREES)
    root_provider_uuid: str = field(column="root_id", since=V.TREES)
    links: list[dict[str, str]] = field(render=_links)

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return no_provider(key)


def shown(call: Call, row: Row[Any], status: int = 200) -> Reply:
    return answer(call, ResourceProvider.view(call)(row), row.updated_at, status)


def _parent(tx: Tx, parent_id: str) -> Row[Any]:
    row = store.get(tx, read_uuid("parent_provider_uuid", parent_id))
    if row is None:
        raise BadRequest(f"The parent, resource provider {parent_id}, does not exist.")
    return row


def _name_taken(name: str) -> Conflict:
    return Conflict(f"Conflicting resource provider name: {name} already exists.", kind=DUPLICATE_NAME)


@ResourceProvider.create(policy=policy.CREATE_PROVIDER, status=200, also={201: NOTHING})
def create_provider(call: Call, tx: Tx, body: Any) -> Reply:
    """Makes a provider, as the root of a tree or below a parent; 201 before 1.20, which do not show it."""
    provider_id = new_uuid() if body.uuid is UNSET else read_uuid("uuid", body.uuid)
    parent_id = getattr(body, "parent_provider_uuid", UNSET)
    if parent_id not in (UNSET, None) and parent_id == provider_id:
        raise BadRequest("A resource provider can't be its own parent.")
    parent = None if parent_id in (UNSET, None) else _parent(tx, parent_id)
    values = {
        "id": provider_id,
        "name": body.name,
        "root_id": provider_id if parent is None else parent.root_id,
        "parent_id": None if parent is None else parent.id,
    }
    try:
        with tx.savepoint():
            row = store.insert(tx, values)
    except Duplicate as error:
        if store.get(tx, provider_id) is not None:
            raise Conflict(
                f"Conflicting resource provider uuid: {provider_id} already exists.", kind=DUPLICATE_NAME
            ) from error
        raise _name_taken(body.name) from error
    where = location(call, f"/resource_providers/{provider_id}")
    reply = shown(call, row) if call.has(V.POST_SHOWS_PROVIDER) else Reply(201)
    reply.headers.update(where)
    return reply


@ResourceProvider.update(policy=policy.UPDATE_PROVIDER)
def update_provider(call: Call, tx: Tx, row: Row[Any], body: Any) -> Reply:
    """Renames a provider, or gives it another parent."""
    if body.name is UNSET:
        raise BadRequest("JSON does not validate: 'name' is a required property")
    parent_id = getattr(body, "parent_provider_uuid", UNSET)
    if parent_id is not UNSET and (
        parent_id is None or read_uuid("parent_provider_uuid", parent_id) != row.parent_id
    ):
        row = _reparent(call, tx, row, parent_id)
    try:
        with tx.savepoint():
            row = store.change(tx, row.id, {"name": body.name})
    except Duplicate as error:
        raise _name_taken(body.name) from error
    return shown(call, row)


def _reparent(call: Call, tx: Tx, row: Row[Any], parent_id: str | None) -> Row[Any]:
    if parent_id is None:
        if row.parent_id is None:
            return row
        if not call.has(V.REPARENT):
            raise BadRequest(f"Un-parenting provider {row.id} is not supported before version {V.REPARENT}.")
        members = store.subtree(tx, row.root_id, row.id)
        store.move(tx, members, row.id)
        return store.change(tx, row.id, {"parent_id": None})
    if row.parent_id is not None and not call.has(V.REPARENT):
        raise BadRequest(f"Re-parenting provider {row.id} is not supported before version {V.REPARENT}.")
    parent = _parent(tx, parent_id)
    members = store.subtree(tx, row.root_id, row.id)
    if parent.id in members:
        raise BadRequest(
            f"Creating a loop in the provider tree is not allowed: {parent.id} descends from {row.id}."
        )
    store.move(tx, members, parent.root_id)
    return store.change(tx, row.id, {"parent_id": parent.id})


@ResourceProvider.delete(policy=policy.DELETE_PROVIDER)
def delete_provider(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a provider without children and allocations, and its inventories with it."""
    if allocations.provider_is_used(tx, row.id):
        raise Conflict(
            f"Unable to delete resource provider {row.id}: it has allocations; delete them first.",
            kind=PROVIDER_IN_USE,
        )
    if store.has_children(tx, row.id):
        raise Conflict(
            f"Unable to delete parent resource provider {row.id}: it has children; delete them first.",
            kind=PROVIDER_HAS_CHILDREN,
        )
    store.delete(tx, row.id)


@ResourceProvider.show(policy=policy.SHOW_PROVIDER, query=())
def show_provider(call: Call, tx: Tx, row: Row[Any]) -> Reply:
    """Shows a provider."""
    return shown(call, row)


@ResourceProvider.list(
    policy=policy.LIST_PROVIDERS,
    query=(
        Param(name="name"),
        Param(name="uuid", type=Uuid),
        Param(name="member_of", since=V.MEMBER_OF),
        Param(name="resources", since=V.LISTED_BY_ROOM),
        Param(name="in_tree", type=Uuid, since=V.TREES),
        Param(name="required", since=V.LISTED_BY_TRAIT),
    ),
)
def list_providers(call: Call, tx: Tx) -> Reply:
    """Lists providers by name, tree, traits, aggregates, and by what they have free."""
    rows = store.everyone(tx)
    if (name := call.arg("name")) is not None:
        rows = [row for row in rows if row.name == name]
    if (uuid := call.arg("uuid")) is not None:
        wanted = read_uuid("uuid", uuid)
        rows = [row for row in rows if row.id == wanted]
    if (in_tree := call.arg("in_tree")) is not None:
        member = store.get(tx, read_uuid("in_tree", in_tree))
        rows = [row for row in rows if member is not None and row.root_id == member.root_id]
    asked = {name: call.query[name] for name in ("resources", "required", "member_of") if name in call.query}
    if asked:
        group = read_group(call, tx, "", asked)
        with call.runtime.state.providers.current(tx) as known:
            rows = [row for row in rows if (one := known.get(row.id)) is not None and _meets(one, group)]
    show = ResourceProvider.view(call)
    modified = max((row.updated_at for row in rows), default=tx.now)
    return answer(call, {"resource_providers": [show(row) for row in rows]}, modified)


def _meets(provider: Provider, group: Any) -> bool:
    """Whether a provider alone is what the group asks for."""
    return (
        all(not provider.traits.isdisjoint(any_of) for any_of in group.required)
        and provider.traits.isdisjoint(group.forbidden)
        and all(not provider.aggregates.isdisjoint(any_of) for any_of in group.member_of)
        and provider.aggregates.isdisjoint(group.not_member_of)
        and all(provider.has_room(*amount) for amount in group.resources.items())
    )
