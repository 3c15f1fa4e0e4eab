"""How one family of APIs writes things down: envelopes, links, dates, what bad input is called.

A dialect is one frozen value. Differences between OpenStack's services live in these values, not in handlers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pileus.kernel.errors import ApiError

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call
    from pileus.kernel.api.listing import Page

Predicate = tuple[str, Any]
"""(operator, value): eq, ne, in, gt, gte, lt, lte, contains, startswith, endswith, null."""


def iso_z(moment: datetime) -> str:
    """`2026-01-31T12:00:00Z`: Nova, Neutron, Glance."""
    return moment.isoformat()[:19] + "Z"  # a fifth of what strftime costs, and lists are full of times


def iso_micro(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000`: Cinder."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def iso_micro_z(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`: Keystone."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def equal(values: list[str]) -> list[Predicate]:
    """The last of the values given; most APIs."""
    return [("eq", values[-1])]


def any_of(values: list[str]) -> list[Predicate]:
    """Any of the values given: Neutron."""
    return [("in", values)] if len(values) > 1 else [("eq", values[0])]


def transaction_id(request_id: str) -> dict[str, str]:
    """Swift's name for a request, which its clients and monitors look for: `X-Trans-Id`, 21 digits and the time."""
    digits = request_id.removeprefix("req-").replace("-", "")
    return {"x-trans-id": f"tx{digits[-21:]:0>21}-{int(time.time()):010x}"}


def _no_links(call: Call, page: Page) -> dict[str, Any]:
    return {}


def unknown_field_text(names: list[str]) -> str:
    """JSON schema's words, which most of OpenStack's services pass on."""
    quoted = ", ".join(repr(name) for name in names)
    return (
        f"Additional properties are not allowed ({quoted} {'was' if len(names) == 1 else 'were'} unexpected)"
    )


@dataclass(frozen=True, kw_only=True)
class Dialect:
    name: str
    envelope: Callable[[ApiError, str], Mapping[str, Any]]
    """The error and the request id, as a JSON object."""
    wrapped: bool = True
    """Bodies are `{"server": {…}}` and `{"servers": […]}`, not bare."""
    loose_types: bool = False
    """Numbers and booleans may come as text."""
    loose_envelope: bool = False
    """Names beside the body's own are ignored."""
    policy_before_existence: bool = False
    """Who may not do a thing gets a 403 even where there is no such thing to do it to."""
    json_only: bool = False
    """A body that says it is anything but JSON is a 415."""
    slash_names_nothing: bool = False
    """`/images/` is an image without a name, which does not exist; elsewhere it is `/images`."""
    nul_names_nothing: bool = True
    """A path with a NUL leads nowhere; elsewhere the service itself refuses it."""
    bulk: bool = False
    """A POST of `{"networks": […]}` makes them all or none."""
    time: Callable[[datetime], str] = iso_z
    predicates: Callable[[list[str]], list[Predicate]] = equal
    reject_unknown_filters: bool = False
    links: Callable[[Call, Page], dict[str, Any]] = _no_links
    """Names to add beside a collection, such as the link to the next page."""
    page_limit: int = 1000
    """Most items on a page, whatever the client asks for."""
    default_page: int | Callable[[Call], int | None] | None = None
    """Items on a page where the client does not say; None: as many as may be."""
    marker_status: int = 400
    over_quota_status: int = 403
    unknown_fields: Callable[[list[str]], str] = unknown_field_text
    read_only_field: Callable[[str, str], str] | None = None
    """`(name, method)` in words, for an attribute that is there but not for this method; None: as an unknown one."""
    request_id_headers: tuple[str, ...] = ("x-openstack-request-id",)
    page: Callable[[ApiError], tuple[str, bytes]] | None = None
    """Media type and body of an error, where it is not the envelope as JSON."""
    stamps: Callable[[str], Mapping[str, str]] | None = None
    """More headers of every answer, from the request id."""
    challenge: Mapping[str, str] = field(default_factory=dict)
    """Headers of every 401."""
