"""Subnet pools: prefixes that subnets are taken from, so that they do not overlap."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import Row, bindparam, or_

from pileus.kernel.api.call import Call
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.api.fields import Text255, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.services.network.api.standard import enforce_attributes, given
from pileus.services.network.api.tags import Tagged, declare_tags, tag_filters
from pileus.services.network.domain import subnet_pool as domain
from pileus.services.network.domain.subnet import canonical_cidr, invalid
from pileus.services.network.events import announce
from pileus.services.network.model import subnet_pools
from pileus.services.network.store import rows
from pileus.services.network.store import subnet_pools as store

Length: TypeAlias = (
    Annotated[int, Meta(ge=0, le=128)]
    | Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]?|1[01][0-9]|12[0-8])\Z")]
)
"""A prefix length; clients send it as a number or as text, and are shown text."""
_VISIBLE = or_(subnet_pools.c.project_id == bindparam("visible_project_id"), subnet_pools.c.shared)


class PrefixesBody(msgspec.Struct, forbid_unknown_fields=True):
    prefixes: list[str]


class SubnetPool(Tagged, member="subnetpool", collection="subnetpools", table=subnet_pools):
    kind_name = "subnetpool"
    filters = tag_filters(subnet_pools)

    name: Text255 = field(create, update, filter, sort, required=True)
    prefixes: list[str] = field(create, update, required=True)
    ip_version: int = field(read_only, filter, sort)
    min_prefixlen: Length = field(
        create, update, filter, sort, render=lambda call, row: str(row.min_prefixlen)
    )
    max_prefixlen: Length = field(
        create, update, filter, sort, render=lambda call, row: str(row.max_prefixlen)
    )
    default_prefixlen: Length = field(
        create, update, filter, sort, render=lambda call, row: str(row.default_prefixlen)
    )
    default_quota: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = field(
        create, update, filter, sort, default=None
    )
    shared: bool = field(create, filter, sort, default=False)
    is_default: bool = field(create, update, filter, sort, default=False)
    address_scope_id: None = field(create, update, default=None, column=None, render=lambda call, row: None)

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _VISIBLE, {"visible_project_id": project_id}


@SubnetPool.create(policy="create_subnetpool", status=201, quota={"subnetpool": 1})
def create_pool(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a subnet pool."""
    enforce_attributes(call, "create_subnetpool", body, SubnetPool.target_of_new(call, tx, body))
    version, prefixes = domain.compacted(body.prefixes)
    bounds = domain.checked_bounds(version, **_lengths(body))
    _check_default(tx, version, body, None)
    row = rows.add(
        tx,
        subnet_pools,
        {
            "project_id": owner_project(call, body),
            **given(body, "name", "description", "default_quota", "shared", "is_default"),
            "ip_version": version,
            "prefixes": prefixes,
            **_columns(bounds),
        },
    )
    announce(call, tx, SubnetPool, "create", row)
    return row


@SubnetPool.update(policy="update_subnetpool")
def update_pool(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a subnet pool; its prefixes can only become more."""
    enforce_attributes(call, "update_subnetpool", body, SubnetPool.target(row))
    values = given(body, "name", "description", "default_quota", "is_default")
    _check_default(tx, row.ip_version, body, row.id)
    now = {
        "shortest": row.min_prefixlen,
        "longest": row.max_prefixlen,
        "default": row.default_prefixlen,
    }
    said = {name: value for name, value in _lengths(body).items() if value is not None}
    if said:
        values |= _columns(domain.checked_bounds(row.ip_version, **{**now, **said}))
    if body.prefixes is not UNSET:
        values["prefixes"] = prefixes = _same_version(row, body.prefixes)
        lost = domain.without(row.prefixes, prefixes)
        if lost:
            raise BadRequest(
                f"Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes; "
                f"{', '.join(lost)} would be lost.",
                kind="IllegalSubnetPoolPrefixUpdate",
            )
    return _changed(call, tx, row, values)


@SubnetPool.delete(policy="delete_subnetpool")
def delete_pool(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a subnet pool that no subnet is from."""
    if store.taken(tx, row.id):
        raise BadRequest(
            "Unable to delete subnet pool: Subnet pool has existing allocations.",
            kind="SubnetPoolDeleteError",
        )
    rows.remove(tx, subnet_pools, row.id)
    announce(call, tx, SubnetPool, "delete", row)


@SubnetPool.member_route("PUT", "/add_prefixes", policy="add_prefixes", body=PrefixesBody)
def add_prefixes(call: Call, tx: Tx, row: Row[Any], body: PrefixesBody) -> PrefixesBody:
    """Adds prefixes to those that are there."""
    prefixes = _same_version(row, [*row.prefixes, *body.prefixes])
    return PrefixesBody(_changed(call, tx, row, {"prefixes": prefixes}).prefixes)


@SubnetPool.member_route("PUT", "/remove_prefixes", policy="remove_prefixes", body=PrefixesBody)
def remove_prefixes(call: Call, tx: Tx, row: Row[Any], body: PrefixesBody) -> PrefixesBody:
    """Removes prefixes that no subnet has a part of."""
    left = domain.without(row.prefixes, _same_version(row, body.prefixes))
    for cidr in store.taken(tx, row.id):
        if not domain.covers(left, cidr):
            raise BadRequest(
                f"Illegal update to prefixes: subnet {cidr} is allocated from what would be removed.",
                kind="IllegalSubnetPoolPrefixUpdate",
            )
    return PrefixesBody(_changed(call, tx, row, {"prefixes": left}).prefixes)


SubnetPool.show(policy="get_subnetpool")
SubnetPool.list(policy="get_subnetpool")
declare_tags(SubnetPool)


def pool_of(call: Call, tx: Tx, body: Any) -> Row[Any] | None:
    """The pool that a new subnet is to be taken from, or None for one that says its own CIDR."""
    pool_id = body.subnetpool_id
    if body.use_default_subnetpool:
        if pool_id is not None:
            raise BadRequest("subnetpool_id and use_default_subnetpool cannot both be specified")
        pool_id = store.default_of(tx, body.ip_version)
        if pool_id is None:
            raise BadRequest(f"No default subnetpool found for IPv{body.ip_version}")
    return None if pool_id is None else SubnetPool.load_again(call, tx, pool_id)


def take(tx: Tx, pool: Row[Any], body: Any, project_id: str) -> str:
    """The CIDR of a new subnet of the pool: the one that is asked for, or a free one."""
    if body.ip_version != pool.ip_version:
        raise BadRequest("Cannot allocate requested subnet from the available set of prefixes: the pool is of "
                         f"IPv{pool.ip_version}.", kind="InvalidInput")  # fmt: skip
    bounds = domain.Bounds(pool.min_prefixlen, pool.max_prefixlen, pool.default_prefixlen)
    taken = store.taken(tx, pool.id)
    if body.cidr is not UNSET:
        if body.prefixlen is not UNSET:
            raise BadRequest("cidr and prefixlen must not be supplied together.")
        cidr = canonical_cidr(body.cidr, body.ip_version)
        domain.check_length(bounds, int(cidr.partition("/")[2]))
        if not domain.covers(domain.without(pool.prefixes, taken), cidr):
            raise _no_room("Cannot allocate requested subnet from the available set of prefixes")
    else:
        prefixlen = bounds.default if body.prefixlen is UNSET else body.prefixlen
        domain.check_length(bounds, prefixlen)
        found = domain.next_free(pool.prefixes, taken, prefixlen)
        if found is None:
            raise _no_room(f"Insufficient prefix space to allocate subnet size /{prefixlen}")
        cidr = found
    if pool.default_quota is not None:
        mine = [*store.taken_by(tx, pool.id, project_id), cidr]
        if domain.units(mine, pool.ip_version) > pool.default_quota:
            raise Conflict("Per-tenant subnet pool prefix quota exceeded.", kind="SubnetPoolQuotaExceeded")
    return cidr


def _no_room(reason: str) -> Conflict:
    return Conflict(f"Failed to allocate subnet: {reason}.", kind="SubnetAllocationError")


def _lengths(body: Any) -> dict[str, int | None]:
    names = {"shortest": body.min_prefixlen, "longest": body.max_prefixlen, "default": body.default_prefixlen}
    return {name: None if value is UNSET else int(value) for name, value in names.items()}


def _columns(bounds: domain.Bounds) -> dict[str, int]:
    return {
        "min_prefixlen": bounds.shortest,
        "max_prefixlen": bounds.longest,
        "default_prefixlen": bounds.default,
    }


def _same_version(row: Row[Any], wanted: list[str]) -> list[str]:
    version, prefixes = domain.compacted(wanted)
    if version != row.ip_version:
        raise BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", kind="PrefixVersionMismatch")
    return prefixes


def _check_default(tx: Tx, version: int, body: Any, own_id: str | None) -> None:
    if body.is_default is not True:
        return
    other = store.default_of(tx, version)
    if other is not None and other != own_id:
        raise invalid(
            f"A default subnetpool for this IP family has already been set: {other}. Only one default may exist "
            "per IP family."
        )


def _changed(call: Call, tx: Tx, row: Row[Any], values: dict[str, Any]) -> Row[Any]:
    if not values:
        return row
    rows.change(tx, subnet_pools, row.id, **values)
    row = SubnetPool.load_again(call, tx, row.id)
    announce(call, tx, SubnetPool, "update", row)
    return row
