"""Quotas of projects, their defaults, and what is left of them (`/limits`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.quota import DEFAULT_CLASS
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.compute.api.types import Bool, truth
from pileus.services.compute.quotas import QUOTAS
from pileus.services.compute.versions import V

routes = Routes()
SETS = "os_compute_api:os-quota-sets"
CLASSES = "os_compute_api:os-quota-class-sets"
GROUPS = frozenset({"server_groups", "server_group_members"})
Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]


class Limits(Body, wrapper="quota_set"):
    """Every quota, in the versions that show and take it."""

    instances: Limit = field()
    cores: Limit = field()
    ram: Limit = field()
    metadata_items: Limit = field()
    key_pairs: Limit = field()
    server_groups: Limit = field()
    server_group_members: Limit = field()
    injected_files: Limit = field(until=V.NO_PERSONALITY.previous)
    injected_file_content_bytes: Limit = field(until=V.NO_PERSONALITY.previous)
    injected_file_path_bytes: Limit = field(until=V.NO_PERSONALITY.previous)
    floating_ips: Limit = field(until=V.NO_PROXIES.previous)
    fixed_ips: Limit = field(until=V.NO_PROXIES.previous)
    security_groups: Limit = field(until=V.NO_PROXIES.previous)
    security_group_rules: Limit = field(until=V.NO_PROXIES.previous)
    networks: Limit = field(until=V.NO_PROXIES.previous)
    force: Bool = field(default=False)


class ClassLimits(Limits, wrapper="quota_class_set"):
    """The same for the class of all projects; its network quotas went later."""

    tenant_id: str = field()
    floating_ips: Limit = field(until=V.QUOTA_CLASSES.previous)
    fixed_ips: Limit = field(until=V.QUOTA_CLASSES.previous)
    security_groups: Limit = field(until=V.QUOTA_CLASSES.previous)
    security_group_rules: Limit = field(until=V.QUOTA_CLASSES.previous)


class QuotaAnswer(msgspec.Struct):
    """Limits by name, where they are shown with the project's `id`."""

    quota_set: dict[str, int | str]


class Detail(msgspec.Struct):
    limit: int
    in_use: int
    reserved: int


class DetailAnswer(msgspec.Struct):
    quota_set: dict[str, Detail | str]


class ClassAnswer(msgspec.Struct):
    """Limits by name, where they are shown with the class's name as `id`."""

    quota_class_set: dict[str, int | str]


class AllLimits(msgspec.Struct):
    """Limits and use by name; of rates there are none."""

    rate: list[str]
    absolute: dict[str, int]


class LimitsAnswer(msgspec.Struct):
    limits: AllLimits


def _names(call: Call, *, of_class: bool = False) -> list[str]:
    """The quotas that this version of the API shows: those that it takes."""
    known = {each.name for each in (ClassLimits if of_class else Limits).fields if each.alive(call.version)}
    if of_class and not call.has(V.QUOTA_CLASSES):
        known -= GROUPS
    return [name for name in QUOTAS.by_name if name in known]


def _limits(call: Call, tx: Tx, project_id: str, *, of_class: bool = False) -> dict[str, int]:
    limits = QUOTAS.limits(tx, project_id)
    return {name: limits[name] for name in _names(call, of_class=of_class)}


def _target(call: Call) -> Mapping[str, Any]:
    return {"project_id": call.params["project"], "tenant_id": call.params["project"]}


@routes.add("GET", "/os-quota-sets/{project}", policy="@authenticated")
def show(call: Call, tx: Tx) -> QuotaAnswer:
    """Shows a project's limits."""
    call.enforce(f"{SETS}:show", _target(call))
    return QuotaAnswer({"id": call.params["project"], **_limits(call, tx, call.params["project"])})


@routes.add("GET", "/os-quota-sets/{project}/defaults", policy=f"{SETS}:defaults")
def defaults(call: Call, tx: Tx) -> QuotaAnswer:
    """Shows the limits of projects without limits of their own."""
    return QuotaAnswer({"id": call.params["project"], **_limits(call, tx, DEFAULT_CLASS)})


@routes.add("GET", "/os-quota-sets/{project}/detail", policy="@authenticated")
def detail(call: Call, tx: Tx) -> DetailAnswer:
    """Shows limits, and what is used of them."""
    call.enforce(f"{SETS}:detail", _target(call))
    project_id = call.params["project"]
    limits = QUOTAS.limits(tx, project_id)
    shown = {
        name: Detail(limits[name], in_use=QUOTAS.used(tx, project_id, name), reserved=0)
        for name in _names(call)
    }
    return DetailAnswer({"id": project_id, **shown})


@routes.add("PUT", "/os-quota-sets/{project}", policy="@authenticated", body=Limits)
def update(call: Call, tx: Tx, body: Any) -> QuotaAnswer:
    """Sets limits of a project."""
    call.enforce(f"{SETS}:update", _target(call))
    project_id = call.params["project"]
    wanted = _wanted(body)
    if not truth("force", body.force):
        for name, limit in wanted.items():
            used = QUOTAS.used(tx, project_id, name)
            if 0 <= limit < used:
                raise BadRequest(
                    f"Quota limit {limit} for {name} must be greater than or equal to already used and "
                    f"reserved {used}. Use force to set it all the same."
                )
    QUOTAS.set_limits(tx, project_id, wanted)
    return QuotaAnswer({**_limits(call, tx, project_id)})


def _wanted(body: Any) -> dict[str, int]:
    return {name: getattr(body, name) for name in QUOTAS.by_name if getattr(body, name, UNSET) is not UNSET}


@routes.add("DELETE", "/os-quota-sets/{project}", policy="@authenticated", status=202)
def delete(call: Call, tx: Tx) -> None:
    """Lets the defaults hold again."""
    call.enforce(f"{SETS}:delete", _target(call))
    QUOTAS.reset(tx, call.params["project"])


@routes.add("GET", "/os-quota-class-sets/{name}", policy=f"{CLASSES}:show")
def show_class(call: Call, tx: Tx) -> ClassAnswer:
    """Shows the defaults; only the class `default` has any effect, as upstream."""
    return ClassAnswer({"id": call.params["name"], **_limits(call, tx, DEFAULT_CLASS, of_class=True)})


@routes.add("PUT", "/os-quota-class-sets/{name}", policy=f"{CLASSES}:update", body=ClassLimits)
def update_class(call: Call, tx: Tx, body: Any) -> ClassAnswer:
    """Sets defaults."""
    if call.params["name"] != "default":
        raise BadRequest("There is only one quota class: default.")
    QUOTAS.set_limits(tx, DEFAULT_CLASS, _wanted(body))
    return ClassAnswer({**_limits(call, tx, DEFAULT_CLASS, of_class=True)})


ABSOLUTE = {
    "maxTotalInstances": "instances",
    "maxTotalCores": "cores",
    "maxTotalRAMSize": "ram",
    "maxServerMeta": "metadata_items",
    "maxTotalKeypairs": "key_pairs",
    "maxServerGroups": "server_groups",
    "maxServerGroupMembers": "server_group_members",
}
USED = {
    "totalInstancesUsed": "instances",
    "totalCoresUsed": "cores",
    "totalRAMUsed": "ram",
    "totalServerGroupsUsed": "server_groups",
}
QUERY = frozenset({"tenant_id", "reserved"})


@routes.add("GET", "/limits", policy="os_compute_api:limits")
def show_limits(call: Call, tx: Tx) -> LimitsAnswer:
    """Shows a project's limits and use, in the names of old."""
    if call.has(V.STRICT_QUERIES) and (unknown := set(call.query) - QUERY):
        raise BadRequest(f"Additional properties are not allowed ({sorted(unknown)[0]!r} was unexpected)")
    project_id = call.arg("tenant_id") or call.project_id
    if project_id != call.context.project_id:
        call.enforce("os_compute_api:limits:other_project")
    limits = QUOTAS.limits(tx, project_id)
    shown = {name: limits[quota] for name, quota in ABSOLUTE.items()}
    shown |= {name: QUOTAS.used(tx, project_id, quota) for name, quota in USED.items()}
    if not call.has(V.NO_PERSONALITY):
        shown |= {
            "maxPersonality": limits["injected_files"],
            "maxPersonalitySize": limits["injected_file_content_bytes"],
        }
    if not call.has(V.NO_IMAGE_METADATA):
        shown["maxImageMeta"] = limits["metadata_items"]
    if not call.has(V.NO_PROXIES):
        shown |= dict.fromkeys(("maxTotalFloatingIps", "maxSecurityGroups", "maxSecurityGroupRules"), -1)
        shown |= dict.fromkeys(("totalFloatingIpsUsed", "totalSecurityGroupsUsed"), 0)
    return LimitsAnswer(AllLimits([], shown))
