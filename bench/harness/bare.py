"""The floor: a bare ASGI application on the same server, answering fixed JSON. `python bare.py PORT`.

At `/hash` it does so after a password's hash, in a thread as identity does it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

BODY = b'{"token":{"methods":["password"],"user":{"id":"' + b"0" * 32 + b'"}}}' + b" " * 2000
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        if scope["path"] == "/hash":
            from pileus.services.identity.passwords import Passwords

            await Passwords().verify("password", None)
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY, "more_body": False})


async def main(port: int) -> None:
    from pileus.kernel.http.server import Server

    await Server(app, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
