"""Uploads by a browser's form, with a policy that was signed beforehand (S3 API reference, "POST Object")."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pileus.kernel.api import access_rules
from pileus.kernel.api.answer import NOTHING, Answer
from pileus.kernel.api.call import Call
from pileus.kernel.http.reply import Reply
from pileus.lib import s3_signature
from pileus.lib.aws_signature import V4
from pileus.services.object_store import admission
from pileus.services.object_store.forms import Form, Part
from pileus.services.object_store.s3 import (
    attributes,
    authorize,
    hooks,
    place,
    post_policy,
    signature,
    storing,
    tagging,
    xml,
)
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.post_policy import PostPolicy
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.s3.signature import UNSIGNED, Signed

MAX_FIELDS_BYTES = 20 * 1024
"""Of all fields before the file."""
_REDIRECTS = ("success_action_redirect", "redirect")


class Filled(NamedTuple):
    """A form, up to its file."""

    fields: dict[str, str]
    """By name in lower case."""
    file: Part


def is_form(request: Request) -> bool:
    return (
        request.call.method == "POST"
        and not request.key
        and request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"
        and "delete" not in request.call.query
    )


async def post_object(request: Request) -> Reply:
    """Stores the form's file as an object. Who asks is told by the form, so it is not allowed before it is read."""
    call = request.call
    filled = await _read(call)
    fields = filled.fields
    key = fields.get("key")
    if not key:
        raise S3Error("InvalidArgument", "Bucket POST must contain a field named 'key'.")
    key = key.replace("${filename}", (filled.file.filename or "").replace("\\", "/").rpartition("/")[2])
    if "\0" in key:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.")
    place.check_key(key)
    admission.check_characters(key, call.runtime.state)
    signed = await _signed(call, fields)
    policy = None
    if signed is not None:
        policy = post_policy.read(fields["policy"])
        policy.check({**fields, "key": key, "bucket": request.bucket}, call.runtime.clock.now())
        call.context = signed.context
        access_rules.check(call)
    asked = Request(call, request.bucket, key, None if signed is None else signed.context, signed)
    asked.headers = _headers(fields)
    request.key, request.context, request.signed = key, asked.context, signed  # for the log
    await asked.find_bucket()
    await authorize.require(asked, "s3:PutObject")
    await admission.require_writable(asked.state, asked.name, deletes=False)
    await storing.take_turn(asked, asked.name)
    return await _store(asked, filled, policy)


async def _read(call: Call) -> Filled:
    fields: dict[str, str] = {}
    size = 0
    async for part in Form(call.header("content-type"), call.stream()):
        name = part.name.lower()
        if name == "file":
            return Filled(fields, part)
        value = await part.read(MAX_FIELDS_BYTES)
        size += len(name) + len(value)
        if size > MAX_FIELDS_BYTES:
            raise S3Error(
                "MaxPostPreDataLengthExceededError",
                "Your POST request fields preceding the upload file were too large.",
            )
        if name in fields:
            raise S3Error("InvalidArgument", f"The field {name[:60]} stands twice in the form.")
        fields[name] = value
    raise S3Error("InvalidArgument", "POST requires exactly one file upload per request.")


async def _signed(call: Call, fields: dict[str, str]) -> Signed | None:
    """None for a form without a policy: anybody's."""
    policy = fields.get("policy")
    if policy is None:
        return None
    text = policy.encode()
    state = call.runtime.state
    if "x-amz-signature" in fields:
        if fields.get("x-amz-algorithm") != V4:
            raise S3Error("InvalidArgument", f"The field x-amz-algorithm must be {V4}")
        moment = fields.get("x-amz-date", "")
        access, date, region = signature.scope_of(
            fields.get("x-amz-credential", ""), state.settings.s3_region, moment, "InvalidArgument"
        )
        key = await signature.find_key(call.runtime.needs, access)
        expected, given = (
            s3_signature.signature_4(key.signing_key(date, region), text),
            fields["x-amz-signature"],
        )
        version = 4
    elif "awsaccesskeyid" in fields and "signature" in fields:
        access, given = fields["awsaccesskeyid"], fields["signature"]
        key = await signature.find_key(call.runtime.needs, access)
        expected, version, moment = s3_signature.signature_2(key.secret, text), 2, ""
    else:
        raise S3Error("AccessDenied", "The form has a policy, but no signature of it.")
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise signature.wrong(access, given, text)
    return Signed(access, key.context, UNSIGNED, "POST", version, moment=moment)


def _headers(fields: dict[str, str]) -> dict[str, str]:
    """The fields that are headers of a PUT."""
    found = {name: value for name, value in fields.items() if name.startswith("x-amz-") or name in _PLAIN}
    for name, value in found.items():
        if not value.isprintable():
            raise S3Error("InvalidArgument", f"The field {name[:60]} can't be a header.")
        found[name] = value.encode().decode("latin-1")  # as headers are read
    if "acl" in fields:
        found["x-amz-acl"] = fields["acl"]
    if "tagging" in fields:
        tags = tagging.from_xml(fields["tagging"].encode(), tagging.MAX_OBJECT_TAGS)
        found["x-amz-tagging"] = tagging.stored(tags)
    return found


_PLAIN = (*attributes.KEPT, "content-type")


async def _store(request: Request, filled: Filled, policy: PostPolicy | None) -> Reply:
    kept = attributes.of_request(request.headers)
    announced = request.call.header("content-length") or ""
    size = int(announced) if announced.isdigit() and len(announced) < 19 else 0
    await storing.require_room(request, request.name, size)
    upload = hooks.Upload(request, request.name, _counted(filled.file, policy), None, {})
    upload.system = kept.system
    await hooks.taking(upload, "object")
    stored, told = await storing.store(request, request.name, kept, upload.body, upload.length)
    headers = {
        "etag": f'"{stored.etag}"',
        "location": f"{request.call.root_url}/s3/{request.bucket}/{quote(request.key)}",
        "last-modified": request.state.now().http,
        **told,
        **upload.headers,
    }
    return _answer(request, filled.fields, headers)


async def _counted(file: Part, policy: PostPolicy | None) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in file.chunks():
        size += len(chunk)
        if policy is not None:
            policy.check_length(size, whole=False)
        yield chunk
    if policy is not None:
        policy.check_length(size, whole=True)


ANSWERS: Mapping[int, Answer] = {
    200: NOTHING,
    201: xml.media("PostResponse"),
    204: NOTHING,
    303: NOTHING,
}


def _target(url: str) -> SplitResult | None:
    """Where a browser can be sent; what is no such URL is as good as not there."""
    if not url.startswith(("http://", "https://")) or not url.isprintable():
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _answer(request: Request, fields: dict[str, str], headers: dict[str, str]) -> Reply:
    """Where the form wants the browser to go, or the status that it wants."""
    for name in _REDIRECTS:
        parts = _target(fields.get(name, ""))
        if parts is not None:
            told = {"bucket": request.bucket, "key": request.key, "etag": headers["etag"]}
            query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *told.items()])
            return Reply(303, headers={**headers, "location": urlunsplit(parts._replace(query=query))})
    status = fields.get("success_action_status", "204")
    if status != "201":
        return Reply(200 if status == "200" else 204, headers=headers)
    reply = xml.reply(
        "PostResponse",
        [
            ("Location", headers["location"]),
            ("Bucket", request.bucket),
            ("Key", request.key),
            ("ETag", headers["etag"]),
        ],
        201,
    )
    reply.headers.update(headers)
    return reply
