"""Signatures of S3 requests (Amazon S3 API reference, "Authenticating requests"): version 4, its chunks, and version 2.

Pure functions over what stood on the wire: header values as latin-1 text, the path decoded, the query raw. S3 encodes a
path once and leaves `//` and `..` as they are, unlike AWS's other services.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from urllib.parse import quote, unquote, unquote_to_bytes

from pileus.lib.aws_signature import V4

EMPTY_SHA256 = sha256(b"").hexdigest()
_PRINTED = re.compile(r"[!-~]*").fullmatch
_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*").fullmatch
"""Most values of headers, and most paths, are in their canonical form: to see that is quicker than to make it."""
_ALSO_SIGNED = frozenset(
    [
        "acl",
        "accelerate",
        "analytics",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "partNumber",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "legal-hold",
        "select",
        "select-type",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    ]
)
"""Names in a query that version 2 signs (Amazon S3 developer guide, "CanonicalizedResource")."""


def pairs(query: str) -> list[tuple[str, str]]:
    """The names and values of a raw query, in order, still encoded."""
    found = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((name, value))
    return found


def canonical_query(query: str, *, plus_is_space: bool = True) -> str:
    """Sorted, each name and value decoded and encoded again; without the signature itself."""
    if not query:
        return ""
    encoded = []
    for name, value in pairs(query):
        if name != "X-Amz-Signature":
            if plus_is_space:
                name, value = name.replace("+", " "), value.replace("+", " ")
            encoded.append((_again(name), _again(value)))
    encoded.sort()
    return "&".join(f"{name}={value}" for name, value in encoded)


def _again(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def canonical_request(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed: Sequence[str],
    payload: str,
) -> bytes:
    """`path` and `query` in their canonical form; `signed` are names of headers as the client lists them."""
    values = [headers.get(name, "") for name in signed]
    if not _PRINTED("".join(values)):
        values = [" ".join(value.split()) for value in values]
    lines = [method, path, query, *map("%s:%s".__mod__, zip(signed, values, strict=True)), ""]
    lines += [";".join(signed), payload]
    return "\n".join(lines).encode("latin-1", "replace")


def canonical_path(path: str) -> str:
    """Of a decoded path."""
    return path if _PLAIN(path) else quote(path, safe="/-_.~")


def string_to_sign(moment: str, scope: str, canonical: bytes) -> bytes:
    """`moment` as `20260131T120000Z`, `scope` as `20260131/REGION/s3/aws4_request`."""
    return f"{V4}\n{moment}\n{scope}\n{sha256(canonical).hexdigest()}".encode()


def signer(key: bytes) -> hmac.HMAC:
    """A key of version 4, made ready once for many signatures."""
    return hmac.new(key, digestmod=sha256)


def signature_4(key: hmac.HMAC, text: bytes) -> str:
    # A copy keeps the interpreter's lock, `hmac.digest` lets go of it: with busy threads that costs milliseconds.
    found = key.copy()
    found.update(text)
    return found.hexdigest()


def chunk_signature(key: hmac.HMAC, moment: str, scope: str, previous: str, data_sha256: str) -> str:
    """Of a chunk of a body, which goes on from the signature before it."""
    text = f"{V4}-PAYLOAD\n{moment}\n{scope}\n{previous}\n{EMPTY_SHA256}\n{data_sha256}"
    return signature_4(key, text.encode())


def trailer_signature(key: hmac.HMAC, moment: str, scope: str, previous: str, trailer: bytes) -> str:
    """Of what follows the last chunk: `name:value` and a newline for each."""
    text = f"{V4}-TRAILER\n{moment}\n{scope}\n{previous}\n{sha256(trailer).hexdigest()}"
    return signature_4(key, text.encode())


def string_to_sign_2(
    method: str, resource: str, query: str, headers: Mapping[str, str], moment: str
) -> bytes:
    """Of version 2. `resource` is the path as it stood on the wire, the bucket of a virtual host before it; `moment`
    is the date, or in a presigned URL when it expires."""
    amz = sorted(name for name in headers if name.startswith("x-amz-"))
    lines = [
        method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        moment,
        *(f"{name}:{headers[name].strip()}" for name in amz),
        resource + _signed_query(pairs(query)),
    ]
    return "\n".join(lines).encode("latin-1", "replace")


def _signed_query(found: Iterable[tuple[str, str]]) -> str:
    chosen = sorted((name, value) for name, value in found if name in _ALSO_SIGNED)
    shown = (f"{name}={unquote(value, 'latin-1')}" if value else name for name, value in chosen)
    return "?" + "&".join(shown) if chosen else ""


def signature_2(secret: str, text: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode()
