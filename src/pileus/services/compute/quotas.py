"""What a project may have. Limits and names are upstream's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, literal, select

from pileus.kernel.api.quota import UNLIMITED, Quota, Quotas
from pileus.services.compute.model import groups, servers

_ALIVE = (servers.c.project_id == bindparam("project_id"), servers.c.deleted_at.is_(None))
_PER_SOMETHING = select(literal(0))
"""A limit for each user, server or group; there is no count for the project."""


def _servers(what: Any) -> Any:
    return select(what).select_from(servers).where(*_ALIVE)


NETWORK = ("floating_ips", "fixed_ips", "security_groups", "security_group_rules")
"""Upstream's old network quotas: kept and shown to old clients, while the network service has its own."""

QUOTAS = Quotas(
    "compute",
    Quota("instances", 10, _servers(func.count())),
    Quota("cores", 20, _servers(func.sum(servers.c.vcpus))),
    Quota("ram", 50 * 1024, _servers(func.sum(servers.c.memory_mib))),
    Quota("metadata_items", 128, _PER_SOMETHING),
    Quota("injected_files", 5, _PER_SOMETHING),
    Quota("injected_file_content_bytes", 10 * 1024, _PER_SOMETHING),
    Quota("injected_file_path_bytes", 255, _PER_SOMETHING),
    Quota("key_pairs", 100, _PER_SOMETHING),
    Quota(
        "server_groups",
        10,
        select(func.count()).select_from(groups).where(groups.c.project_id == bindparam("project_id")),
    ),
    Quota("server_group_members", 10, _PER_SOMETHING),
    *(Quota(name, UNLIMITED, _PER_SOMETHING) for name in NETWORK),
)
