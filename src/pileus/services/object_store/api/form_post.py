"""Files that a browser uploads from a form which somebody with the account's key has signed (Swift's documentation, "FormPost")."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from html import escape
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, BadRequest, TooLarge, Unauthorized
from pileus.kernel.http.reason import reason
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import temp_url, versions
from pileus.services.object_store.api import write
from pileus.services.object_store.api.container import gone
from pileus.services.object_store.forms import Form, Part
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name, check_object
from pileus.services.object_store.state import ObjectStoreState

MAX_VALUE = 4096
MAX_FIELDS = 100
_CARRIED = ("x-delete-at", "x-delete-after", "content-type", "content-encoding")
"""Fields that become headers of each file."""


def is_form(call: Call) -> bool:
    kind = (call.header("content-type") or "").partition(";")[0].strip().lower()
    return call.method == "POST" and kind == "multipart/form-data"


async def post_form(call: Call, name: Name) -> Reply:
    """Each file becomes an object whose name is the path's and then the file's own. Fields come before files."""
    fields: dict[str, str] = {}
    count = 0
    try:
        async for part in Form(call.header("content-type"), call.stream()):
            if part.filename is None:
                if len(fields) >= MAX_FIELDS:
                    raise BadRequest("The form has too many fields.")
                value = await part.read(MAX_VALUE)
                if not count:  # what comes behind a file was not there when it was looked at
                    fields[part.name.lower().replace("_", "-")] = value.strip()
                continue
            if not part.filename:
                continue  # a file that the user did not choose
            if count == 0:
                await _require_signature(call, name, fields)
            count += 1
            if count > _number(fields, "max-file-count"):
                raise BadRequest("max_file_count exceeded")
            await _store(call, name, fields, part)
        if count == 0:
            await _require_signature(call, name, fields)
            raise BadRequest("no files to process")
    except ApiError as error:
        return _answer(fields, error.status, f"FormPost: {error.message}")
    return _answer(fields, 201, "")


async def _require_signature(call: Call, name: Name, fields: dict[str, str]) -> None:
    """401 where nobody with a key has signed these fields, or the time is over."""
    state: ObjectStoreState = call.runtime.state
    expires = _number(fields, "expires")
    if expires < call.runtime.clock.now().timestamp():
        raise Unauthorized("Form Expired")
    kind, given = temp_url.digest(fields.get("signature", ""), Unauthorized("Invalid Signature"))
    signed = (
        call.path,
        fields.get("redirect", ""),
        fields.get("max-file-size", "0"),
        fields.get("max-file-count", "0"),
        fields.get("expires", "0"),
    )
    text = "\n".join(signed).encode("utf-8", "replace")
    for key in await temp_url.keys(state, name):
        if hmac.compare_digest(hmac.new(key, text, kind).digest(), given):
            return
    raise Unauthorized("Invalid Signature")


def _number(fields: dict[str, str], field: str) -> int:
    text = fields.get(field, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(f"{field.replace('-', '_')} not an integer" if text else f"{field} is missing")
    return int(text)


async def _store(call: Call, name: Name, fields: dict[str, str], part: Part) -> None:
    state: ObjectStoreState = call.runtime.state
    target = name._replace(object=name.object + (part.filename or ""))
    if "\0" in target.object:
        raise BadRequest("The file's name has a NUL character.")
    check_object(target.object)
    info = await state.container(name.account, name.container)
    if info is None:
        raise gone()
    await write.check_quota(state, target, info, None)
    headers = {each: fields[each] for each in _CARRIED if fields.get(each)}
    now = state.now()
    kept = ObjectMetadata(
        content_type=part.content_type or headers.get("content-type") or "application/octet-stream",
        etag="",
        headers=write.kept_from(headers, now),
    )
    await versions.keep(state, target, info.metadata)
    body = _limited(part.chunks(), _number(fields, "max-file-size"))
    await write.store(state, target, now, kept, body, None)


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLarge("max_file_size exceeded")
        yield chunk


def _answer(fields: dict[str, str], status: int, message: str) -> Reply:
    """Back to the page that the form names, else a page of our own."""
    redirect = fields.get("redirect", "")
    phrase = reason(status)
    if not redirect:
        page = f"<html><h1>{phrase}</h1><p>{escape(message or phrase)}</p></html>"
        return Reply(status, page.encode("utf-8", "replace"), {"content-type": "text/html; charset=UTF-8"})
    told = urlencode({"status": status, "message": message}, errors="replace")
    try:
        parts = urlsplit(redirect)
        where = urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, told)))))
    except ValueError:
        return Reply(400, b"The form's redirect is no address.", {"content-type": "text/plain"})
    where = quote(where, safe="%/:?#[]@!$&'()*+,;=~-._")
    page = f'<html><body><p><a href="{escape(where)}">Click to continue...</a></p></body></html>'
    return Reply(303, page.encode(), {"content-type": "text/html; charset=UTF-8", "location": where})
