"""Revocation events: which tokens are void, for those who keep a list of their own (OS-REVOKE)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.services.identity.api.common import read_time
from pileus.services.identity.store import user

routes = Routes()
_CRITERIA = ("user_id", "project_id", "domain_id", "role_id", "audit_id", "audit_chain_id")


@routes.add("GET", "/OS-REVOKE/events", policy="identity:list_revoke_events")
def list_events(call: Call, tx: Tx) -> dict[str, Any]:
    """All events that living tokens can match, or those that came `since`."""
    text = call.arg("since")
    rows = user.revocations_since(tx, None if text is None else read_time("since", text))
    links = {"self": call.root_url + call.path, "previous": None, "next": None}
    return {"events": [_shown(call, row) for row in rows], "links": links}


def _shown(call: Call, row: Row[Any]) -> dict[str, Any]:
    shown = {name: value for name in _CRITERIA if (value := getattr(row, name)) is not None}
    time = call.runtime.service.dialect.time
    return {**shown, "issued_before": time(row.issued_before), "revoked_at": time(row.revoked_at)}
