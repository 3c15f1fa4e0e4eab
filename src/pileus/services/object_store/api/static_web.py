"""Containers as web sites: index pages, error pages and listings for people (Swift's documentation, "Static web")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

import msgspec

from pileus.kernel.api.call import CONTEXT_KEY, Call
from pileus.kernel.errors import ApiError
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import access, metadata, temp_url
from pileus.services.object_store.api.container import gone
from pileus.services.object_store.api.read import get_object, head_object
from pileus.services.object_store.listings import Ask, ContainerInfo
from pileus.services.object_store.name import Name, as_text
from pileus.services.object_store.state import ObjectStoreState

_INDEX, _ERROR, _LISTINGS, _CSS, _LABEL, _FOLDER = (
    f"x-container-meta-web-{each}"
    for each in ("index", "error", "listings", "listings-css", "listings-label", "directory-type")
)
_RULES = (_INDEX, _ERROR, _LISTINGS)
_TRUE = ("true", "1", "yes", "on", "t", "y")
_STYLE = (
    "h1 {font-size: 1em; font-weight: bold;} th {text-align: left; padding: 0 1em 0 1em;} "
    "td {padding: 0 1em 0 1em;} a {text-decoration: none;}"
)
Handle = Callable[[Call], Awaitable[Reply]]


def site(call: Call, info: ContainerInfo) -> Mapping[str, str] | None:
    """The container's rules, where it is a site for this caller: for nobody in particular, or whoever asks for it.

    A temporary URL opens a site where it has a prefix; else it is good for an object, and for nothing else.
    """
    if call.method not in ("GET", "HEAD"):
        return None
    if info.metadata.keys().isdisjoint(_RULES):
        return None
    if temp_url.is_signed(call) and call.arg("temp_url_prefix") is None:
        return None
    known = {"x-auth-token", "x-storage-token", "authorization"}
    if (CONTEXT_KEY in call.scope or known & call.headers.keys()) and (
        call.header("x-web-mode") or ""
    ).lower() not in _TRUE:
        return None
    return {each: as_text(value) for each, value in info.metadata.items()}


async def visit(call: Call, name: Name, rules: Mapping[str, str], handle: Handle) -> Reply:
    """What a browser gets at the path."""
    try:
        if not name.object:
            return await _folder(call, name, rules, handle)
        return await _page(call, name, rules, handle)
    except ApiError as error:
        return await _error_page(call, name, rules, error)


async def _page(call: Call, name: Name, rules: Mapping[str, str], handle: Handle) -> Reply:
    state: ObjectStoreState = call.runtime.state
    version = await state.find(name)
    if version is not None and not (version.size_bytes <= 1 and _is_folder(version.metadata, rules)):
        return await handle(call)
    if version is None:
        if temp_url.is_signed(call):
            await temp_url.require(call, name)
        else:
            await access.require(call, name, "read")
    if not (_INDEX in rules or _lists(rules)):
        if version is None:
            raise gone()
        return await handle(call)
    return await _folder(call, name, rules, handle)


def _is_folder(kept: bytes, rules: Mapping[str, str]) -> bool:
    kind = metadata.decode(kept).content_type.partition(";")[0]
    return kind == rules.get(_FOLDER, "application/directory")


def _lists(rules: Mapping[str, str]) -> bool:
    return rules.get(_LISTINGS, "").lower() in _TRUE


async def _folder(call: Call, name: Name, rules: Mapping[str, str], handle: Handle) -> Reply:
    """The folder's index, or its list; without the slash at the end the way to it."""
    state: ObjectStoreState = call.runtime.state
    if not (_INDEX in rules or _lists(rules)):
        return await handle(call)
    prefix = name.object.rstrip("/") + "/" if name.object else ""
    if temp_url.is_signed(call):  # all that is looked at below is in the folder
        await temp_url.require(call, name._replace(object=prefix))
    index = name._replace(object=prefix + rules[_INDEX]) if _INDEX in rules else None
    has_index = index is not None and await state.find(index) is not None
    if not call.path.endswith("/"):
        if name.object and not has_index and not (_lists(rules) and await _entries(state, name, prefix, 1)):
            raise gone()
        where = call.root_url + quote(str(call.scope["path"])) + "/"
        return Reply(301, b"", {"location": where, "content-type": "text/html; charset=UTF-8"})
    if index is not None and has_index:
        call.path = f"/v1/{index.path}"
        reply: Reply = await (head_object if call.method == "HEAD" else get_object)(call)
        return reply
    if not _lists(rules):
        raise gone()
    if not temp_url.is_signed(call):
        await access.require(call, name, "list")
    entries = await _entries(state, name, prefix, 10_000)
    if name.object and not entries:
        raise gone()
    body = _listing(call, name, prefix, rules, entries)
    return Reply(200, body, {"content-type": "text/html; charset=UTF-8"})


async def _entries(state: ObjectStoreState, name: Name, prefix: str, limit: int) -> list[dict[str, Any]]:
    asked = Ask(prefix=prefix, delimiter="/", limit=limit)
    body = await state.list_objects(name, asked, "json")
    found: list[dict[str, Any]] = msgspec.json.decode(body or b"[]")
    return [each for each in found if each.get("name") != prefix]


def _listing(
    call: Call, name: Name, prefix: str, rules: Mapping[str, str], entries: list[dict[str, Any]]
) -> bytes:
    label = rules.get(_LABEL, f"/v1/{name.account}/{name.container}").rstrip("/")
    title = escape(f"Listing of {label}/{prefix}")
    css = rules.get(_CSS)
    if css is None:
        style = f'<style type="text/css">{_STYLE}</style>'
    else:
        if "://" not in css and not css.startswith("/"):
            css = "../" * prefix.count("/") + quote(css)
        style = f'<link rel="stylesheet" type="text/css" href="{escape(css)}" />'
    rows = []
    query = escape(_query(call))
    if len(prefix) > len((query and call.arg("temp_url_prefix")) or ""):
        rows.append(f'<tr id="parent" class="item"><td class="colname"><a href="../{query}">../</a></td>')
        rows.append('<td class="colsize">&nbsp;</td><td class="coldate">&nbsp;</td></tr>')
    for each in entries:
        shown = (each.get("subdir") or each["name"])[len(prefix) :]
        kind, size, date = "subdir", "&nbsp;", "&nbsp;"
        if "subdir" not in each:
            main, _, sub = each["content_type"].partition(";")[0].partition("/")
            kind = " ".join(f"type-{quote(part, safe='-.+')}" for part in (main, f"{main}-{sub}"))
            size, date = _size(each["bytes"]), each["last_modified"].partition(".")[0].replace("T", " ")
        rows.append(
            f'<tr class="item {kind}"><td class="colname"><a href="./{quote(shown)}{query}">{escape(shown)}</a></td>'
            f'<td class="colsize">{size}</td><td class="coldate">{date}</td></tr>'
        )
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title>{style}</head>\n"
        f'<body><h1 id="title">{title}</h1>\n<table id="listing">\n'
        '<tr id="heading"><th class="colname">Name</th><th class="colsize">Size</th>'
        '<th class="coldate">Date</th></tr>\n' + "\n".join(rows) + "\n</table></body></html>\n"
    ).encode("utf-8", "replace")


def _query(call: Call) -> str:
    """What links need to be as good as the temporary URL that led here; nothing where none did."""
    if not temp_url.is_signed(call):
        return ""
    parts = ("temp_url_prefix", "temp_url_expires", "temp_url_sig", "temp_url_ip_range")
    given = [f"{part}={quote(value)}" for part in parts if (value := call.arg(part)) is not None]
    return "?" + "&".join([*given, *({"inline"} & call.query.keys())])


def _size(size: int) -> str:
    number = float(size)
    for unit in ("", "Ki", "Mi", "Gi"):
        if number < 1024:
            return f"{number:.0f}{unit}" if number >= 10 or not unit else f"{number:.1f}{unit}"
        number /= 1024
    return f"{number:.1f}Ti"


async def _error_page(call: Call, name: Name, rules: Mapping[str, str], error: ApiError) -> Reply:
    """The site's own page for 401 and 404, whoever may read it; else the error as it is."""
    state: ObjectStoreState = call.runtime.state
    if error.status not in (401, 404) or _ERROR not in rules:
        raise error
    page = name._replace(object=f"{error.status}{rules[_ERROR]}")
    version = await state.find(page)
    if version is None:
        raise error
    from pileus.services.object_store.api.read import open_object

    found = await open_object(state, page)
    if found is None or found.size_bytes > 1024 * 1024:
        raise error
    body = b"".join([chunk async for chunk in found.read(0, found.size_bytes)])
    return Reply(error.status, body, {"content-type": found.kept.content_type, **error.headers})
