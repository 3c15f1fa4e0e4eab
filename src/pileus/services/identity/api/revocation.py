"""Revocation events: which tokens are void, for those who keep a list of their own (OS-REVOKE)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.services.identity.api.common import read_time
from pileus.services.identity.store import user

routes = Routes()


class Event(msgspec.Struct, kw_only=True):
    """Tokens that were issued before, and agree with all that is said here, are void."""

    issued_before: str
    revoked_at: str
    user_id: str | UnsetType = UNSET
    project_id: str | UnsetType = UNSET
    domain_id: str | UnsetType = UNSET
    role_id: str | UnsetType = UNSET
    audit_id: str | UnsetType = UNSET
    audit_chain_id: str | UnsetType = UNSET


class EventsAnswer(msgspec.Struct):
    events: list[Event]
    links: dict[str, str | None]


_CRITERIA = Event.__struct_fields__[2:]


@routes.add("GET", "/OS-REVOKE/events", policy="identity:list_revoke_events")
def list_events(call: Call, tx: Tx) -> EventsAnswer:
    """All events that living tokens can match, or those that came `since`."""
    text = call.arg("since")
    rows = user.revocations_since(tx, None if text is None else read_time("since", text))
    links = {"self": call.root_url + call.path, "previous": None, "next": None}
    return EventsAnswer([_shown(call, row) for row in rows], links)


def _shown(call: Call, row: Row[Any]) -> Event:
    shown = {name: value for name in _CRITERIA if (value := getattr(row, name)) is not None}
    time = call.runtime.service.dialect.time
    return Event(issued_before=time(row.issued_before), revoked_at=time(row.revoked_at), **shown)
