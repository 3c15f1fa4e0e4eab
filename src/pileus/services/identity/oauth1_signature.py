"""Requests signed by OAuth 1.0a (RFC 5849): what one says of itself, and whether its signature is right."""

from __future__ import annotations

from dataclasses import dataclass

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Unauthorized
from pileus.services.identity.store import seen

METHODS = ("HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512")


@dataclass(frozen=True, slots=True)
class Signed:
    """The header's parameters, still to be believed."""

    consumer_id: str
    token_id: str | None
    verifier: str | None
    timestamp: str
    nonce: str


def parameters(call: Call) -> Signed:
    """400 where the request has no OAuth header, or one without a consumer."""
    from oauthlib.oauth1.rfc5849.utils import parse_authorization_header

    try:
        found = dict(parse_authorization_header(call.header("authorization") or ""))
    except ValueError as error:
        raise BadRequest("The request needs an Authorization header of OAuth 1.0a.") from error
    if any("\0" in value for value in found.values()):
        raise BadRequest("The Authorization header has a NUL character.")
    if not found.get("oauth_consumer_key"):
        raise BadRequest("The Authorization header has no oauth_consumer_key.")
    return Signed(
        found["oauth_consumer_key"],
        found.get("oauth_token"),
        found.get("oauth_verifier"),
        found.get("oauth_timestamp", ""),
        found.get("oauth_nonce", ""),
    )


def check(tx: Tx, call: Call, signed: Signed, consumer_secret: str, token_secret: str | None = None) -> None:
    """401 where the signature is not that of these secrets, is old, or has been seen before."""
    from oauthlib.oauth1 import RequestValidator, SignatureOnlyEndpoint

    class Secrets(RequestValidator):  # type: ignore[misc]  # oauthlib has no types
        enforce_ssl = False  # TLS ends before us
        allowed_signature_methods = METHODS
        nonce_length = client_key_length = (1, 255)

        def check_client_key(self, key: str) -> bool:
            return True

        def check_nonce(self, nonce: str) -> bool:
            return 0 < len(nonce) <= 255

        def validate_client_key(self, key: str, request: object) -> bool:
            return True

        def validate_timestamp_and_nonce(self, *_: object, **__: object) -> bool:
            return True  # see below: only what is signed rightly has been seen

        def get_client_secret(self, key: str, request: object) -> str:
            return consumer_secret

        def get_access_token_secret(self, key: str, token: str, request: object) -> str:
            return token_secret or ""

    query = call.scope.get("query_string", b"").decode("latin-1")
    url = call.root_url + call.path + (f"?{query}" if query else "")
    headers = {"Authorization": call.header("authorization")}
    good, _ = SignatureOnlyEndpoint(Secrets()).validate_request(url, call.method, "", headers)
    if not good:
        raise Unauthorized("Invalid signature, or one that is too old.")
    if not seen.first_time(
        tx, signed.consumer_id[:64], (signed.token_id or "")[:64], int(signed.timestamp), signed.nonce
    ):
        raise Unauthorized("This signed request has been seen before.")
