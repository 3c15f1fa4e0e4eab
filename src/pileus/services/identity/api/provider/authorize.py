"""Where people log in: with a browser that is sent back, or for a device that can't show a browser."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from pileus.kernel.api.answer import NOTHING, PAGE
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Unauthorized
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.provider.common import (
    PREFIX,
    asked_by_client,
    form,
    issuer,
    log_in,
    oauth_error,
    settings_of,
    state_of,
)
from pileus.services.identity.provider import grant, pages
from pileus.services.identity.provider.issuing import CLI, CONSOLE, SCOPES, knows_redirect

routes = Routes(root=True)
CALLBACK = "/v3/auth/OS-FEDERATION/oidc/callback"
_WRONG = "That user name, domain or password is not right, or a passcode is needed."


class Asked(msgspec.Struct, frozen=True):
    """A request for a code, as it goes through the login page; what it says is checked again when it comes back."""

    client_id: str
    redirect_uri: str
    response_type: str = ""
    scope: str = "openid"
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None


def _asked(call: Call, sent: dict[str, Any]) -> Asked:
    """BadRequest, shown to the user, where it is not even sure where to send the browser back to."""
    try:
        asked = msgspec.convert(sent, Asked)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The login request makes no sense: {error}.") from error
    own = f"{call.root_url}{call.runtime.service.root}{CALLBACK}"
    if not knows_redirect(settings_of(call), asked.client_id, asked.redirect_uri, own):
        raise BadRequest(
            f"The client {asked.client_id!r} is not known here, or may not have browsers sent to {asked.redirect_uri!r}."
        )
    return asked


def _sent_back(call: Call, asked: Asked, **answer: str) -> Reply:
    query = {**answer, "iss": issuer(call), **({} if asked.state is None else {"state": asked.state})}
    glue = "&" if "?" in asked.redirect_uri else "?"
    location = f"{asked.redirect_uri}{glue}{urlencode(query)}"
    return Reply(
        303, b"", {"location": location, "cache-control": "no-store", "referrer-policy": "no-referrer"}
    )


def _problem(asked: Asked) -> dict[str, str] | None:
    """What the client is told that asks for what can't be."""
    if asked.response_type != "code":
        return {"error": "unsupported_response_type"}
    if "openid" not in asked.scope.split():
        return {"error": "invalid_scope", "error_description": "the scope must have openid"}
    if asked.code_challenge is not None and asked.code_challenge_method != "S256":
        return {"error": "invalid_request", "error_description": "the code_challenge_method must be S256"}
    if asked.code_challenge is None and asked.client_id in (CLI, CONSOLE):
        return {"error": "invalid_request", "error_description": "a code_challenge is needed (PKCE)"}
    return None


def _page(content: bytes, status: int = 200, form_action: str = "'self'") -> Reply:
    return Reply(status, content, pages.headers(form_action))


def _login_page(asked: Asked, problem: str | None = None, status: int = 200, **typed: str) -> Reply:
    request = msgspec.json.encode(asked).decode()
    # Browsers hold what a form is redirected to against the policy, too.
    target = f"'self' {asked.redirect_uri.partition('?')[0]}"
    return _page(pages.login(request, asked.client_id, problem, **typed), status, target)


@routes.add("GET", f"{PREFIX}/authorize", policy=ANYONE, answers=PAGE, also={303: NOTHING})
async def authorize(call: Call) -> Reply:
    """The login page."""
    asked = _asked(call, {name: values[-1] for name, values in call.query.items()})
    problem = _problem(asked)
    if problem is not None:
        return _sent_back(call, asked, **problem)
    if call.arg("prompt") == "none":
        return _sent_back(call, asked, error="login_required")
    return _login_page(asked)


@routes.add("POST", f"{PREFIX}/authorize", policy=ANYONE, raw=True, status=303, answers=NOTHING)
async def logged_in(call: Call) -> Reply:
    """The login page, filled in: sends the browser back with a code."""
    fields = await form(call)
    try:
        sent = msgspec.json.decode(fields.get("request", "{}"), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadRequest("The form has lost its request; begin again.") from error
    asked = _asked(call, sent)
    if _problem(asked) is not None:
        raise BadRequest("The form's request was changed; begin again.")
    try:
        user_id = await log_in(call, fields)
    except Unauthorized:
        typed = {"domain": fields.get("domain", ""), "name": fields.get("username", "")}
        return _login_page(asked, _WRONG, 401, **typed)
    request = grant.Request(_known(asked.scope), asked.redirect_uri, asked.nonce, asked.code_challenge)
    code = await state_of(call).db.write(grant.code, asked.client_id, user_id, request)
    return _sent_back(call, asked, code=code)


def _known(scope: str) -> str:
    return " ".join(each for each in SCOPES if each in scope.split())


class DeviceAnswer(msgspec.Struct, kw_only=True):
    """RFC 8628, section 3.2."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


@routes.add("POST", f"{PREFIX}/device_authorization", policy=ANYONE, raw=True, answers=DeviceAnswer)
async def device_authorization(call: Call) -> Reply:
    """A code for a device to wait with, and one for its user to type in (RFC 8628)."""
    asked = await asked_by_client(call)
    if isinstance(asked, Reply):
        return asked
    client_id, fields = asked
    if fields.get("code_challenge") and fields.get("code_challenge_method") != "S256":
        return oauth_error("invalid_request", "the code_challenge_method must be S256")
    request = grant.Request(
        _known(fields.get("scope", "openid")) or "openid", challenge=fields.get("code_challenge") or None
    )
    code, user_code = await state_of(call).db.write(grant.device, client_id, request)
    page = f"{issuer(call)}/device"
    return Reply.json(
        DeviceAnswer(
            device_code=code,
            user_code=user_code,
            verification_uri=page,
            verification_uri_complete=f"{page}?{urlencode({'user_code': user_code})}",
            expires_in=int(grant.DEVICE_LIFE.total_seconds()),
            interval=2,
        ),
        200,
        {"cache-control": "no-store"},
    )


@routes.add("GET", f"{PREFIX}/device", policy=ANYONE, answers=PAGE)
async def device(call: Call) -> Reply:
    """The page for a device's code."""
    state_of(call)
    code = call.arg("user_code")
    return _page(pages.device(grant.tidy(code) if code else ""))


@routes.add("POST", f"{PREFIX}/device", policy=ANYONE, raw=True, answers=PAGE)
async def approved(call: Call) -> Reply:
    """The page for a device's code, filled in: lets the device in."""
    fields = await form(call)
    typed = {"domain": fields.get("domain", ""), "name": fields.get("username", "")}
    code = fields.get("user_code", "")
    try:
        user_id = await log_in(call, fields)
    except Unauthorized:
        return _page(pages.device(code, _WRONG, **typed), 401)
    if not await state_of(call).db.write(_approve, code, user_id):
        return _page(
            pages.device(code, "No device waits with this code; it may have taken too long.", **typed), 400
        )
    return _page(pages.said("Logged in", "Your device is logged in. You can close this page."))


def _approve(tx: Tx, code: str, user_id: str) -> bool:
    row = grant.waiting(tx, code)
    if row is None:
        return False
    grant.approve(tx, row, user_id)
    return True
