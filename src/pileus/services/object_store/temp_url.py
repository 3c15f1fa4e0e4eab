"""Temporary URLs: a signature made with an account's or container's key stands for its owner.

Source: Object Storage API, "Temporary URL". The digest may be hexadecimal, or `sha256:` and base64.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
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
    return "temp_url_sig" in call.query or "temp_url_expires" in call.query


async def require(call: Call, name: Name) -> None:
    """401 where the signature is not good for this request, or was."""
    state: ObjectStoreState = call.runtime.state
    signature, expires = call.arg("temp_url_sig"), _moment(call.arg("temp_url_expires"))
    if not signature or expires is None or expires <= call.runtime.clock.now().timestamp():
        raise _invalid()
    kind, given = _digest(signature)
    prefix = call.arg("temp_url_prefix")
    path = f"/v1/{name.path}"
    if prefix is not None:
        if not name.object.startswith(prefix):
            raise _invalid()
        path = f"prefix:/v1/{name.account}/{name.container}/{prefix}"
    addresses = call.arg("temp_url_ip_range")
    if addresses is not None:
        _check_address(call, addresses)
    first = "" if addresses is None else f"ip={addresses}\n"
    for key in await _keys(state, name):
        for method in _STANDS_FOR.get(call.method, (call.method,)):
            text = f"{first}{method}\n{int(expires)}\n{path}"
            if hmac.compare_digest(hmac.new(key.encode(), text.encode(), kind).digest(), given):
                return
    raise _invalid()


def _invalid() -> Unauthorized:
    return Unauthorized("Temp URL invalid")


async def _keys(state: ObjectStoreState, name: Name) -> list[str]:
    account = await state.account_metadata(name.account)
    info = await state.container(name.account, name.container)
    container = {} if info is None else info.metadata
    return [
        kept[header]
        for kept, kind in ((account, "account"), (container, "container"))
        for header in (f"x-{kind}-meta-temp-url-key", f"x-{kind}-meta-temp-url-key-2")
        if kept.get(header)
    ]


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


def _digest(signature: str) -> tuple[str, bytes]:
    kind, colon, encoded = signature.partition(":")
    try:
        if colon:
            if kind not in DIGESTS:
                raise _invalid()
            padded = encoded + "=" * (-len(encoded) % 4)
            return kind, base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
        for kind, digits in DIGESTS.items():
            if len(signature) == digits:
                return kind, bytes.fromhex(signature)
    except (ValueError, binascii.Error):
        raise _invalid() from None
    raise _invalid()


def _check_address(call: Call, wanted: str) -> None:
    client = call.scope.get("client")
    try:
        if client is None or ipaddress.ip_address(client[0]) not in ipaddress.ip_network(wanted):
            raise _invalid()
    except ValueError:
        raise _invalid() from None
