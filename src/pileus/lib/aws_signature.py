"""Signatures of requests as AWS defines them, versions 0, 1, 2 and 4: what a request signed with a secret looks like.

Pure functions. AWS Signature Version 4 for API requests; Signature Version 2; OpenStack's `ec2tokens` and `s3tokens` get
the parts of a request, signed elsewhere, as a mapping (Identity API v3, "OS-EC2"). S3's own forms are in
`s3_signature`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

V4 = "AWS4-HMAC-SHA256"
_END = "aws4_request"


class Unsigned(ValueError):
    """The request lacks what its signature would be made of."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers; `headers` by any case."""

    verb: str = ""
    host: str = ""
    path: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body_hash: str = ""


def matches(request: SignedRequest, secret: str, signature: str) -> bool:
    """Whether this is the request's signature. Clients differ in whether the port belongs to the host: both will do."""
    hosts = [request.host]
    name = urlsplit("//" + request.host).hostname if ":" in request.host else None
    if name is not None:
        hosts.append(name)
    given = signature.encode()
    return any(hmac.compare_digest(sign(request, secret, host).encode(), given) for host in hosts)


def sign(request: SignedRequest, secret: str, host: str | None = None) -> str:
    """The signature in the version that the request itself names. Raises Unsigned."""
    host = request.host if host is None else host
    match request.params.get("SignatureVersion"):
        case "0":
            return _base64(
                _hmac(secret.encode(), _param(request, "Action") + _param(request, "Timestamp"), "sha1")
            )
        case "1":
            pairs = sorted(request.params.items(), key=lambda pair: pair[0].lower())
            return _base64(_hmac(secret.encode(), "".join(name + value for name, value in pairs), "sha1"))
        case "2":
            params = {"SignatureMethod": "HmacSHA256", **request.params}
            algorithm = "sha1" if params["SignatureMethod"] == "HmacSHA1" else "sha256"
            text = "\n".join((request.verb, host, request.path, _canonical_query(params)))
            return _base64(_hmac(secret.encode(), text, algorithm))
        case None:
            return _version_4(request, secret)
        case other:
            raise Unsigned(f"unknown signature version {other}")


def sign_text(text: bytes, secret: str) -> str:
    """The signature of a string to sign that was made elsewhere: version 4 where it says so, else 1 (RFC 2104, SHA-1)."""
    if not text.startswith(b"AWS4"):
        return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha1).digest()).decode()
    lines = text.decode("utf-8", "replace").split("\n")
    scope = lines[2].split("/") if len(lines) == 4 else []
    if lines[0] != V4 or len(scope) != 4 or scope[3] != _END or scope[2] not in ("s3", "iam", "sts"):
        raise Unsigned("what was signed is no string to sign of version 4 for s3, iam or sts")
    key = signing_key(secret, *scope[:3])
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of version 4 for a day (`20260131`), a region and a service."""
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, _END):
        key = _hmac(key, part, "sha256")
    return key


def _version_4(request: SignedRequest, secret: str) -> str:
    headers = {name.lower().strip(): value.strip() for name, value in request.headers.items()}
    authorization = headers.get("authorization", "")
    if not authorization.startswith(V4) and request.params.get("X-Amz-Algorithm") != V4:
        raise Unsigned("the request names no signature version")

    def said(name: str) -> str:
        if authorization.startswith(V4):
            return authorization.partition(f"{name}=")[2].partition(",")[0].strip()
        return request.params.get(f"X-Amz-{name}", "")

    scope = said("Credential").split("/")[1:]
    date = headers.get("x-amz-date") or request.params.get("X-Amz-Date") or ""
    if len(scope) != 4 or not date.startswith(scope[0]):
        raise Unsigned("the request's date and its credential's scope do not fit")
    names = said("SignedHeaders")
    signed = "".join(f"{name}:{headers[name]}\n" for name in names.split(";") if name in headers)
    params = {name: value for name, value in request.params.items() if name != "X-Amz-Signature"}
    query = "" if request.verb.upper() == "POST" else _canonical_query(params)
    canonical = "\n".join((request.verb.upper(), request.path, query, signed, names, request.body_hash))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((V4, date, "/".join(scope), digest))
    return hmac.new(signing_key(secret, *scope[:3]), text.encode(), hashlib.sha256).hexdigest()


def _canonical_query(params: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_~')}={quote(params[name], safe='-_~')}" for name in sorted(params))


def _param(request: SignedRequest, name: str) -> str:
    try:
        return request.params[name]
    except KeyError as error:
        raise Unsigned(f"the request has no parameter {name}") from error


def _hmac(key: bytes, text: str, algorithm: str) -> bytes:
    return hmac.new(key, text.encode(), algorithm).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
