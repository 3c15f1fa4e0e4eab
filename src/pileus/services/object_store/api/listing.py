"""Parts of lists, as the query asks for them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kernel.api.answer import Answer, Media
from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest, NotAcceptable, PreconditionFailed
from pileus.kernel.http.reply import JSON, Reply
from pileus.services.object_store.listings import Ask, Form

LIMIT = 10_000
PLAIN, XML = Media("text/plain"), Media("application/xml")
MEDIA_TYPES: dict[Form, str] = {
    "plain": "text/plain; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
}
_NAMED: dict[str, Form] = {"plain": "plain", "json": "json", "xml": "xml"}
_FORMS: dict[str, Form] = {
    "text/plain": "plain",
    "application/json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/*": "plain",
    "application/*": "json",
    "*/*": "plain",
}


class ContainerEntry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int
    bytes: int
    last_modified: str
    storage_policy: str | UnsetType = UNSET


class ObjectEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a symlink leads to, and the version's id, only where it is one, or versions are listed."""

    name: str
    hash: str
    bytes: int
    content_type: str
    last_modified: str
    slo_etag: str | UnsetType = UNSET
    symlink_path: str | UnsetType = UNSET
    symlink_etag: str | UnsetType = UNSET
    symlink_bytes: int | UnsetType = UNSET
    version_id: str | UnsetType = UNSET
    is_latest: bool | UnsetType = UNSET


class Subdir(msgspec.Struct, forbid_unknown_fields=True):
    """Names that go on after the delimiter, as one."""

    subdir: str


def forms(entry: type[msgspec.Struct]) -> Answer:
    """A list of such entries, or of what they are folded into, in the form that the client wants."""
    _, shapes = msgspec.json.schema_components((entry, Subdir))
    return PLAIN, Media(JSON, {"type": "array", "items": {"anyOf": list(shapes.values())}}), XML


def form(call: Call) -> Form:
    """From `format`, else from `Accept`. 406 where the client takes none."""
    named = (call.arg("format") or "").lower()
    if named in _NAMED:
        return _NAMED[named]
    accepted = call.header("accept")
    if not accepted or named:
        return "plain"
    weighed: list[tuple[float, int, str]] = []
    for place, entry in enumerate(accepted.split(",")):
        kind, *parameters = (each.strip().lower() for each in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if "/" not in kind:
            raise BadRequest("Invalid Accept header")
        weighed.append((-weight, place, kind))
    for weight, _, kind in sorted(weighed):
        if kind in _FORMS and weight < 0:
            return _FORMS[kind]
    raise NotAcceptable(f"Lists come as {', '.join(_FORMS)}.")


def require_json(call: Call) -> None:
    """406 where the client does not take JSON: for lists that have no other form."""
    if named := call.arg("format"):
        is_taken = named.lower() == "json"
    else:
        accepted = (call.header("accept") or "*/*").lower().split(",")
        kinds = {each.partition(";")[0].strip() for each in accepted}
        is_taken = not kinds.isdisjoint({JSON, "application/*", "*/*"})
    if not is_taken:
        raise NotAcceptable("This list comes as application/json.")


def ask(call: Call) -> Ask:
    """412 where the limit is none, or above what is allowed."""
    limit = call.arg("limit")
    if limit and not (limit.isascii() and limit.isdigit() and int(limit[:9]) <= LIMIT):
        if limit.isascii() and limit.isdigit():
            raise PreconditionFailed(f"Maximum limit is {LIMIT}")
        limit = None
    values = {name: call.arg(name) or "" for name in ("marker", "end_marker", "prefix", "delimiter")}
    for name, value in (*values.items(), ("path", call.arg("path") or "")):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PreconditionFailed(f"Parameter {name!r} is not valid UTF-8") from None
    return Ask(
        limit=int(limit) if limit else LIMIT,
        marker=values["marker"],
        end_marker=values["end_marker"],
        prefix=values["prefix"],
        delimiter=values["delimiter"],
        path=call.arg("path"),
        reverse=(call.arg("reverse") or "").lower() in ("1", "t", "true", "yes", "on", "y"),
    )


def answer(body: bytes, shape: Form, headers: dict[str, str]) -> Reply:
    """An empty plain list has no content."""
    headers["content-type"] = MEDIA_TYPES[shape]
    if shape == "plain" and not body:
        return Reply(204, headers=headers)
    return Reply(200, body, headers)
