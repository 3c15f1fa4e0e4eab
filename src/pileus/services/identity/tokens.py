"""Tokens: what one says, sealed. Nothing is stored; all else is looked up when it is used."""

from __future__ import annotations

import base64
import os
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from pileus.services.identity.keys import KeyFolder

T = TypeVar("T")
ScopeKind = Literal["unscoped", "project", "domain", "system"]


class Federated(msgspec.Struct, frozen=True, array_like=True):
    """Who vouched for a user, and the groups that its mapping put the user in."""

    identity_provider_id: str
    protocol_id: str
    group_ids: tuple[str, ...] = ()


class Claims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a token says of itself. Audit ids: its own, and that of the first token of its chain.

    New claims come last, with a default: tokens sealed before them stay good.
    """

    user_id: str
    methods: tuple[str, ...]
    scope: ScopeKind
    scope_id: str | None
    issued_at: datetime
    expires_at: datetime
    audit_ids: tuple[str, ...]
    trust_id: str | None = None
    application_credential_id: str | None = None
    access_token_id: str | None = None
    """An OAuth 1.0a access token."""
    federated: Federated | None = None
    thumbprint: str | None = None
    """Of the client certificate that the token is bound to (RFC 8705)."""

    def limits(self) -> dict[str, Any]:
        """By what the token was got where that limits what it may do: what a token got by it has, too."""
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}


LIMITS = ("trust_id", "application_credential_id", "access_token_id", "federated", "thumbprint")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Claims)


def new_audit_id() -> str:
    """22 characters of randomness."""
    return base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()


class TokenForm(Protocol):
    """How claims become a token that is safe in a header, and the other way."""

    def seal(self, claims: Claims) -> str: ...

    def unseal(self, token: str) -> Claims | None:
        """The claims, or None where no key of ours sealed this."""


class FernetTokens:
    """Tokens of some 250 characters that only the holders of the keys can read."""

    def __init__(self, keys: KeyFolder) -> None:
        self.keys = keys

    def seal(self, claims: Claims) -> str:
        return self.keys.encrypt(_encoder.encode(claims)).rstrip(b"=").decode()

    def unseal(self, token: str) -> Claims | None:
        return _opened(self.keys, token, _decoder)


class Receipt(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="receipt"):
    """Some of the methods that a user needs have been fulfilled (Identity API v3, "Multi-Factor Authentication")."""

    user_id: str
    methods: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime


_receipt_decoder = msgspec.msgpack.Decoder(Receipt)


def seal_receipt(keys: KeyFolder, receipt: Receipt) -> str:
    return keys.encrypt(_encoder.encode(receipt)).rstrip(b"=").decode()


def unseal_receipt(keys: KeyFolder, text: str) -> Receipt | None:
    """None where no key of ours sealed this, or it is no receipt."""
    return _opened(keys, text, _receipt_decoder)


def _opened(keys: KeyFolder, text: str, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    if len(text) > 4096 or not text.isascii():
        return None
    payload = keys.decrypt(text.encode() + b"=" * (-len(text) % 4))
    if payload is None:
        return None
    try:
        return decoder.decode(payload)
    except msgspec.MsgspecError:
        return None
