"""Flavors: what servers may be made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, Row, bindparam, or_

from pileus.kernel.api.bodies import Body, decode_as
from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.dialect import Dialect
from pileus.kernel.api.fields import brief, field, read_only
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.api.versions import Version
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.services.compute.api.types import (
    Bool,
    FlavorId,
    LongText,
    MetadataKey,
    Name,
    NaturalInt,
    PositiveInt,
    ProjectId,
    read_int,
    truth,
)
from pileus.services.compute.links import member_links
from pileus.services.compute.model import flavors
from pileus.services.compute.store import flavor as store
from pileus.services.compute.versions import V

_SEEN = or_(flavors.c.is_public.is_(True), store.has_access(flavors.c.id, bindparam("visible_project_id")))
_PRIVATE = flavors.c.is_public.is_(False)
EXTRA_SPECS = "os_compute_api:os-flavor-extra-specs:index"


def _links(call: Call, row: Row[Any]) -> list[dict[str, str]]:
    return member_links(call, "flavors", row.id)


def _at_least(name: str, column: ColumnElement[Any]) -> Callable[[Call, list[str]], ColumnElement[bool]]:
    def clause(call: Call, values: list[str]) -> ColumnElement[bool]:
        return column >= read_int(name, values[-1])

    return clause


def _by_name(call: Call, values: list[str]) -> ColumnElement[bool] | None:
    return flavors.c.name == values[-1] if call.has(V.FLAVOR_NAME_FILTER) else None


class Flavor(Resource, member="flavor", collection="flavors", table=flavors):
    id: str = field(read_only, brief)
    name: str = field(read_only, brief)
    ram: int = field(column="memory_mib")
    disk: int = field(column="root_gib")
    swap_or_blank: int | str = field(
        wire="swap", render=lambda call, row: row.swap_mib or "", until=V.STRICT_QUERIES.previous
    )
    swap: int = field(column="swap_mib", since=V.STRICT_QUERIES)
    vcpus: int = field()
    ephemeral: int = field(wire="OS-FLV-EXT-DATA:ephemeral", column="ephemeral_gib")
    disabled: bool = field(
        wire="OS-FLV-DISABLED:disabled", render=lambda call, row: False, until=V.FLAVOR_NAME_FILTER.previous
    )
    rxtx_factor: float = field(until=V.FLAVOR_NAME_FILTER.previous)
    is_public: bool = field(wire="os-flavor-access:is_public")
    links: list[dict[str, str]] = field(brief, render=_links)
    description: str | None = field(brief, since=V.FLAVOR_DESCRIPTION)
    extra_specs: dict[str, str] = field(since=V.FLAVOR_EXTRA_SPECS, policy=EXTRA_SPECS)

    default_sort = (("id", "asc"),)
    filters = {
        "is_public": lambda call, values: None,  # `listed` reads it
        "minRam": _at_least("minRam", flavors.c.memory_mib),
        "minDisk": _at_least("minDisk", flavors.c.root_gib),
        "name": _by_name,
    }

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        if call.context.is_admin:
            return None
        return _SEEN, {"visible_project_id": call.context.project_id}

    @classmethod
    def listed(cls, call: Call) -> Visibility:
        said = call.arg("is_public") if call.context.is_admin else None
        if said is not None and said.lower() == "none":
            return None
        if said is not None and not read_bool("is_public", said):
            return _PRIVATE, {}
        return _SEEN, {"visible_project_id": call.context.project_id}

    @classmethod
    def sort_columns(cls) -> Mapping[str, str]:
        return _SORT

    @classmethod
    def rejects_unknown_filters(cls, call: Call) -> bool:
        return call.has(V.FLAVOR_NAME_FILTER)

    @classmethod
    def load(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        """Who may not do it hears so, whether or not there is such a flavor."""
        try:
            return super().load(call, tx, key)
        except NotFound:
            if call.operation.policy is not AUTHENTICATED:
                call.enforce(call.operation.policy)
            raise

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Flavor {key} could not be found.")


_SORT = {
    "flavorid": "id",
    "id": "id",
    "name": "name",
    "memory_mb": "memory_mib",
    "root_gb": "root_gib",
    "ephemeral_gb": "ephemeral_gib",
    "swap": "swap_mib",
    "vcpus": "vcpus",
    "rxtx_factor": "rxtx_factor",
    "is_public": "is_public",
    "created_at": "created_at",
}


Ratio = Annotated[float, Meta(gt=0, le=3.40282e38)]


class CreateFlavor(Body, wrapper="flavor"):
    name: Name = field(required=True)
    id: FlavorId | int | None = field(default=None)
    ram: PositiveInt = field(required=True)
    vcpus: PositiveInt = field(required=True)
    disk: NaturalInt = field(required=True)
    ephemeral: NaturalInt = field(wire="OS-FLV-EXT-DATA:ephemeral", default=0)
    swap: NaturalInt = field(default=0)
    rxtx_factor: Ratio = field(default=1.0, until=V.FLAVOR_NAME_FILTER.previous)
    is_public: Bool = field(wire="os-flavor-access:is_public", default=True)
    description: LongText | None = field(default=None, since=V.FLAVOR_DESCRIPTION)


@Flavor.create(policy="os_compute_api:os-flavor-manage:create", body=CreateFlavor, status=200)
def create(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a flavor."""
    flavor_id = new_uuid() if body.id is None else str(body.id)
    if store.find(tx, flavor_id) is not None:
        raise Conflict(f"Flavor with ID {flavor_id} already exists.")
    values = {
        "id": flavor_id,
        "name": body.name,
        "vcpus": body.vcpus,
        "memory_mib": body.ram,
        "root_gib": body.disk,
        "ephemeral_gib": body.ephemeral,
        "swap_mib": body.swap,
        "rxtx_factor": getattr(body, "rxtx_factor", 1.0),
        "is_public": truth("os-flavor-access:is_public", body.is_public),
        "description": getattr(body, "description", None),
        "extra_specs": {},
        "created_at": tx.now,
    }
    try:
        return store.insert(tx, values)
    except Duplicate as error:
        raise Conflict(f"Flavor with name {body.name} already exists.") from error


class UpdateFlavor(Body, wrapper="flavor"):
    description: LongText | None = field(required=True)


@Flavor.update(policy="os_compute_api:os-flavor-manage:update", body=UpdateFlavor, since=V.FLAVOR_DESCRIPTION)
def update(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a flavor's description."""
    return store.update(tx, row.id, description=body.description)


@Flavor.delete(policy="os_compute_api:os-flavor-manage:delete", status=202)
def delete(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes a flavor; servers made from it keep their copy."""
    store.delete(tx, row.id)


Flavor.show(policy=AUTHENTICATED)
Flavor.list(policy=AUTHENTICATED, view="brief")
Flavor.list(policy=AUTHENTICATED, suffix="/detail")


# Extra specs

Value = Annotated[str, Meta(max_length=255)]
Specs = dict[MetadataKey, Value]
SPECS = "os_compute_api:os-flavor-extra-specs"


class SpecsAnswer(msgspec.Struct):
    extra_specs: dict[str, str]


class ExtraSpecs(Body, wrapper="extra_specs"):
    """Any names; the struct below decodes them."""

    @classmethod
    def decode(cls, dialect: Dialect, version: Version | None, raw: bytes) -> Any:
        return decode_as(Specs, dialect, raw, cls.wrapper)


@Flavor.member_route("GET", "/os-extra_specs", policy=AUTHENTICATED)
def list_extra_specs(call: Call, tx: Tx, row: Row[Any]) -> SpecsAnswer:
    """Lists a flavor's extra specs. A flavor is of no project, so the rule is asked for the caller's own."""
    call.enforce(EXTRA_SPECS)
    return SpecsAnswer(row.extra_specs)


@Flavor.member_route("POST", "/os-extra_specs", policy=f"{SPECS}:create", body=ExtraSpecs)
def create_extra_specs(call: Call, tx: Tx, row: Row[Any], body: dict[str, str]) -> SpecsAnswer:
    """Adds extra specs, or replaces those of the same names."""
    store.update(tx, row.id, extra_specs={**row.extra_specs, **body})
    return SpecsAnswer(body)


@Flavor.member_route("GET", "/os-extra_specs/{key}", policy=AUTHENTICATED)
def show_extra_spec(call: Call, tx: Tx, row: Row[Any]) -> dict[str, str]:
    """Shows one extra spec."""
    call.enforce(f"{SPECS}:show")
    key = call.params["key"]
    return {key: _spec(row, key)}


@Flavor.member_route("PUT", "/os-extra_specs/{key}", policy=f"{SPECS}:update", body=Specs)
def update_extra_spec(call: Call, tx: Tx, row: Row[Any], body: dict[str, str]) -> dict[str, str]:
    """Sets one extra spec."""
    if list(body) != [call.params["key"]]:
        raise BadRequest("The body must have exactly one name, the one in the path.")
    store.update(tx, row.id, extra_specs={**row.extra_specs, **body})
    return body


@Flavor.member_route("DELETE", "/os-extra_specs/{key}", policy=f"{SPECS}:delete", status=200)
def delete_extra_spec(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes one extra spec."""
    key = call.params["key"]
    _spec(row, key)
    store.update(
        tx, row.id, extra_specs={name: value for name, value in row.extra_specs.items() if name != key}
    )


def _spec(row: Row[Any], key: str) -> str:
    if key not in row.extra_specs:
        raise NotFound(f"Flavor {row.id} has no extra specs with key {key}.")
    value: str = row.extra_specs[key]
    return value


# Access of projects to flavors that are not public


class TenantAccess(Body):
    tenant: ProjectId = field(required=True)


class FlavorAccess(msgspec.Struct):
    flavor_id: str
    tenant_id: str


class AccessAnswer(msgspec.Struct):
    flavor_access: list[FlavorAccess]


@Flavor.member_route("GET", "/os-flavor-access", policy="os_compute_api:os-flavor-access")
def list_access(call: Call, tx: Tx, row: Row[Any]) -> AccessAnswer:
    """Lists the projects that may use a private flavor."""
    if row.is_public:
        raise NotFound("Access list not available for public flavors.")
    return _access(tx, row)


def _access(tx: Tx, row: Row[Any]) -> AccessAnswer:
    return AccessAnswer([FlavorAccess(row.id, project_id) for project_id in store.projects_of(tx, row.id)])


@Flavor.action(
    "addTenantAccess",
    policy="os_compute_api:os-flavor-access:add_tenant_access",
    body=TenantAccess,
    status=200,
)
def add_access(call: Call, tx: Tx, row: Row[Any], body: Any) -> AccessAnswer:
    """Lets a project use a private flavor."""
    if row.is_public and call.has(V.PUBLIC_FLAVOR_ACCESS):
        raise Conflict("Can not add access to a public flavor.")
    try:
        store.add_access(tx, row.id, body.tenant)
    except Duplicate as error:
        raise Conflict(f"Project {body.tenant} has access to flavor {row.id} already.") from error
    return _access(tx, row)


@Flavor.action(
    "removeTenantAccess",
    policy="os_compute_api:os-flavor-access:remove_tenant_access",
    body=TenantAccess,
    status=200,
)
def remove_access(call: Call, tx: Tx, row: Row[Any], body: Any) -> AccessAnswer:
    """Takes a private flavor from a project."""
    if not store.remove_access(tx, row.id, body.tenant):
        raise NotFound(f"Project {body.tenant} has no access to flavor {row.id}.")
    return _access(tx, row)
