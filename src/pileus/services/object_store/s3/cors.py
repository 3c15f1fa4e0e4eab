"""Which pages of other origins may use a bucket (Fetch Standard, "CORS protocol"; S3 User Guide, "Using CORS")."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pileus.lib.wildcard import wildcard
from pileus.lib.xml_document import Document
from pileus.services.object_store.s3 import documents
from pileus.services.object_store.s3.errors import S3Error

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
MAX_RULES = 100
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


class Rule(Document):
    allowed_origin: list[str]
    allowed_method: list[str]
    id: str | None = msgspec.field(name="ID", default=None)
    allowed_header: list[str] = []
    expose_header: list[str] = []
    max_age_seconds: int | None = None

    def fits(self, origin: str, method: str, headers: Sequence[str]) -> bool:
        return (
            method in self.allowed_method
            and any(wildcard(each).matches(origin) for each in self.allowed_origin)
            and all(
                any(wildcard(each, any_case=True).matches(name) for each in self.allowed_header)
                for name in headers
            )
        )

    def answer(self, origin: str, headers: Sequence[str], *, preflight: bool) -> dict[str, str]:
        """The headers that tell the browser so."""
        everybody = "*" in self.allowed_origin
        found = {
            "access-control-allow-origin": "*" if everybody else origin,
            "access-control-allow-methods": ", ".join(self.allowed_method),
            "vary": VARY,
        }
        if not everybody:
            found["access-control-allow-credentials"] = "true"
        if self.expose_header:
            found["access-control-expose-headers"] = ", ".join(self.expose_header)
        if preflight and headers:
            found["access-control-allow-headers"] = ", ".join(headers)
        if preflight and self.max_age_seconds is not None:
            found["access-control-max-age"] = str(self.max_age_seconds)
        return found


class Configuration(Document):
    rule: list[Rule] = msgspec.field(name="CORSRule")


def read(body: bytes) -> Configuration:
    found = documents.read(body, Configuration, "CORSConfiguration")
    if len(found.rule) > MAX_RULES:
        raise documents.malformed(f"more than {MAX_RULES} rules")
    for rule in found.rule:
        for method in rule.allowed_method:
            if method not in METHODS:
                raise S3Error(
                    "InvalidRequest",
                    f"Found unsupported HTTP method in CORS config. Unsupported method is {method[:60]}",
                )
        for what, values in (("AllowedOrigin", rule.allowed_origin), ("AllowedHeader", rule.allowed_header)):
            for value in values:
                if value.count("*") > 1:
                    raise S3Error(
                        "InvalidRequest", f'{what} "{value[:200]}" can not have more than one wildcard.'
                    )
        for value in rule.expose_header:
            if "*" in value:
                raise S3Error("InvalidRequest", f'ExposeHeader "{value[:200]}" contains wildcard.')
        if any(not each.isprintable() for each in (*rule.allowed_origin, *rule.expose_header)):
            raise documents.malformed("a header can't hold that")
        if rule.max_age_seconds is not None and not 0 <= rule.max_age_seconds < 2**31:
            raise documents.malformed("MaxAgeSeconds is no number of seconds")
    return found


def requested(header: str | None) -> list[str]:
    """The names in `Access-Control-Request-Headers`."""
    return [each.strip().lower() for each in (header or "").split(",") if each.strip()]


def chosen(found: Configuration, origin: str, method: str, headers: Sequence[str] = ()) -> Rule | None:
    """The first rule that fits."""
    return next((rule for rule in found.rule if rule.fits(origin, method, headers)), None)
