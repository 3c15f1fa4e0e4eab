"""Logging in through an identity provider: for programs, which come with its token, and what they may go on to."""

from __future__ import annotations

from typing import Any

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.auth import TokenAnswer, auth_domains, auth_projects, issued
from pileus.services.identity.api.domain import Domain
from pileus.services.identity.api.project import Project
from pileus.services.identity.authenticate import admit
from pileus.services.identity.authenticate.mapped import vouched
from pileus.services.identity.authenticate.method import Attempt
from pileus.services.identity.authenticate.scope import Scope

routes = Routes()
_AUTH = "/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"


@routes.add("GET", _AUTH, policy=ANYONE, status=201, writes=True, answers=TokenAnswer)
@routes.add("POST", _AUTH, policy=ANYONE, status=201, raw=True, answers=TokenAnswer)
async def authenticate(call: Call) -> Reply:
    """An unscoped token for whom the identity provider vouches."""
    attempt = Attempt(call.runtime.state, call)
    proof = await vouched(attempt, call.params["idp_id"], call.params["protocol_id"])
    return await issued(call, await admit(attempt, proof, Scope(unscoped={})))


@routes.add("GET", "/OS-FEDERATION/projects", policy="identity:get_auth_projects", answers=[Project])
def projects(call: Call, tx: Tx) -> dict[str, Any]:
    """The projects that the bearer could have a token for; the older name of /auth/projects."""
    found: dict[str, Any] = auth_projects(call, tx)
    return found


@routes.add("GET", "/OS-FEDERATION/domains", policy="identity:get_auth_domains", answers=[Domain])
def domains(call: Call, tx: Tx) -> dict[str, Any]:
    """The domains that the bearer could have a token for; the older name of /auth/domains."""
    found: dict[str, Any] = auth_domains(call, tx)
    return found
