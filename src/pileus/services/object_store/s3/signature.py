"""Who signed a request, and whether it did: version 4 and 2, in the header or in the query."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import unquote

from pileus.kernel.api.call import Call
from pileus.kernel.context import Context
from pileus.lib import http_date, s3_signature
from pileus.lib.aws_signature import V4
from pileus.services.object_store.needs import AccessKey, AccessKeys
from pileus.services.object_store.s3 import presigned as presigned_headers
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.place import Place

SKEW = timedelta(minutes=15)
MAX_EXPIRES_SECONDS = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
_IN_QUERY = frozenset({"X-Amz-Algorithm", "X-Amz-Signature", "Signature"})
_MOMENT = re.compile(r"^\d{8}T\d{6}Z$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
STREAMED = frozenset(
    {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }
)
"""Values of `x-amz-content-sha256` for bodies that come in chunks of their own."""
_WORDS = STREAMED | {UNSIGNED, s3_signature.EMPTY_SHA256}
"""Values of it that need no further look."""


_COVERED = frozenset({"x-amz-content-sha256", "x-amz-date"})
"""Headers that are in what is signed, whether they are named or not."""


class Signed(NamedTuple):
    """A signature that was found good."""

    access: str
    context: Context
    payload: str
    """The body's SHA-256, one of `STREAMED`, or `UNSIGNED`."""
    way: Literal["REST-HEADER", "REST-QUERY-STRING", "POST"] = "REST-HEADER"
    """How the signature came, as policies call it; the last is a browser's form."""
    version: int = 4
    key: hmac.HMAC | None = None
    moment: str = ""
    scope: str = ""
    signature: str = ""
    """With the three before it, what the signatures of chunks go on from. `moment` is empty where nobody knows when it was
    signed: in a URL of version 2."""


class _Signer(NamedTuple):
    """What a request says of its signature of version 4 but for the signature; a client says the same all day."""

    access: str
    date: str
    region: str
    scope: str
    names: tuple[str, ...]
    covered: frozenset[str]
    """Headers that are in what is signed, by their names or without."""

    @classmethod
    def of(cls, credential: tuple[str, str, str], names: tuple[str, ...]) -> _Signer:
        access, date, region = credential
        return cls(access, date, region, f"{date}/{region}/s3/aws4_request", names, _COVERED.union(names))


_Said = tuple[_Signer, str, str, str]
"""The signer, the signature, its moment, and what stands for the body."""


async def verify(call: Call, place: Place, keys: AccessKeys, region: str) -> Signed | None:
    """None for a request without a signature; 400 or 403 for one with a bad one."""
    authorization = call.header("authorization")
    if authorization is not None:
        if call.scope["query_string"] and not _IN_QUERY.isdisjoint(call.query):
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
            )
        if authorization.startswith(V4):
            return await _version_4(call, keys, _from_header(call, authorization, region), presigned=False)
        if authorization.startswith(ASYMMETRIC):
            raise S3Error(
                "NotImplemented", f"Signatures of the kind {ASYMMETRIC} are not implemented: use {V4}."
            )
        if authorization.startswith("AWS "):
            access, _, signature = authorization[4:].strip().rpartition(":")
            moment = "" if "x-amz-date" in call.headers else call.header("date") or ""
            _check_skew(call, _date(call.header("x-amz-date") or call.header("date")))
            return await _version_2(call, place, keys, access, signature, moment, presigned=False)
        if "x-amz-date" in call.headers:
            raise S3Error("InvalidArgument", "Unsupported Authorization Type")
        return None
    if not call.scope["query_string"]:
        return None
    if "X-Amz-Algorithm" in call.query or "X-Amz-Signature" in call.query:
        return await _version_4(call, keys, _from_query(call, region), presigned=True)
    if "AWSAccessKeyId" in call.query and "Signature" in call.query:
        expires = call.arg("Expires") or ""
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
            raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
        if call.runtime.clock.now().timestamp() > int(expires):
            raise S3Error("AccessDenied", "Request has expired", details={"Expires": expires})
        access, signature = call.arg("AWSAccessKeyId") or "", call.arg("Signature") or ""
        return await _version_2(call, place, keys, access, signature, expires, presigned=True)
    return None


async def find_key(keys: AccessKeys, access: str) -> AccessKey:
    found = await keys.find(access)
    if found is None:
        raise S3Error(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            details={"AWSAccessKeyId": access},
        )
    return found


def wrong(access: str, signature: str, text: bytes) -> S3Error:
    return S3Error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        details={
            "AWSAccessKeyId": access,
            "StringToSign": text.decode("latin-1"),
            "SignatureProvided": signature,
        },
    )


# Version 4


@lru_cache(maxsize=4096)
def _signer(said: str, region: str) -> _Signer:
    """From `Credential=…, SignedHeaders=…,`, in any order."""
    fields = {}
    for part in said.split(","):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    try:
        credential, signed = fields["Credential"], fields["SignedHeaders"]
    except KeyError as error:
        raise S3Error(
            "AuthorizationHeaderMalformed", f"The authorization header is malformed; it has no {error}."
        ) from error
    names = tuple(signed.split(";"))
    if "host" not in names:
        raise S3Error("AccessDenied", "There were headers present in the request which were not signed: host")
    return _Signer.of(_parts(credential, region, "AuthorizationHeaderMalformed"), names)


def _from_header(call: Call, authorization: str, region: str) -> _Said:
    before, found, rest = authorization[len(V4) :].partition("Signature=")
    signature, _, after = rest.partition(",")
    if not found:
        raise S3Error(
            "AuthorizationHeaderMalformed", "The authorization header is malformed; it has no Signature."
        )
    signer = _signer(before + after, region)
    moment = call.header("x-amz-date")
    if moment is None:
        date = _date(call.header("date"))
        moment = f"{date:%Y%m%dT%H%M%SZ}" if date is not None else ""
    _check_date(signer.date, moment, "AuthorizationHeaderMalformed")
    _check_skew(call, moment_of(moment))
    payload = call.header("x-amz-content-sha256")
    if payload is None:
        raise S3Error(
            "MissingSecurityHeader", "Your request was missing a required header: x-amz-content-sha256"
        )
    _check_payload(payload)
    return signer, signature.strip(), moment, payload


def _from_query(call: Call, region: str) -> _Said:
    def said(name: str) -> str:
        value = call.arg(f"X-Amz-{name}")
        if not value:
            raise S3Error(
                "AuthorizationQueryParametersError",
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            )
        return value

    if said("Algorithm") == ASYMMETRIC:
        raise S3Error("NotImplemented", f"Signatures of the kind {ASYMMETRIC} are not implemented: use {V4}.")
    if said("Algorithm") != V4:
        raise S3Error("AuthorizationQueryParametersError", f'X-Amz-Algorithm only supports "{V4}"')
    moment, expires = said("Date"), said("Expires")
    credential = scope_of(said("Credential"), region, moment, "AuthorizationQueryParametersError")
    if not (expires.isascii() and expires.isdigit()):
        raise S3Error("AuthorizationQueryParametersError", "X-Amz-Expires should be a number")
    if len(expires) > 9 or int(expires) > MAX_EXPIRES_SECONDS:
        raise S3Error(
            "AuthorizationQueryParametersError",
            "X-Amz-Expires must be less than a week (in seconds) that is 604800",
        )
    signed_at, now = moment_of(moment), call.runtime.clock.now()
    if signed_at is None:
        raise S3Error(
            "AuthorizationQueryParametersError",
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        )
    if signed_at > now + SKEW:
        raise S3Error("AccessDenied", "Request is not valid yet")
    if signed_at + timedelta(seconds=int(expires)) < now:
        raise S3Error("AccessDenied", "Request has expired", details={"X-Amz-Expires": expires})
    payload = call.header("x-amz-content-sha256") or call.arg("X-Amz-Content-Sha256") or UNSIGNED
    _check_payload(payload)
    names = tuple(said("SignedHeaders").split(";"))
    signer = _Signer.of(credential, names)
    return signer, said("Signature"), moment, payload


def _check_payload(payload: str) -> None:
    if payload not in _WORDS and not _SHA256.match(payload):
        raise S3Error(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING-… value, or a valid sha256 value.",
            details={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": payload[:200]},
        )


def _parts(credential: str, region: str, code: str) -> tuple[str, str, str]:
    """The access key, the day and the region of `KEY/20260131/REGION/s3/aws4_request`."""
    parts = credential.rsplit("/", 4)
    if parts[3:] in (["s3express", "aws4_request"], ["s3-object-lambda", "aws4_request"]):
        raise S3Error("NotImplemented", f"Requests for {parts[3]} are not implemented: sign for s3.")
    if len(parts) != 5 or parts[3:] != ["s3", "aws4_request"]:
        raise S3Error(
            code, "The Credential is mal-formed; expecting <YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request."
        )
    access, date, where = parts[:3]
    if region and where != region:
        raise S3Error(
            code,
            f"The region '{where[:60]}' is wrong; expecting '{region}'",
            headers={"x-amz-bucket-region": region},  # all that a HEAD can tell
            details={"Region": region},
        )
    return access, date, where


def scope_of(credential: str, region: str, moment: str, code: str) -> tuple[str, str, str]:
    """The same of a credential for that moment. 400 where it is for another day, or another region."""
    access, date, where = _parts(credential, region, code)
    _check_date(date, moment, code)
    return access, date, where


def _check_date(date: str, moment: str, code: str) -> None:
    if not moment.startswith(date) or len(date) != 8:
        raise S3Error(code, "The date of the Credential and that of the request are not the same.")


async def _version_4(call: Call, keys: AccessKeys, said: _Said, *, presigned: bool) -> Signed:
    signer, signature, moment, payload = said
    access, date, region, scope, names, covered = signer
    _check_all_signed(call, covered)
    found = await find_key(keys, access)
    signing = found.signing_key(date, region)
    headers = joined_headers(call)
    path, query = s3_signature.canonical_path(call.path), call.scope["query_string"].decode("latin-1")
    canonical = s3_signature.canonical_request(
        call.method, path, s3_signature.canonical_query(query), headers, names, payload
    )
    text = s3_signature.string_to_sign(moment, scope, canonical)
    given = signature.encode("latin-1", "replace")
    if not hmac.compare_digest(s3_signature.signature_4(signing, text).encode(), given):
        # Some clients sign the path as they send it, or take a plus for a plus.
        others = (
            s3_signature.canonical_request(
                call.method,
                where,
                s3_signature.canonical_query(query, plus_is_space=plus),
                headers,
                names,
                payload,
            )
            for where in (path, call.scope["raw_path"].decode("latin-1"))
            for plus in (True, False)
        )
        if not any(
            hmac.compare_digest(
                s3_signature.signature_4(signing, s3_signature.string_to_sign(moment, scope, other)).encode(),
                given,
            )
            for other in others
        ):
            raise wrong(access, signature, text)
    way: Literal["REST-HEADER", "REST-QUERY-STRING"] = "REST-QUERY-STRING" if presigned else "REST-HEADER"
    return Signed(access, found.context, payload, way, 4, signing, moment, scope, signature)


def _check_all_signed(call: Call, covered: frozenset[str]) -> None:
    """403 where one of S3's own headers is not signed: whoever has a signed request, or a URL, could add it."""
    if unsigned := [name for name in call.headers if name[:6] == "x-amz-" and name not in covered]:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            details={"HeadersNotSigned": ", ".join(sorted(unsigned))[:1000]},
        )


def joined_headers(call: Call) -> Mapping[str, str]:
    """By name; several of one name are joined, as they are signed."""
    raw = call.scope["headers"]
    if len(call.headers) == len(raw):
        return call.headers
    joined: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        joined[key] = f"{joined[key]},{text}" if key in joined else text
    return joined


# Version 2


async def _version_2(
    call: Call, place: Place, keys: AccessKeys, access: str, signature: str, moment: str, *, presigned: bool
) -> Signed:
    found = await find_key(keys, access)
    resource = call.scope["raw_path"].decode("latin-1")
    if place.virtual:
        resource = f"/{place.bucket}{resource}"
    query = call.scope["query_string"].decode("latin-1")
    headers = joined_headers(call)
    if presigned:
        headers = presigned_headers.with_query(call, headers, 2)
    text = s3_signature.string_to_sign_2(call.method, resource, query, headers, moment)
    expected = s3_signature.signature_2(found.secret, text)
    if not hmac.compare_digest(expected.encode(), signature.encode("latin-1", "replace")):
        raise wrong(access, signature, text)
    payload = call.header("x-amz-content-sha256") or UNSIGNED
    _check_payload(payload)
    if payload.startswith("STREAMING-AWS4"):
        raise S3Error("NotImplemented", "Signed chunks need a signature of version 4.")
    if presigned:
        return Signed(access, found.context, payload, "REST-QUERY-STRING", 2)
    signed_at = _date(call.header("x-amz-date") or call.header("date"))
    return Signed(
        access, found.context, payload, version=2, moment=f"{signed_at:%Y%m%dT%H%M%SZ}" if signed_at else ""
    )


# Times


@lru_cache(maxsize=256)
def moment_of(text: str) -> datetime | None:
    if not _MOMENT.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _date(header: str | None) -> datetime | None:
    if not header:
        return None
    return moment_of(header) or http_date.parse(unquote(header))


def _check_skew(call: Call, moment: datetime | None) -> None:
    if moment is None:
        raise S3Error(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header", status=403
        )
    now = call.runtime.clock.now()
    if abs(now - moment) > SKEW:
        raise S3Error(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            details={
                "RequestTime": f"{moment:%Y%m%dT%H%M%SZ}",
                "ServerTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "MaxAllowedSkewMilliseconds": "900000",
            },
        )
