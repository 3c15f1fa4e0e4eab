"""How much a project may have: the identity service's limits where it has them, else the settings'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import TooLarge
from pileus.services.image import store

MIB = 2**20
UNLIMITED = -1
IN_MIB = frozenset({"image_size_total", "image_stage_total"})
NAMES = ("image_size_total", "image_stage_total", "image_count_total", "image_count_uploading")


class LimitSource(Protocol):
    """Where limits are kept."""

    async def of_project(self, project_id: str) -> Mapping[str, int]:
        """Limits by name, as far as there are any."""


class NoLimits:
    """Only the settings say."""

    async def of_project(self, project_id: str) -> Mapping[str, int]:
        return {}


async def look_up(call: Call, project_id: str | None = None) -> None:
    """Puts the limits of a project, by default the caller's, into `call.gathered`."""
    state = call.runtime.state
    wanted = project_id or call.context.project_id
    found = dict.fromkeys(NAMES, UNLIMITED) | {
        name: getattr(state.settings, name) for name in NAMES if hasattr(state.settings, name)
    }
    if wanted is not None:
        found |= await state.limits.of_project(wanted)
    call.gathered["limits"] = found


def require(call: Call, tx: Tx, project_id: str | None, **wanted: int) -> None:
    """413 where a project would have more than it may; sizes in bytes. Sizes may come to zero: then what is
    there already must not be over."""
    limits: Mapping[str, int] = call.gathered["limits"]
    if project_id is None or all(limits[name] == UNLIMITED for name in wanted):
        return
    used = store.usage(tx, project_id)
    for name, amount in wanted.items():
        unit = MIB if name in IN_MIB else 1
        limit = limits[name]
        if limit != UNLIMITED and (
            used[name] + amount > limit * unit or (not amount and used[name] >= limit * unit)
        ):
            raise TooLarge(
                f"The request exceeds {name}: the limit of project {project_id} is {limit}"
                f"{' MiB' if unit == MIB else ''}, and {used[name] // unit} are used. "
                "Delete images, or ask an administrator to raise the limit."
            )


def room(call: Call, tx: Tx, project_id: str | None, name: str) -> int | None:
    """Bytes that a project may still have; None for as many as it likes."""
    limit: int = call.gathered["limits"][name]
    if project_id is None or limit == UNLIMITED:
        return None
    return max(0, limit * MIB - store.usage(tx, project_id)[name])


def shown(limits: Mapping[str, int], used: Mapping[str, int]) -> dict[str, Any]:
    """As `/v2/info/usage` tells it, sizes in MiB."""
    return {
        name: {"usage": used[name] // MIB if name in IN_MIB else used[name], "limit": limits[name]}
        for name in NAMES
    }
