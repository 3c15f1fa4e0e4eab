"""What the nouns of identity share: links, domains, what must follow a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, structs
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.filters import row_tests
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden

DEFAULT_DOMAIN = "default"
IMMUTABLE = "immutable"
ProjectName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\S")]
"""Of a project or a domain: something to be seen in it."""
MOST_TAGS = 80
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^,/]*\Z")]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=MOST_TAGS)]
Options = dict[Literal["immutable"], bool | None]
"""Of projects, domains and roles; null takes an option away."""
BY_NAME = (("name", "asc"), ("id", "asc"))


def self_link(collection: str) -> Callable[[Call, Row[Any]], dict[str, str]]:
    """Renders `links: {self: …}`."""
    return lambda call, row: {"self": f"{call.base_url}/{collection}/{row.id}"}


def collection(call: Call, name: str, items: list[Any]) -> dict[str, Any]:
    """A list that has all there is, in the shape of one that has pages."""
    links = {"self": call.root_url + call.path, "next": None, "previous": None}
    return {name: items, "links": links}


def home_domain(call: Call) -> str:
    """The domain that a caller means who names none: that of its token."""
    return call.context.domain_id or call.context.project_domain_id or DEFAULT_DOMAIN


def named_domain(noun: str, body: Any) -> dict[str, Any]:
    """The policy target of something new: the domain that the body names. Upstream's rules let nobody in by the
    domain of the token alone."""
    return {f"target.{noun}.domain_id": body.domain_id} if isinstance(body.domain_id, str) else {}


def in_own_domain(call: Call, rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    """To a token for a domain, lists show nothing of other domains."""
    domain_id = call.context.domain_id
    return [row for row in rows if domain_id is None or row.domain_id == domain_id]


def selected(call: Call, resource: type[Resource], rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    """Those that the call's filters leave, of rows that no list of the resource has read."""
    tests = list(row_tests(call, resource))
    return [row for row in rows if all(test(row) for test in tests)]


def given(body: Any, *but: str) -> dict[str, Any]:
    """The attributes that the client sent, by name."""
    values = {name: getattr(body, name) for name in structs.asdict(body) if name not in but}
    return {name: value for name, value in values.items() if value is not UNSET}


def stripped(values: dict[str, Any]) -> dict[str, Any]:
    """The values, the name without blanks around it."""
    if "name" in values:
        values["name"] = values["name"].strip()
    return values


def check_tags(tags: list[str]) -> None:
    if len(set(tags)) != len(tags):
        raise BadRequest("Each tag can be given only once.")


def is_asked(call: Call, name: str) -> bool:
    """Whether a flag of the query is set; its mere presence counts, `=0` or `=false` unsets it."""
    value = call.arg(name)
    return value is not None and (value == "" or value.lower() not in ("0", "false"))


def described(values: dict[str, Any]) -> dict[str, Any]:
    """The values with an empty text where a client says that there is no description."""
    if "description" in values:
        values["description"] = values["description"] or ""
    return values


def merged_extra(row: Row[Any], body: Any) -> dict[str, Any]:
    """What a client keeps in a resource beyond its attributes; null takes an entry away."""
    extra = {**row.extra, **body.extra}
    return {name: value for name, value in extra.items() if value is not None}


def changed(call: Call, tx: Tx) -> None:
    """Tokens may mean something else now: what is remembered of them is forgotten after the commit."""
    call.runtime.revision.move(tx)


def listed_domain(call: Call, body: Any = None) -> Mapping[str, Any]:
    """The policy target of a list: the domain of the token, for lists show no other's to a token for a domain.

    Empty without one: a rule that compares domains must fail then, not find None equal to None.
    """
    domain_id = call.context.domain_id
    if domain_id is None:
        return {}
    return {
        "target.domain_id": domain_id,
        "target.domain.id": domain_id,
        "target.group.domain_id": domain_id,
        "target.user.domain_id": domain_id,
    }


def same_domain(row: Row[Any], body: Any) -> None:
    """Upstream lets nobody move things between domains."""
    wanted = getattr(body, "domain_id", UNSET)
    if wanted not in (UNSET, row.domain_id):
        raise BadRequest("Cannot change Domain ID: it stays what it was at creation.")


def merged_options(row: Row[Any] | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Options with null taken as "no longer"."""
    there = {} if row is None else row.options
    return {name: value for name, value in {**there, **wanted}.items() if value is not None}


def read_time(name: str, text: str) -> datetime:
    """A time as clients write it; UTC where it names no zone. 400 where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"Invalid time {text!r} for {name}: write it as 2026-01-31T12:00:00Z.") from error


def read_expiry(tx: Tx, text: Any) -> datetime | None:
    """`expires_at` of a body; None where it is left out, 400 where it is past."""
    if not isinstance(text, str):
        return None
    moment = read_time("expires_at", text)
    if moment <= tx.now:
        raise BadRequest(f"The time of expiry, {text}, is not in the future.")
    return moment


def check_mutable(row: Row[Any], values: Mapping[str, Any] | None = None) -> None:
    """403 where the option `immutable` stands, unless the change takes away just that."""
    if not row.options.get(IMMUTABLE):
        return
    values = values or {}
    besides = any(
        name not in ("options", "extra") or (name == "extra" and value != row.extra)
        for name, value in values.items()
    )
    if besides or values.get("options", {}).get(IMMUTABLE, True):
        raise Forbidden(
            f"{row.name} is immutable; set its option `immutable` to false first, and nothing else."
        )
