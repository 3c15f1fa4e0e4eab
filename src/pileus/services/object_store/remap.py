"""Hosts that stand for accounts and containers: `CONTAINER.ACCOUNT.example.org` (Swift's documentation, "Domain remap")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pileus.services.object_store.name import ACCOUNT_PREFIX
from pileus.services.object_store.settings import Settings

if TYPE_CHECKING:
    from pileus.kernel.api.service import Runtime

_PORT = re.compile(r":\d+$")
HOST = "pileus.host"
"""In a scope: the host that is meant, where it is not the one that the request names."""


def claims(runtime: Runtime, scope: Mapping[str, Any]) -> str | None:
    """As `Service.claims`."""
    settings: Settings = runtime.state.settings
    return path(scope, settings) if settings.storage_domains else None


def host_of(scope: Mapping[str, Any]) -> str:
    """The host that a request names, without the port."""
    header: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return _PORT.sub("", header.decode("latin-1").lower())


def path(scope: Mapping[str, Any], settings: Settings) -> str | None:
    """The path that host and path mean together; None where the host is no account's.

    Hosts have neither `_` nor capital letters: `auth-ID` is the account `AUTH_ID`, and a bare `ID` as well. What is not ASCII they
    have percent-encoded (RFC 3986, 3.2.2).
    """
    host = scope.get(HOST) or host_of(scope)
    for domain in settings.storage_domains:
        labels = host.removesuffix("." + domain.lower().lstrip("."))
        if not labels or labels == host or labels.count(".") > 1:
            continue
        container, _, account = labels.rpartition(".")
        own = re.sub(rf"^{ACCOUNT_PREFIX[:-1]}[-_]", "", account, flags=re.IGNORECASE)
        rest = str(scope["path"])
        rest = rest[3:] if rest.startswith("/v1/") or rest == "/v1" else rest
        below = f"/{unquote(container)}{rest}" if container else rest.rstrip("/") if rest == "/" else rest
        return f"/v1/{ACCOUNT_PREFIX}{own}{below}"
    return None
