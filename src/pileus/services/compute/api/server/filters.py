"""What lists of servers can be narrowed by. Source: the API reference, "List Servers", query parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, and_, cast, false, literal, not_, or_

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.filters import read_time
from pileus.kernel.api.versions import Version
from pileus.kernel.errors import BadRequest
from pileus.services.compute import domain
from pileus.services.compute.api.types import read_int
from pileus.services.compute.model import servers
from pileus.services.compute.versions import V

Clause = ColumnElement[bool] | None
Filter = Callable[[Call, list[str]], Clause]

ALL_FILTERS = "os_compute_api:servers:allow_all_filters"
_SPECIAL = re.compile(r"[\[\](){}+?|\\*^$]")
_NESTED = re.compile(r"[+*}]\)?[^|)]*\)[+*{?]")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def matching(column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """`column` has a part that the regular expression `pattern` describes; 400 where it makes no sense.

    Plain ones become LIKE, which needs no regular expressions; one that could take for ever is refused.
    """
    start, end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    body = pattern[1 if start else 0 : len(pattern) - 1 if end else None]
    pieces = body.split(".*")
    if not any(_SPECIAL.search(piece) for piece in pieces):
        like = "%".join(_escaped(piece).replace(".", "_") for piece in pieces)
        return column.like(("" if start else "%") + like + ("" if end else "%"), escape="\\")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRequest(f"Invalid regular expression {pattern!r}: {error}.") from error
    if len(pattern) > 255 or _NESTED.search(pattern):
        raise BadRequest(f"The regular expression {pattern!r} is too costly: repeat no group that repeats.")
    return column.regexp_match(pattern)


def _regex(column: ColumnElement[str]) -> Filter:
    return lambda call, values: matching(column, values[-1])


def _equals(column: ColumnElement[Any], read: Callable[[str, str], Any] = lambda name, text: text) -> Filter:
    return lambda call, values: column == read(column.name, values[-1])


def _restricted(plain: Filter, since: Version | None = None) -> Filter:
    """For administrators, and for all from a version on. Others' is ignored, as upstream does."""

    def clause(call: Call, values: list[str]) -> Clause:
        if (since is not None and call.has(since)) or call.allows(ALL_FILTERS):
            return plain(call, values)
        return None

    return clause


def _since(since: Version, plain: Filter) -> Filter:
    def clause(call: Call, values: list[str]) -> Clause:
        return plain(call, values) if call.has(since) else None

    return clause


def _status(call: Call, values: list[str]) -> Clause:
    clauses = []
    for value in values:
        status = value.upper()
        if status not in domain.KNOWN_STATUSES:
            if call.has(V.STRICT_STATUS_FILTER):
                raise BadRequest(f"Invalid status value {value!r}.")
            continue
        for vm_state, tasks, others in domain.states_of(status):
            task = servers.c.task_state
            within = task.in_(tasks) if not others else or_(task.is_(None), task.not_in(tasks))
            clauses.append(
                and_(servers.c.vm_state == vm_state, within) if tasks else servers.c.vm_state == vm_state
            )
    return or_(*clauses) if clauses else false()


def _changes_since(call: Call, values: list[str]) -> Clause:
    return servers.c.updated_at >= read_time("changes-since", values[-1])


def _changes_before(call: Call, values: list[str]) -> Clause:
    if not call.has(V.CHANGES_BEFORE):
        return None
    before = read_time("changes-before", values[-1])
    since = call.arg("changes-since")
    if since is not None and read_time("changes-since", since) > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return servers.c.updated_at <= before


def _address(version: int) -> Filter:
    def clause(call: Call, values: list[str]) -> Clause:
        text = values[-1].removeprefix("^")
        pattern = f'%"version":{version},"addr":"{_escaped(text.removesuffix("$"))}'
        return _like(servers.c.addresses, pattern + ('"%' if text.endswith("$") else "%"))

    return clause


def _like(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """On the text of a JSON column."""
    return cast(column, Text).like(literal(pattern, Text), escape="\\")


def _has_tag(tag: str) -> ColumnElement[bool]:
    return _contains(servers.c.tags, msgspec.json.encode(tag).decode())


def _contains(column: ColumnElement[Any], piece: str) -> ColumnElement[bool]:
    return _like(column, f"%{_escaped(piece)}%")


def _tags(join: Callable[..., ColumnElement[bool]], *, negate: bool = False) -> Filter:
    def clause(call: Call, values: list[str]) -> Clause:
        if not call.has(V.SERVER_TAGS):
            return None
        found = join(*(_has_tag(tag) for value in values for tag in value.split(",")))
        return not_(found) if negate else found

    return clause


def _metadata(call: Call, values: list[str]) -> Clause:
    """`metadata={"name": "value"}`, as often as wanted; all must be there."""
    clauses = []
    for value in values:
        try:
            wanted = msgspec.json.decode(value, type=dict[str, str])
        except msgspec.MsgspecError as error:
            raise BadRequest(f"Invalid metadata filter {value!r}: {error}.") from error
        for name, text in wanted.items():
            clauses.append(_contains(servers.c.metadata, f"{_json(name)}:{_json(text)}"))
    return and_(*clauses) if clauses else None


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _locked(call: Call, values: list[str]) -> Clause:
    if not call.has(V.LOCKED_REASON):
        return None
    column = servers.c.locked_by
    return column.is_not(None) if read_bool("locked", values[-1]) else column.is_(None)


def _project(call: Call, values: list[str]) -> Clause:
    """Only together with all_tenants; without, the caller's own project holds."""
    return servers.c.project_id == values[-1] if "all_tenants" in call.query else None


def _config_drive(call: Call, values: list[str]) -> Clause:
    return servers.c.config_drive.is_(read_bool("config_drive", values[-1] or "false"))


def _task_state(call: Call, values: list[str]) -> Clause:
    return servers.c.task_state == values[-1] if values[-1] else servers.c.task_state.is_(None)


def _moment(column: ColumnElement[Any]) -> Filter:
    return lambda call, values: column == read_time(column.name, values[-1])


def _ignored(call: Call, values: list[str]) -> Clause:
    return None


FILTERS: dict[str, Filter] = {
    "name": _regex(servers.c.name),
    "status": _status,
    "image": lambda call, values: servers.c.image_id == values[-1].rpartition("/")[2],
    "flavor": lambda call, values: servers.c.flavor_id == values[-1].rpartition("/")[2],
    "reservation_id": _equals(servers.c.reservation_id),
    "changes-since": _changes_since,
    "changes-before": _changes_before,
    "ip": _address(4),
    "ip6": lambda call, values: (
        _address(6)(call, values) if call.has(V.IP6_FILTER) or call.context.is_admin else None
    ),
    "tags": _tags(and_),
    "tags-any": _tags(or_),
    "not-tags": _tags(and_, negate=True),
    "not-tags-any": _tags(or_, negate=True),
    "metadata": _metadata,
    "locked": _locked,
    "deleted": _ignored,  # `Server.listed` reads it
    "user_id": _restricted(_equals(servers.c.user_id), V.MORE_FILTERS),
    "key_name": _restricted(_equals(servers.c.key_name), V.MORE_FILTERS),
    "vm_state": _restricted(_equals(servers.c.vm_state), V.MORE_FILTERS),
    "task_state": _restricted(_task_state, V.MORE_FILTERS),
    "power_state": _restricted(_equals(servers.c.power_state, read_int), V.MORE_FILTERS),
    "availability_zone": _restricted(_equals(servers.c.availability_zone), V.MORE_FILTERS),
    "config_drive": _restricted(_config_drive, V.MORE_FILTERS),
    "created_at": _restricted(_moment(servers.c.created_at), V.MORE_FILTERS),
    "launched_at": _restricted(_moment(servers.c.launched_at), V.MORE_FILTERS),
    "terminated_at": _restricted(_moment(servers.c.deleted_at), V.MORE_FILTERS),
    "progress": _restricted(_ignored, V.MORE_FILTERS),
    "project_id": _restricted(_project),
    "tenant_id": _restricted(_project),
    "uuid": _restricted(_equals(servers.c.id)),
    "host": _restricted(_equals(servers.c.host)),
    "node": _restricted(_equals(servers.c.host)),
    "hostname": _restricted(_equals(servers.c.hostname)),
    "description": _restricted(_regex(servers.c.description)),
    "access_ip_v4": _restricted(_equals(servers.c.access_ip_v4)),
    "access_ip_v6": _restricted(_equals(servers.c.access_ip_v6)),
    "auto_disk_config": _restricted(_equals(servers.c.disk_config)),
    "launch_index": _restricted(_equals(servers.c.launch_index, read_int)),
    "root_device_name": _restricted(_ignored),
    "kernel_id": _restricted(_ignored),
    "ramdisk_id": _restricted(_ignored),
    "locked_by": _restricted(_equals(servers.c.locked_by)),
    "soft_deleted": _restricted(_ignored),
}
