"""Temporary URLs: a signature made with an account's or container's key stands for its owner.

Source: Object Storage API, "Temporary URL". The digest may be hexadecimal, or `sha256:` and base64.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime

from pileus.kernel.api.call import Call
from pileus.kernel.errors import Unauthorized
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
DIGESTS = {"sha1": 40, "sha256": 64, "sha512": 128}
"""Names to hexadecimal digits."""
_STANDS_FOR = {"HEAD": ("HEAD", "GET", "PUT", "POST")}
"""Who may read or write may ask what is there."""


def is_signed(call: Call) -> bool:
    query = call.query
    return bool(query) and ("temp_url_sig" in query or "temp_url_expires" in query)


async def require(call: Call, name: Name) -> None:
    """401 where the signature is not good for this request, or was."""
    state: ObjectStoreState = call.runtime.state
    if not _is_signed_with(call, name, await keys(state, name)):
        raise _invalid()


async def require_reach(call: Call, signed: Name, other: Name) -> None:
    """401 where what a signed object leads to is beyond the key: an account's opens the account, a container's only the
    container."""
    account = await call.runtime.state.account_metadata(signed.account)
    if other.account != signed.account or not _is_signed_with(call, signed, _keys_in(account, "account")):
        raise _invalid()


def _is_signed_with(call: Call, name: Name, any_of: list[bytes]) -> bool:
    signature, expires = call.arg("temp_url_sig"), _moment(call.arg("temp_url_expires"))
    if not signature or expires is None or expires <= call.runtime.clock.now().timestamp():
        return False
    kind, given = digest(signature, _invalid())
    prefix = call.arg("temp_url_prefix")
    path = f"/v1/{name.path}"
    if prefix is not None:
        if not name.object.startswith(prefix):
            return False
        path = f"prefix:/v1/{name.account}/{name.container}/{prefix}"
    addresses = call.arg("temp_url_ip_range")
    if addresses is not None:
        _check_address(call, addresses)
    first = "" if addresses is None else f"ip={addresses}\n"
    for key in any_of:
        for method in _STANDS_FOR.get(call.method, (call.method,)):
            text = f"{first}{method}\n{int(expires)}\n{path}"
            signed = hmac.new(key, text.encode("utf-8", "surrogateescape"), kind).digest()
            if hmac.compare_digest(signed, given):
                return True
    return False


def _invalid() -> Unauthorized:
    return Unauthorized("Temp URL invalid")


async def keys(state: ObjectStoreState, name: Name) -> list[bytes]:
    """Those of the account and of the container, by which what is in it can be signed."""
    account = await state.account_metadata(name.account)
    info = await state.container(name.account, name.container)
    return _keys_in(account, "account") + _keys_in({} if info is None else info.metadata, "container")


def _keys_in(kept: Mapping[str, str], kind: str) -> list[bytes]:
    headers = (f"x-{kind}-meta-temp-url-key", f"x-{kind}-meta-temp-url-key-2")
    return [kept[header].encode("latin-1", "replace") for header in headers if kept.get(header)]


def _moment(text: str | None) -> float | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 16:
        return float(text)
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def digest(signature: str, invalid: Unauthorized) -> tuple[str, bytes]:
    """Name of the hash and the HMAC itself. Raises `invalid` where it is neither form."""
    kind, colon, encoded = signature.partition(":")
    try:
        if colon and kind in DIGESTS:
            padded = encoded + "=" * (-len(encoded) % 4)
            return kind, base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
        for each, digits in DIGESTS.items():
            if not colon and len(signature) == digits:
                return each, bytes.fromhex(signature)
    except ValueError:
        raise invalid from None
    raise invalid


def _check_address(call: Call, wanted: str) -> None:
    client = call.scope.get("client")
    try:
        if client is None or ipaddress.ip_address(client[0]) not in ipaddress.ip_network(wanted):
            raise _invalid()
    except ValueError:
        raise _invalid() from None
