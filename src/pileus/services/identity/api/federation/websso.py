"""Logging in through an identity provider with a browser, on behalf of a dashboard or of a program on the user's machine."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from pileus.kernel.api.answer import NOTHING, PAGE
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import ApiError, BadRequest, NotFound, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.services.identity import resolve
from pileus.services.identity.authenticate import admit
from pileus.services.identity.authenticate.mapped import accepted
from pileus.services.identity.authenticate.method import Attempt
from pileus.services.identity.authenticate.scope import Scope
from pileus.services.identity.federation import login, websso
from pileus.services.identity.federation.evidence import evident, relying_party
from pileus.services.identity.provider.own import NAME
from pileus.services.identity.state import IdentityState

routes = Routes()
_PREFIX = "/auth/OS-FEDERATION"
_CALLBACK = f"{_PREFIX}/oidc/callback"
_AWAY = {302: NOTHING}
_ONE = f"{_PREFIX}/identity_providers/{{idp_id}}/protocols/{{protocol_id}}/websso"


def _origin(call: Call) -> str:
    origin = call.arg("origin")
    if not origin:
        raise BadRequest("Request must have an origin query parameter.")
    trusted = {websso.lower_host(each) for each in _state(call).settings.trusted_dashboards}
    if websso.lower_host(origin) not in trusted:
        raise Unauthorized(
            f"{origin} is not a trusted dashboard host; the setting identity.trusted_dashboards names them."
        )
    return origin


def _state(call: Call) -> IdentityState:
    state: IdentityState = call.runtime.state
    return state


@routes.add("GET", f"{_PREFIX}/websso/{{protocol_id}}", policy=ANYONE, answers=PAGE, also=_AWAY)
@routes.add("POST", f"{_PREFIX}/websso/{{protocol_id}}", policy=ANYONE, raw=True, answers=PAGE, also=_AWAY)
async def begin(call: Call) -> Reply:
    """Sends the browser to the identity provider that speaks the protocol, or asks which of them."""
    origin, protocol_id = _origin(call), call.params["protocol_id"]
    named = [name for name, each in _state(call).oidc.items() if protocol_id in each.settings.protocols]
    if protocol_id == "openid" and _state(call).settings.provider.enabled:
        named.append(NAME)
    found = await call.runtime.db.read(_known, named, protocol_id)
    if not found:
        raise NotFound(f"There is no identity provider with the protocol {protocol_id} and a browser login.")
    if len(found) == 1:
        return await _sent_away(call, found[0], protocol_id, origin)
    links = {
        name: f"{call.base_url}{_ONE.format(idp_id=quote(name), protocol_id=quote(protocol_id))}"
        f"?{urlencode({'origin': origin})}"
        for name in found
    }
    return Reply(200, websso.choice(links).encode(), websso.headers())


def _known(tx: Tx, names: list[str], protocol_id: str) -> list[str]:
    found = []
    for name in names:
        try:
            login.source(tx, name, protocol_id)
        except ApiError:
            continue
        found.append(name)
    return found


@routes.add("GET", _ONE, policy=ANYONE, status=302, answers=NOTHING)
@routes.add("POST", _ONE, policy=ANYONE, raw=True, status=302, answers=NOTHING)
async def begin_with(call: Call) -> Reply:
    """Sends the browser to the identity provider of the path."""
    origin = _origin(call)
    await call.runtime.db.read(login.source, call.params["idp_id"], call.params["protocol_id"])
    return await _sent_away(call, call.params["idp_id"], call.params["protocol_id"], origin)


async def _sent_away(call: Call, idp_id: str, protocol_id: str, origin: str) -> Reply:
    state = _state(call)
    url, cookie = await websso.begin(
        relying_party(state, call, idp_id, protocol_id),
        state.keys,
        state.clock.now(),
        idp_id=idp_id,
        protocol_id=protocol_id,
        origin=origin,
        redirect_uri=call.base_url + _CALLBACK,
    )
    return Reply(
        302, b"", {"location": url, "cache-control": "no-store", "set-cookie": _cookie(call, cookie)}
    )


def _cookie(call: Call, value: str) -> str:
    life = int(websso.PATIENCE.total_seconds()) if value else 0
    secure = "; Secure" if call.root_url.startswith("https:") else ""
    path = call.runtime.service.path + _PREFIX
    return f"{websso.COOKIE}={value}; Path={path}; Max-Age={life}; HttpOnly; SameSite=Lax{secure}"


@routes.add("GET", _CALLBACK, policy=ANYONE, writes=True, answers=PAGE)
async def finish(call: Call) -> Reply:
    """The browser is back from the identity provider: hands a token to the dashboard it came from."""
    state = _state(call)
    begun = websso.resume(
        state.keys, state.clock.now(), call.arg("state", "") or "", call.cookie(websso.COOKIE)
    )
    code = call.arg("code")
    if not code:
        raise resolve.refuse(f"the identity provider said no: {call.arg('error')}")
    provider = relying_party(state, call, begun.idp_id, begun.protocol_id)
    proven = evident(await provider.by_code(code, call.base_url + _CALLBACK, begun.verifier, begun.nonce))
    attempt = Attempt(state, call)
    found = await state.db.read(login.source, begun.idp_id, begun.protocol_id)
    claims = await admit(attempt, await accepted(attempt, found, proven), Scope(unscoped={}))
    token = state.tokens.seal(claims)
    await state.meaning(token)
    page = websso.handed_over(begun.origin, token).encode()
    return Reply(200, page, {**websso.headers(begun.origin), "set-cookie": _cookie(call, "")})
