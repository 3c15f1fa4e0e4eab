"""What belongs to no service: the root, health, metrics, events, descriptions."""

from __future__ import annotations

from functools import cache

import msgspec

from pileus import __version__
from pileus.kernel import metrics
from pileus.kernel.api.answer import Media
from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import Dialect, transaction_id
from pileus.kernel.api.operation import ANYONE, AUTHENTICATED
from pileus.kernel.api.service import Routes, Service
from pileus.kernel.db import Tx
from pileus.kernel.errors import Forbidden, NotFound
from pileus.kernel.http.reply import JSON, Reply, encode_json

PLAIN = Dialect(
    name="plain",
    envelope=lambda error, request_id: {
        "error": {
            "code": error.status,
            "title": error.title,
            "message": error.message,
            "request_id": request_id,
        }
    },
)

PLAIN_TEXT, EVENT_STREAM = Media("text/plain"), Media("text/event-stream")
DOCUMENT = Media(JSON, {"type": "object", "required": ["openapi", "info", "paths"]})

routes = Routes()


class Index(msgspec.Struct):
    pileus: str
    identity: str
    metrics: str


@routes.add("GET", "/", policy=ANYONE)
async def index(call: Call) -> Index:
    """Which cloud this is, and where to begin."""
    return Index(
        pileus=__version__, identity=f"{call.root_url}/identity/v3", metrics=f"{call.root_url}/metrics"
    )


@routes.add("GET", "/healthcheck", policy=ANYONE, answers=PLAIN_TEXT)
def health(call: Call, tx: Tx) -> Reply:
    """200 where the database answers."""
    return Reply(200, b"OK", {"content-type": PLAIN_TEXT.type, **transaction_id(call.request_id)})


@routes.add("GET", "/metrics", policy=ANYONE, answers=PLAIN_TEXT)
async def show_metrics(call: Call) -> Reply:
    """Prometheus' text format."""
    return Reply(200, metrics.exposition(), {"content-type": "text/plain; version=0.0.4; charset=utf-8"})


@routes.add("GET", "/events", policy=AUTHENTICATED, answers=EVENT_STREAM)
async def follow_events(call: Call) -> Reply:
    """What happens to the project's resources, as server-sent events, for as long as the client listens.

    Administrators follow all projects with `?all_projects=true`. `Last-Event-ID` resumes where it broke off.
    """
    everyone = call.flag("all_projects")
    if everyone and not call.context.is_admin:
        raise Forbidden("Only administrators follow the events of all projects.")
    stream = call.runtime.events.stream(None if everyone else call.project_id, call.header("last-event-id"))
    return Reply(200, headers={"content-type": EVENT_STREAM.type, "cache-control": "no-store"}, stream=stream)


@routes.add("GET", "/openapi/{service_type}", policy=ANYONE, answers=DOCUMENT)
async def describe(call: Call) -> Reply:
    """The OpenAPI 3.1 document of a service, by its type, at its newest version."""
    wanted = call.params["service_type"]
    for each in call.runtime.served:
        if each.type == wanted:
            return Reply(200, _described(each), {"content-type": JSON})
    known = ", ".join(each.type for each in call.runtime.served)
    raise NotFound(f"There is no service of type {wanted!r} here; there are {known}.")


@cache
def _described(service: Service) -> bytes:
    from pileus.kernel.api import openapi

    return encode_json(openapi.document(service))


service = Service(
    type="pileus", name="pileus", root="", path="", dialect=PLAIN, routes=[routes], listed=False
)
