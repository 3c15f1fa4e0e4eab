"""`/auth/v1.0`: a token for a user and a key (Swift's documentation, "TempAuth"; Object Storage API, "Authentication")."""

from __future__ import annotations

from urllib.parse import quote

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import NotFound, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.name import ACCOUNT_PREFIX
from pileus.services.object_store.state import ObjectStoreState

routes = Routes(base="")


@routes.add("GET", "/auth/v1.0", policy=ANYONE, answers=NOTHING)
async def authenticate(call: Call) -> Reply:
    """A token of a user that stands in the settings."""
    return _granted(call, call.header("x-auth-user") or call.header("x-storage-user") or "")


@routes.add("GET", "/auth/v1", policy=ANYONE, answers=NOTHING)
async def authenticate_short(call: Call) -> Reply:
    """The same."""
    return _granted(call, call.header("x-auth-user") or call.header("x-storage-user") or "")


def _granted(call: Call, user: str) -> Reply:
    state: ObjectStoreState = call.runtime.state
    if state.temp_auth is None:
        raise NotFound("This store has no users of its own; the identity service gives tokens.")
    key = call.header("x-auth-key") or call.header("x-storage-pass") or ""
    granted = state.temp_auth.authenticate(user, key)
    if granted is None:
        raise Unauthorized("There is no such user, or the key is not its own.")
    account = user.partition(":")[0]
    headers = {
        "x-auth-token": granted.token,
        "x-storage-token": granted.token,
        "x-auth-token-expires": str(granted.seconds),
        "x-storage-url": granted.url or f"{call.root_url}/v1/{quote(ACCOUNT_PREFIX + account)}",
        "content-type": "text/html; charset=UTF-8",
    }
    return Reply(200, headers=headers)
