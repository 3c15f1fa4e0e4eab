"""What the provider's endpoints share: where they are, forms, who logs in."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs, unquote_plus

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest, NotFound, TooLarge
from pileus.kernel.http.reply import Reply
from pileus.services.identity.authenticate import Auth, authenticate
from pileus.services.identity.authenticate.method import Attempt
from pileus.services.identity.authenticate.scope import Scope
from pileus.services.identity.provider.issuing import ProviderSettings, knows_client
from pileus.services.identity.state import IdentityState

PREFIX = "/oidc"


def state_of(call: Call) -> IdentityState:
    """404 where the provider is switched off."""
    state: IdentityState = call.runtime.state
    if not state.settings.provider.enabled:
        raise NotFound("This cloud is no identity provider: the setting identity.provider.enabled is off.")
    return state


def settings_of(call: Call) -> ProviderSettings:
    return state_of(call).settings.provider


def issuer(call: Call) -> str:
    """The provider's name, which is where its discovery document lies."""
    return f"{call.root_url}{call.runtime.service.root}{PREFIX}"


async def form(call: Call) -> dict[str, str]:
    """The fields of a posted form; of a repeated one, the last."""
    try:
        text = (await call.body(64 * 1024)).decode("utf-8")
        fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise BadRequest(f"The form can't be read: {error}") from error
    if "\0" in "".join(value for values in fields.values() for value in values):
        raise BadRequest("The form has text with a NUL character.")
    return {name: values[-1] for name, values in fields.items()}


async def asked_by_client(call: Call) -> tuple[str, dict[str, str]] | Reply:
    """Which client asks, and the fields that it posted; or what it is told where they can't be read, or it is not who it
    says."""
    try:
        fields = await form(call)
    except (BadRequest, TooLarge) as error:
        return oauth_error("invalid_request", error.message, error.status)
    client_id = _client_of(call, fields)
    if client_id is None:
        return oauth_error("invalid_client", "the client is not known, or its secret is wrong", 401)
    return client_id, fields


def _client_of(call: Call, fields: dict[str, str]) -> str | None:
    """By Basic authentication or by the form; None where it is not who it says."""
    header = call.header("authorization") or ""
    client_id, secret = fields.get("client_id", ""), fields.get("client_secret")
    if header.lower().startswith("basic "):
        try:
            name, _, password = base64.b64decode(header[6:], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        client_id, secret = unquote_plus(name), unquote_plus(password)
    return client_id if knows_client(settings_of(call), client_id, secret) else None


async def log_in(call: Call, fields: dict[str, str]) -> str:
    """The id of the user that the form's password, and passcode, prove. Unauthorized otherwise."""
    who = {"name": fields.get("username", ""), "domain": {"name": fields.get("domain", "")}}
    parts: dict[str, object] = {
        "methods": ["password"],
        "password": {"user": {**who, "password": fields.get("password", "")}},
    }
    if fields.get("passcode"):
        parts["methods"] = ["password", "totp"]
        parts["totp"] = {"user": {**who, "passcode": fields["passcode"]}}
    identity = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in parts.items()}
    request = Auth(identity=identity, scope=Scope(unscoped={}))
    return (await authenticate(Attempt(state_of(call), call), request)).user_id


def oauth_error(error: str, description: str, status: int = 400) -> Reply:
    """As RFC 6749 5.2 writes errors down."""
    headers = {"cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="pileus"'
    return Reply.json({"error": error, "error_description": description}, status, headers)
