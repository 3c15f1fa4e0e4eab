"""An identity provider of the smallest kind for tests: a discovery document, keys, userinfo, and tokens with any claims.

It listens on loopback in a thread of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey


class Issuer:
    """Tokens are signed with the last of `keys`; all of them are published."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys = [new_key()]
        self.userinfo: dict[str, dict[str, Any]] = {}
        """By access token."""
        self.active: dict[str, dict[str, Any]] = {}
        """What introspection says of opaque tokens."""
        self.asked: list[str] = []
        """Paths, in order."""

    def token(self, *, key: RSAKey | None = None, lifetime: int = 300, **claims: Any) -> str:
        """A signed JWT for the client `pileus`, or with other claims in place of these."""
        now = int(time.time())
        standard = {"iss": self.url, "aud": "pileus", "sub": "alice", "iat": now, "exp": now + lifetime}
        signer = key or self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": signer.kid}, {**standard, **claims}, signer)

    def document(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "token_endpoint": f"{self.url}/token",
                "authorization_endpoint": f"{self.url}/authorize",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "introspection_endpoint": f"{self.url}/introspect",
            }
        if path == "/jwks":
            return {"keys": [each.as_dict(private=False) for each in self.keys]}
        return None


def new_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Runs one for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked.append(self.path)
            if self.path == "/userinfo":
                bearer = (self.headers.get("authorization") or "").partition(" ")[2]
                self._answer(running.userinfo.get(bearer), 401)
            else:
                self._answer(running.document(self.path), 404)

        def do_POST(self) -> None:
            from urllib.parse import parse_qs

            running.asked.append(self.path)
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            self._answer(running.active.get(form["token"][0], {"active": False}), 404)

        def _answer(self, document: dict[str, Any] | None, otherwise: int) -> None:
            body = json.dumps(document or {}).encode()
            self.send_response(200 if document is not None else otherwise)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
