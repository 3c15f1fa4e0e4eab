"""Quotas: how much of each a project may have. Names and defaults are upstream's."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Select, Table, bindparam, func, select

from pileus.kernel.api.quota import Quota, Quotas
from pileus.services.network.model import (
    floating_ips,
    networks,
    ports,
    routers,
    security_group_rules,
    security_groups,
    subnet_pools,
    subnets,
)


def _count(table: Table) -> Select[Any]:
    return select(func.count()).select_from(table).where(table.c.project_id == bindparam("project_id"))


QUOTAS: Final = Quotas(
    "network",
    Quota("network", 100, _count(networks)),
    Quota("subnet", 100, _count(subnets)),
    Quota("subnetpool", -1, _count(subnet_pools)),
    Quota("port", 500, _count(ports)),
    Quota("router", 10, _count(routers)),
    Quota("floatingip", 50, _count(floating_ips)),
    Quota("security_group", 10, _count(security_groups)),
    Quota("security_group_rule", 100, _count(security_group_rules)),
)
