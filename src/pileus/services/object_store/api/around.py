"""What is seen to before and after every operation of Swift's API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from pileus.kernel.api.call import Call
from pileus.kernel.errors import ApiError, Unavailable
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import admission, etags, remap
from pileus.services.object_store.api import bulk_delete, bulk_upload, cors, form_post, static_web
from pileus.services.object_store.driver import DeviceError, DeviceFull
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.rate_limit import TooFast
from pileus.services.object_store.receive import InsufficientStorage
from pileus.services.object_store.state import ObjectStoreState

Handle = Callable[[Call], Awaitable[Reply]]
_WRITES = ("PUT", "POST", "DELETE", "COPY")


async def around(call: Call, handle: Handle) -> Reply:
    """Sites' and forms' requests, rates, locks, and headers that any answer gets."""
    state: ObjectStoreState = call.runtime.state
    if state.settings.storage_domains and (path := remap.path(call.scope, state.settings)) is not None:
        call.path = path
    if not call.path.startswith("/v1/"):
        return await handle(call)
    name = parse(call.path)
    admission.check_characters(call.path, state)
    try:
        reply = await _handle(call, name, handle, state)
    except DeviceFull as error:
        raise InsufficientStorage("There is no room for more on the disk.") from error
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    except ApiError as error:
        if error.status == 401:
            error.headers.setdefault("www-authenticate", f'Swift realm="{quote(name.account)}"')
        if "origin" in call.headers:
            await cors.add_headers(call, name, error.headers)
        raise
    if "origin" in call.headers:
        await cors.add_headers(call, name, reply.headers)
    return reply


async def _handle(call: Call, name: Name, handle: Handle, state: ObjectStoreState) -> Reply:
    if call.method in _WRITES:
        await admission.require_writable(state, name, deletes=call.method == "DELETE")
        if name.object or (name.container and call.method in ("PUT", "DELETE")):
            try:
                await admission.wait_for_turn(state, name)
            except TooFast:
                return Reply(498, b"Slow down", {"content-type": "text/plain"})
        if call.scope["query_string"]:
            if "bulk-delete" in call.query and call.method in ("POST", "DELETE"):
                return await bulk_delete.bulk_delete(call, name.account)
            if "extract-archive" in call.query and call.method == "PUT":
                return await bulk_upload.extract_archive(call, name)
        if name.container and form_post.is_form(call):
            return await form_post.post_form(call, name)
        return await handle(call)
    info = await state.container(name.account, name.container) if name.container else None
    rules = None if info is None else static_web.site(call, info)
    reply = await (handle(call) if rules is None else static_web.visit(call, name, rules, handle))
    etag = reply.headers.get("etag", '"') if name.object else '"'
    if not etag.startswith('"') and await etags.are_quoted(state, name, info):
        reply.headers["etag"] = f'"{etag}"'
    return reply
