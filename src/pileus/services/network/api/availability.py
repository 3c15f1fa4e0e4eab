"""Availability zones, and how full networks are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, false, select

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field, filter, sort
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.lib.address import capacity
from pileus.services.network.domain.subnet import pools_of
from pileus.services.network.model import networks, subnets
from pileus.services.network.state import state_of
from pileus.services.network.store import addresses
from pileus.services.network.store import networks as store

routes = Routes()
_NONE = false()


class Zone(msgspec.Struct):
    name: str
    state: str
    resource: str


class ZonesAnswer(msgspec.Struct):
    availability_zones: list[Zone]


@routes.add("GET", "/availability_zones", policy="get_availability_zone")
def list_zones(call: Call, tx: Tx) -> ZonesAnswer:
    """Lists the zones that networks and routers can be in."""
    name = state_of(call).settings.availability_zone
    return ZonesAnswer([Zone(name, "available", resource) for resource in ("network", "router")])


class SubnetAvailability(msgspec.Struct):
    subnet_id: str
    subnet_name: str
    cidr: str
    ip_version: int
    total_ips: float
    used_ips: int


def _of_version(call: Call, values: list[str]) -> ColumnElement[bool]:
    if values[-1] not in ("4", "6"):
        raise BadRequest(
            f"Invalid value {values[-1]!r} for ip_version: it must be 4 or 6.", kind="InvalidInput"
        )
    return networks.c.id.in_(select(subnets.c.network_id).where(subnets.c.ip_version == int(values[-1])))


class NetworkIpAvailability(
    Resource,
    member="network_ip_availability",
    collection="network_ip_availabilities",
    path="/network-ip-availabilities",
    table=networks,
    kind="Network",
):
    filters = {"ip_version": _of_version}
    default_sort = (("id", "asc"),)

    network_id: str = field(filter, sort, column="id")
    network_name: str = field(filter, sort, column="name")
    project_id: str = field(filter, sort)
    tenant_id: str = field(filter, sort, column="project_id")
    total_ips: float = field(
        render=lambda call, row: exact(sum(each.total_ips for each in call.gathered["usage"][row.id]))
    )
    used_ips: int = field(
        render=lambda call, row: sum(each.used_ips for each in call.gathered["usage"][row.id])
    )
    subnet_ip_availability: list[SubnetAvailability] = field(
        render=lambda call, row: call.gathered["usage"][row.id]
    )

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None if call.allows("get_network_ip_availability") else (_NONE, {})

    @classmethod
    def gather(cls, call: Call, tx: Tx, rows: Sequence[Row[Any]]) -> None:
        usage: dict[str, list[SubnetAvailability]] = {row.id: [] for row in rows}
        found = store.subnets_of_many(tx, list(usage))
        used = addresses.used(tx, [each.id for each in found])
        for each in found:
            usage[each.network_id].append(
                SubnetAvailability(
                    subnet_id=each.id,
                    subnet_name=each.name,
                    cidr=each.cidr,
                    ip_version=each.ip_version,
                    total_ips=exact(capacity(pools_of(each))),
                    used_ips=used.get(each.id, 0),
                )
            )
        call.gathered["usage"] = usage


def exact(number: float) -> float:
    """The number, but for what no 64 bits hold: the encoder of JSON takes no more."""
    return number if number < 2**64 else float(number)


NetworkIpAvailability.show(policy=AUTHENTICATED)
NetworkIpAvailability.list(policy=AUTHENTICATED)
