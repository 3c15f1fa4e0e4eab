"""Tempest's own clients over an application in this process: their response schemas are the oracle.

The clients are synchronous; each call runs on a thread of its own and asks the application on the event loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from pileus.kernel.context import Context
from pileus.testing.service import ServiceUnderTest


class _Auth:
    """Stands for a token: `ask` hands the caller's context over instead."""

    def auth_request(
        self, method: str, url: str, headers: Any = None, body: Any = None, filters: Any = None
    ) -> tuple[str, Any, Any]:
        return url, headers or {}, body

    def base_url(self, filters: Any, auth_data: Any = None) -> str:
        return ""


@contextmanager
def compute_version(version: str | None) -> Iterator[None]:
    """Tempest's compute clients speak this microversion for the time being."""
    from tempest.lib.services.compute import base_compute_client  # type: ignore[import-untyped]  # has none

    base_compute_client.COMPUTE_MICROVERSION = version
    try:
        yield
    finally:
        base_compute_client.COMPUTE_MICROVERSION = None


class Asked:
    """Makes Tempest's clients, by class, for one caller."""

    def __init__(self, cloud: ServiceUnderTest, base_path: str, context: Context) -> None:
        self._cloud, self._base_path, self._context = cloud, base_path, context
        self._loop = asyncio.get_running_loop()

    def client(self, kind: Callable[..., Any], **more: Any) -> Any:
        """A client of this class whose methods are coroutines."""
        made = kind(_Auth(), "compute", "RegionOne", **more)
        made.raw_request = self._raw_request
        return _Asynchronous(made)

    def _raw_request(
        self,
        url: str,
        method: str,
        headers: Any = None,
        body: Any = None,
        chunked: bool = False,
        log_req_body: Any = None,
    ) -> tuple[Any, bytes]:
        path = self._base_path + (url if url.startswith(("/", "?")) else f"/{url}")
        sent = msgspec.json.decode(body) if body else None
        asking = self._cloud.request(method, path, sent, as_=self._context, headers=dict(headers or {}))
        reply = asyncio.run_coroutine_threadsafe(asking, self._loop).result(30)
        return _Response(reply.status, reply.headers), reply.body


class _Response(dict[str, str]):
    """Headers by name, and the status, as Tempest wants them."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(headers, status=str(status))
        self.status = status


class _Asynchronous:
    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(method, *args, **kwargs)

        return call
