"""What a storage node says over HTTP: how it does, and nothing of what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.kernel import metrics
from pileus.kernel.http.exchange import Receive, Send
from pileus.services.object_store.recon import Recon

PLAIN = "text/plain; charset=utf-8"


class StatusPages:
    """An ASGI application: `/recon/…`, `/metrics`, `/healthcheck`."""

    def __init__(self, recon: Recon) -> None:
        self._recon = recon

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, body, kind = self._answer(scope["method"], scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, method: str, path: str) -> tuple[int, bytes, str]:
        if method not in ("GET", "HEAD"):
            return 405, b"Only GET and HEAD.", PLAIN
        root, *parts = path.strip("/").split("/")
        if root == "healthcheck" and not parts:
            return 200, b"OK", PLAIN
        if root == "metrics" and not parts:
            return 200, metrics.exposition(), "text/plain; version=0.0.4; charset=utf-8"
        if root == "recon" and 1 <= len(parts) <= 2:
            found = self._recon.answer(*parts)
            if found is not None:
                return 200, msgspec.json.encode(found), "application/json"
        return 404, f"Invalid path: {path}".encode(), PLAIN
