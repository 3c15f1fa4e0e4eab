"""The daemon that makes up for what broke off between a version and the object that links to it."""

from __future__ import annotations

import structlog

from pileus.kernel.errors import Unavailable
from pileus.services.object_store import unsettled, versioning
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError, Missing, Superseded
from pileus.services.object_store.following import moment_of
from pileus.services.object_store.name import Name
from pileus.services.object_store.rows import rows
from pileus.services.object_store.state import ObjectStoreState

log = structlog.get_logger("pileus.object_store")


class VersionSettler:
    name = "version-settler"
    every_seconds = 30.0
    per_second = 100.0

    def __init__(self, state: ObjectStoreState) -> None:
        self._state = state

    async def walk(self, walk: Walk) -> None:
        state = self._state
        async for row in rows(state.listings, unsettled.ACCOUNT, unsettled.CONTAINER):
            name, since = Name(*row["name"].split("/", 2)), moment_of(row)
            try:
                settled = await versioning.settle(state, name, since, row["content_type"])
            except (DeviceError, Unavailable, Superseded, Missing) as error:
                log.warning("an object can't be brought to its versions", path=name.path, cause=str(error))
                walk.count(failed=1)
            else:
                unsettled.done(state.listings, name, since)
                walk.count(**{"settled" if settled else "unchanged": 1})
            await walk.step("")
