"""Roles as bodies name them: by id or by name."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.identity.store import role


class RoleRef(msgspec.Struct, forbid_unknown_fields=True):
    id: str | None = None
    name: str | None = None


def named_roles(tx: Tx, wanted: Sequence[RoleRef]) -> list[str]:
    """Their ids; 404 for one that is not there."""
    ids = []
    for each in wanted:
        if (each.id is None) == (each.name is None):
            raise BadRequest("A role is named by its id or by its name.")
        row = role.get(tx, each.id) if each.id is not None else role.by_name(tx, each.name or "")
        if row is None:
            raise NotFound(f"Could not find role: {each.id or each.name}.")
        ids.append(row.id)
    return list(dict.fromkeys(ids))
