"""Subnet pools, and what was taken from them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from pileus.kernel.db import Tx
from pileus.services.network.model import subnet_pools, subnets

_TAKEN = select(subnets.c.cidr).where(subnets.c.subnetpool_id == bindparam("pool"))
_TAKEN_BY = _TAKEN.where(subnets.c.project_id == bindparam("project"))
_DEFAULT = select(subnet_pools.c.id).where(
    subnet_pools.c.is_default, subnet_pools.c.ip_version == bindparam("version")
)


def taken(tx: Tx, pool_id: str) -> Sequence[str]:
    """The CIDRs of the pool's subnets."""
    return tx.scalars(_TAKEN, pool=pool_id)


def taken_by(tx: Tx, pool_id: str, project_id: str) -> Sequence[str]:
    """The CIDRs that one project has from the pool."""
    return tx.scalars(_TAKEN_BY, pool=pool_id, project=project_id)


def default_of(tx: Tx, version: int) -> str | None:
    """The default pool of an IP version."""
    pool_id: str | None = tx.scalar(_DEFAULT, version=version)
    return pool_id
