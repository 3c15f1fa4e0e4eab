"""Browsers of other sites (Fetch Standard; Swift's documentation, "CORS"): what a container lets them do."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from pileus.kernel.api.answer import NOTHING
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.services.object_store.api.read import OBJECT
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.state import ObjectStoreState

routes = Routes()
ORIGIN, MAX_AGE, EXPOSED = (
    f"x-container-meta-access-control-{each}" for each in ("allow-origin", "max-age", "expose-headers")
)
_ACCOUNT = ("HEAD", "GET", "PUT", "POST", "OPTIONS", "DELETE")
_OBJECT = (*_ACCOUNT, "COPY")
_ALWAYS_EXPOSED = (
    "cache-control",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "pragma",
    "x-openstack-request-id",
    "x-timestamp",
    "x-trans-id",
)


async def _rules(call: Call, name: Name) -> Mapping[str, str]:
    state: ObjectStoreState = call.runtime.state
    info = await state.container(name.account, name.container) if name.container else None
    return {} if info is None else info.metadata


def _allows(rules: Mapping[str, str], origin: str) -> str | None:
    """What the answer says of who may read it; None where the origin may not."""
    allowed = rules.get(ORIGIN, "").split()
    if "*" in allowed:
        return "*"
    return origin if origin in allowed else None


@routes.add("OPTIONS", "/{account}", policy=ANYONE, answers=NOTHING)
async def account_options(call: Call) -> Reply:
    """Methods of an account, which says nothing of other sites: containers do."""
    return Reply(200, headers=_methods(_ACCOUNT))


@routes.add("OPTIONS", "/{account}/{container}", policy=ANYONE, answers=NOTHING)
async def container_options(call: Call) -> Reply:
    """Methods of a container, and which of them a browser may use from another site."""
    return await _options(call, _ACCOUNT)


@routes.add("OPTIONS", OBJECT, policy=ANYONE, answers=NOTHING)
async def object_options(call: Call) -> Reply:
    """Methods of an object, and which of them a browser may use from another site."""
    return await _options(call, _OBJECT)


def _methods(methods: tuple[str, ...]) -> dict[str, str]:
    return {"allow": ", ".join(methods), "content-type": "text/html; charset=UTF-8"}


async def _options(call: Call, methods: tuple[str, ...]) -> Reply:
    headers = _methods(methods)
    origin = call.header("origin")
    if not origin:
        return Reply(200, headers=headers)
    rules = await _rules(call, parse(call.path))
    allowed = _allows(rules, origin)
    wanted = call.header("access-control-request-method")
    if allowed is None or wanted not in methods:
        raise Unauthorized("The container does not allow this from that origin.", headers=headers)
    headers["access-control-allow-origin"] = allowed
    headers["access-control-allow-methods"] = ", ".join(methods)
    if allowed != "*":
        headers["vary"] = "Origin"
    if rules.get(MAX_AGE):
        headers["access-control-max-age"] = rules[MAX_AGE]
    if asked := call.header("access-control-request-headers"):
        headers["access-control-allow-headers"] = asked
        headers["vary"] = ", ".join(filter(None, (headers.get("vary"), "Access-Control-Request-Headers")))
    return Reply(200, headers=headers)


async def add_headers(call: Call, name: Name, headers: MutableMapping[str, str]) -> None:
    """To any answer, an error's too, to a request that names its origin."""
    origin = call.header("origin")
    if not origin or call.method == "OPTIONS":
        return
    rules = await _rules(call, name)
    allowed = _allows(rules, origin)
    if allowed is None:
        return
    exposed = dict.fromkeys((*_ALWAYS_EXPOSED, *rules.get(EXPOSED, "").lower().split()))
    exposed |= dict.fromkeys(
        each for each in headers if each.startswith(("x-container-meta-", "x-object-meta-"))
    )
    headers["access-control-allow-origin"] = allowed
    headers["access-control-expose-headers"] = ", ".join(sorted(exposed))
    if allowed != "*":
        headers["vary"] = "Origin"
