"""A metadata service that tells what lies in a directory, on all addresses: `metadata_files.py DIRECTORY`.

On its own, so that it can run in a network namespace."""

from __future__ import annotations

import http.server
import socket
import sys
from typing import Any


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *words: Any) -> None:
        super().__init__(*words, directory=sys.argv[1])


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


Server(("::", 80), Handler).serve_forever()
