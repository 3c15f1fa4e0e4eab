"""Buckets as web sites (S3 User Guide, "Hosting a static website"): which object a page is, and where one is sent."""

from __future__ import annotations

from typing import NamedTuple

from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import documents
from pileus.services.object_store.s3.errors import S3Error

MAX_RULES = 50


class IndexDocument(Document):
    suffix: str


class ErrorDocument(Document):
    key: str


class RedirectAll(Document):
    host_name: str
    protocol: str | None = None


class Condition(Document):
    key_prefix_equals: str | None = None
    http_error_code_returned_equals: int | None = None


class Redirect(Document):
    host_name: str | None = None
    http_redirect_code: int | None = None
    protocol: str | None = None
    replace_key_prefix_with: str | None = None
    replace_key_with: str | None = None


class RoutingRule(Document):
    redirect: Redirect
    condition: Condition | None = None


class RoutingRules(Document):
    routing_rule: list[RoutingRule] = []


class Configuration(Document):
    index_document: IndexDocument | None = None
    error_document: ErrorDocument | None = None
    redirect_all_requests_to: RedirectAll | None = None
    routing_rules: RoutingRules | None = None


class Going(NamedTuple):
    """Where a browser is sent."""

    status: int
    protocol: str | None
    host: str | None
    """None of these two: as the request's."""
    key: str


def read(body: bytes) -> Configuration:
    """400 where the parts don't fit together."""
    found = documents.read(body, Configuration, "WebsiteConfiguration")
    everything = found.redirect_all_requests_to
    if everything is not None:
        if found.index_document or found.error_document or found.routing_rules:
            raise _invalid(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            )
        _check_target(everything.protocol, everything.host_name)
        return found
    if found.index_document is None:
        raise _invalid("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty")
    if not found.index_document.suffix or "/" in found.index_document.suffix:
        raise _invalid("The IndexDocument Suffix is not well formed")
    if found.error_document is not None and not found.error_document.key:
        raise _invalid("The ErrorDocument Key is not well formed")
    rules = found.routing_rules.routing_rule if found.routing_rules else []
    if len(rules) > MAX_RULES:
        raise _invalid(
            f"{len(rules)} routing rules provided, the number of routing rules is limited to {MAX_RULES}."
        )
    for rule in rules:
        to = rule.redirect
        if to.replace_key_with is not None and to.replace_key_prefix_with is not None:
            raise _invalid("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
        if to.http_redirect_code is not None and to.http_redirect_code not in range(300, 400):
            raise _invalid(f"The provided HTTP redirect code ({to.http_redirect_code}) is not valid.")
        if rule.condition is not None:
            code = rule.condition.http_error_code_returned_equals
            if code is not None and code not in range(400, 600):
                raise _invalid(f"The provided HTTP error code ({code}) is not valid.")
        _check_target(to.protocol, to.host_name)
    return found


def _check_target(protocol: str | None, host: str | None) -> None:
    if protocol not in (None, "http", "https"):
        raise _invalid("Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
                       "automatically.")  # fmt: skip
    if host is not None and (not host.isprintable() or "/" in host or " " in host or not host):
        raise _invalid("The host to redirect to is not well formed")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidArgument", why)


def key(found: Configuration, asked: str) -> str:
    """The object that a path's key means: a folder's is its index."""
    suffix = found.index_document.suffix if found.index_document else ""
    return asked + suffix if not asked or asked.endswith("/") else asked


def routed(found: Configuration, asked: str, error: int | None = None) -> Going | None:
    """What the first rule that fits says; `error` is the status that the page would have."""
    if (whole := found.redirect_all_requests_to) is not None:
        return Going(301, whole.protocol, whole.host_name, asked)
    for rule in found.routing_rules.routing_rule if found.routing_rules else []:
        when = rule.condition or Condition()
        prefix = when.key_prefix_equals or ""
        if not asked.startswith(prefix) or when.http_error_code_returned_equals != error:
            continue
        to = rule.redirect
        new = asked
        if to.replace_key_with is not None:
            new = to.replace_key_with
        elif to.replace_key_prefix_with is not None:
            new = to.replace_key_prefix_with + asked[len(prefix) :]
        return Going(to.http_redirect_code or 301, to.protocol, to.host_name, new)
    return None
