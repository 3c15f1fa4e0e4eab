"""Server groups: servers that shall be near each other, or apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, UnsetType
from sqlalchemy import Row, bindparam

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.listing import page_of
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Tx, rows
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.compute.api.types import Name, read_int
from pileus.services.compute.model import groups
from pileus.services.compute.store import server as servers
from pileus.services.compute.versions import V

GROUPS = "os_compute_api:os-server-groups"
_OWN = groups.c.project_id == bindparam("visible_project_id")


class ServerGroup(
    Resource, member="server_group", collection="server_groups", path="/os-server-groups", table=groups
):
    id: str = field()
    name: str = field()
    policies: list[str] = field(render=lambda call, row: [row.policy], until=V.GROUP_RULES.previous)
    metadata: dict[str, str] = field(render=lambda call, row: {}, until=V.GROUP_RULES.previous)
    policy: str = field(since=V.GROUP_RULES)
    rules: dict[str, int] = field(since=V.GROUP_RULES)
    project_id: str = field(since=V.GROUP_OWNER)
    user_id: str = field(since=V.GROUP_OWNER)
    members: list[str] = field(render=lambda call, row: call.gathered["members"][row.id])

    default_sort = (("created_at", "asc"), ("id", "asc"))
    filters = {"all_projects": lambda call, values: None, "offset": lambda call, values: None}

    @classmethod
    def rejects_unknown_filters(cls, call: Call) -> bool:
        return call.has(V.STRICT_QUERIES)

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        if "all_projects" in call.query and call.context.is_admin:
            return None
        return _OWN, {"visible_project_id": call.context.project_id}

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        call.gathered["members"] = servers.members(tx, [row.id for row in rows])

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Instance group {key} could not be found.")


ServerGroup.show(policy=f"{GROUPS}:show")


@ServerGroup.list(policy=f"{GROUPS}:index")
def list_groups(call: Call, tx: Tx) -> dict[str, Any]:
    """Lists the project's groups; pages are by `offset`, as upstream's."""
    offset = read_int("offset", call.arg("offset") or "0")
    if offset < 0:
        raise BadRequest("offset param must be positive")
    page = page_of(call, tx, ServerGroup, skip=offset)
    ServerGroup.gather(call, tx, page.rows)
    return {"server_groups": list(map(ServerGroup.view(call), page.rows))}


Hard = Literal["affinity", "anti-affinity"]
Any4 = Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]


class Rules(Struct, forbid_unknown_fields=True):
    max_server_per_host: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = 1


class CreateServerGroup(Body, wrapper="server_group"):
    name: Name = field(required=True)
    hard: Annotated[list[Hard], Meta(min_length=1, max_length=1)] = field(
        wire="policies", required=True, until=V.SOFT_AFFINITY.previous
    )
    any4: Annotated[list[Any4], Meta(min_length=1, max_length=1)] = field(
        wire="policies", required=True, since=V.SOFT_AFFINITY, until=V.GROUP_RULES.previous
    )
    policy: Any4 = field(required=True, since=V.GROUP_RULES)
    rules: Rules | None = field(default=None, since=V.GROUP_RULES)


@ServerGroup.create(policy=f"{GROUPS}:create", body=CreateServerGroup, status=200, quota={"server_groups": 1})
def create_group(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a group."""
    policy = getattr(body, "policy", None) or (getattr(body, "hard", None) or body.any4)[0]
    rules = getattr(body, "rules", None)
    if rules is not None and policy != "anti-affinity":
        raise BadRequest("Only anti-affinity policy supports rules.")
    return rows.add(
        tx,
        groups,
        {
            "project_id": call.project_id,
            "user_id": call.context.user_id or "",
            "name": body.name,
            "policy": policy,
            "rules": {"max_server_per_host": rules.max_server_per_host} if rules is not None else {},
        },
    )


@ServerGroup.delete(policy=f"{GROUPS}:delete")
def delete_group(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes a group; its servers stay where they are."""
    rows.remove(tx, groups, row.id)
