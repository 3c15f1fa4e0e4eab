"""What the nouns of identity share: links, domains, what must follow a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, structs
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden

DEFAULT_DOMAIN = "default"
IMMUTABLE = "immutable"
ProjectName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\S")]
"""Of a project or a domain: something to be seen in it."""
BY_NAME = (("name", "asc"), ("id", "asc"))


def self_link(collection: str) -> Callable[[Call, Row[Any]], dict[str, str]]:
    """Renders `links: {self: …}`."""
    return lambda call, row: {"self": f"{call.base_url}/{collection}/{row.id}"}


def home_domain(call: Call) -> str:
    """The domain that a caller means who names none: that of its token."""
    return call.context.domain_id or call.context.project_domain_id or DEFAULT_DOMAIN


def given(body: Any, *but: str) -> dict[str, Any]:
    """The attributes that the client sent, by name."""
    values = {name: getattr(body, name) for name in structs.asdict(body) if name not in but}
    return {name: value for name, value in values.items() if value is not UNSET}


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
    tx.after_commit(call.runtime.revision.bump)


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
        raise Forbidden("Cannot change Domain ID: it stays what it was at creation.")


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


def check_mutable(row: Row[Any], values: Mapping[str, Any] | None = None) -> None:
    """403 where the option `immutable` stands, unless the change takes just that away."""
    if not row.options.get(IMMUTABLE):
        return
    options = (values or {}).get("options") or {}
    if values is None or options.get(IMMUTABLE, True):
        raise Forbidden(f"{row.name} is immutable; set its option `immutable` to false first.")
