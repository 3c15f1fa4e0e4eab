"""What the nouns of placement share: types of values, paths, headers, providers and their generations."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any, NoReturn

from msgspec import Meta
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import Conflict, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.placement.dialect import CONCURRENT_UPDATE
from pileus.services.placement.names import CUSTOM_PATTERN
from pileus.services.placement.store import provider as providers
from pileus.services.placement.versions import V

ClassName = Annotated[str, Meta(pattern=r"^[A-Z0-9_]+\Z", max_length=255)]
CustomName = Annotated[str, Meta(pattern=CUSTOM_PATTERN, max_length=255)]
TraitName = Annotated[str, Meta(min_length=1, max_length=255)]
AnyUuid = Annotated[str, Meta(pattern=r"^[0-9a-fA-F-]{36}\Z")]
"""What upstream takes for a UUID where it names consumers and providers in bodies."""
NonEmptyText = Annotated[str, Meta(min_length=1, max_length=255)]

PROVIDER = "/resource_providers/{uuid}"


def provider_of(call: Call, tx: Tx) -> Row[Any]:
    """The provider that the path names, or 404."""
    key = call.params["uuid"]
    row = None if "\0" in key else providers.get(tx, key)
    if row is None:
        raise no_provider(key)
    return row


def no_provider(key: str) -> NotFound:
    return NotFound(f"No resource provider with uuid {key} found.")


def check_generation(provider: Row[Any], generation: int) -> None:
    """409 where the client's picture of the provider is not the newest."""
    if provider.generation != generation:
        stale(provider, generation)


def stale(provider: Row[Any], generation: int) -> NoReturn:
    raise Conflict(
        f"resource provider generation conflict: provider {provider.id} is at generation "
        f"{provider.generation}, not {generation}; read it again.",
        kind=CONCURRENT_UPDATE,
    )


def relative(call: Call, path: str) -> str:
    """A link below the service, as upstream writes them: `/placement/traits/X`."""
    return call.runtime.service.path + path


def answer(call: Call, body: Any, modified: datetime, status: int = 200) -> Reply:
    """JSON; from 1.15 on it says when it was last modified, and that it must not be cached."""
    reply = Reply.json(body, status)
    stamp(call, reply, modified)
    return reply


def stamp(call: Call, reply: Reply, modified: datetime) -> Reply:
    if call.has(V.CACHE_HEADERS):
        reply.headers["last-modified"] = format_datetime(modified, usegmt=True)
        reply.headers["cache-control"] = "no-cache"
    return reply


def location(call: Call, path: str) -> dict[str, str]:
    return {"location": call.base_url + path}
