"""`/quotas`: limits of projects, and what is used of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import bindparam, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.quota import DEFAULT_CLASS, UNLIMITED, limits
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.network.quota import QUOTAS

Limit: TypeAlias = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
_Limits = msgspec.defstruct(
    "QuotaLimits",
    [
        *((name, Limit | UnsetType, UNSET) for name in QUOTAS.by_name),
        ("force", bool, False),
        ("check_limit", bool, True),
        ("project_id", str | UnsetType, UNSET),
        ("tenant_id", str | UnsetType, UNSET),
    ],
    forbid_unknown_fields=True,
)
_Body = msgspec.defstruct("QuotaBody", [("quota", _Limits)])
_PROJECTS: Final = (
    select(limits.c.project_id)
    .where(limits.c.service == QUOTAS.service, limits.c.project_id != bindparam("default_class"))
    .distinct()
    .order_by(limits.c.project_id)
)

routes = Routes()


class QuotasAnswer(msgspec.Struct):
    """Limits by name, and whose they are."""

    quotas: list[dict[str, int | str]]


class QuotaAnswer(msgspec.Struct):
    """Limits by name."""

    quota: dict[str, int]


class Usage(msgspec.Struct):
    limit: int
    used: int
    reserved: int


class UsageAnswer(msgspec.Struct):
    quota: dict[str, Usage]


def _enforce(call: Call, rule: str) -> str:
    """The project that the path names, if the caller may do this to its quota."""
    project_id = call.params["project_id"]
    call.enforce(rule, {"project_id": project_id, "tenant_id": project_id})
    if len(project_id) > 64 or "\0" in project_id:
        raise NotFound(f"Project {project_id} could not be found.", kind="TenantQuotaNotFound")
    return project_id


@routes.add("GET", "/quotas", policy="update_quota")
def list_quotas(call: Call, tx: Tx) -> QuotasAnswer:
    """Lists the projects whose limits are not the default ones."""
    found = tx.scalars(_PROJECTS, default_class=DEFAULT_CLASS)
    return QuotasAnswer(
        [{**QUOTAS.limits(tx, each), "project_id": each, "tenant_id": each} for each in found]
    )


@routes.add("GET", "/quotas/tenant", policy=AUTHENTICATED)
@routes.add("GET", "/quotas/project", policy=AUTHENTICATED)
def show_own_project(call: Call, tx: Tx) -> dict[str, dict[str, str]]:
    """Tells whose quota the token's is."""
    name = call.path.rpartition("/")[2]
    return {name: {f"{name}_id": call.project_id}}


@routes.add("GET", "/quotas/{project_id}", policy=AUTHENTICATED)
def show_quota(call: Call, tx: Tx) -> QuotaAnswer:
    """Shows the limits of a project."""
    return QuotaAnswer(QUOTAS.limits(tx, _enforce(call, "get_quota")))


@routes.add("GET", "/quotas/{project_id}/default", policy=AUTHENTICATED)
def show_default_quota(call: Call, tx: Tx) -> QuotaAnswer:
    """Shows the limits that hold where nothing else was said."""
    _enforce(call, "get_quota")
    return QuotaAnswer(QUOTAS.limits(tx, DEFAULT_CLASS))


@routes.add("GET", "/quotas/{project_id}/details.json", policy=AUTHENTICATED)
@routes.add("GET", "/quotas/{project_id}/details", policy=AUTHENTICATED)
def show_quota_details(call: Call, tx: Tx) -> UsageAnswer:
    """Shows limits and what is used of them. Nothing is ever reserved: quota counts what is there."""
    project_id = _enforce(call, "get_quota")
    return UsageAnswer(
        {
            name: Usage(limit, used=QUOTAS.used(tx, project_id, name), reserved=0)
            for name, limit in QUOTAS.limits(tx, project_id).items()
        }
    )


@routes.add("PUT", "/quotas/{project_id}", policy=AUTHENTICATED, body=_Body)
def update_quota(call: Call, tx: Tx, body: Any) -> QuotaAnswer:
    """Sets limits of a project; not below what it uses already, unless by `force`."""
    project_id = _enforce(call, "update_quota")
    wanted = {name: value for name in QUOTAS.by_name if (value := getattr(body.quota, name)) is not UNSET}
    if not body.quota.force:
        for name, limit in wanted.items():
            if limit != UNLIMITED and (used := QUOTAS.used(tx, project_id, name)) > limit:
                raise BadRequest(
                    f"Quota limit {limit} for {name} is below the {used} in use. Delete some first, or say "
                    "force.",
                    kind="InvalidQuotaValue",
                )
    QUOTAS.set_limits(tx, project_id, wanted)
    return QuotaAnswer(QUOTAS.limits(tx, project_id))


@routes.add("DELETE", "/quotas/{project_id}", policy=AUTHENTICATED, status=204)
def reset_quota(call: Call, tx: Tx) -> None:
    """Puts a project back to the default limits."""
    QUOTAS.reset(tx, _enforce(call, "delete_quota"))
