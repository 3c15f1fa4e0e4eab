"""What an operation answers, as its description says it. Nothing is checked by it when a call is answered; the tests
hold what is answered to it.

What a handler's own return type tells needs no more words: a struct is the answer's shape, a row is the operation's
resource, None is no content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import Row

if TYPE_CHECKING:
    from pileus.kernel.api.operation import Operation


@dataclass(frozen=True)
class Media:
    """Something else than this API's JSON."""

    type: str
    schema: Mapping[str, Any] | None = None
    """What is known of it, where it is JSON by another name, or XML."""
    shape: Any = None
    """The struct that is in it, where it is one."""


class _Nothing:
    """No content."""


NOTHING = _Nothing()
OCTETS = Media("application/octet-stream")
PAGE = Media("text/html")
WHATEVER = Media("*/*")
"""What somebody has stored, of the type that they said then."""

Answer: TypeAlias = Any
"""One of: a Resource; a list of one, for all of a kind; a type, for the whole JSON; Media; NOTHING; or a tuple of
these, any of which it may be: by the client's `Accept`, or by what there is to show."""
_NO_CONTENT = frozenset({204, 205, 304})


def answers(operation: Operation) -> dict[int, Answer]:
    """By status. None is what nobody has declared."""
    return {operation.status: _declared(operation), **operation.also}


def _declared(operation: Operation) -> Answer:
    from pileus.kernel.api.operation import Kind

    if operation.method == "HEAD" or operation.status in _NO_CONTENT:
        return NOTHING
    if operation.answers is not None:
        return operation.answers
    returned = _returned(operation.handler)
    if returned is NoneType:
        return NOTHING
    if _is_shape(returned):
        return returned
    if get_origin(returned) is UnionType and all(map(_is_shape, get_args(returned))):
        return get_args(returned)
    resource = operation.resource
    if get_origin(returned) is Row:
        return resource
    if resource is None or operation.kind in (Kind.DELETE, Kind.ACTION, Kind.ROUTE):
        return None
    if operation.kind.has_row and operation.path != resource.member_path():
        return None
    return [resource] if operation.kind is Kind.LIST else resource


def _returned(handler: Callable[..., Any]) -> Any:
    """A handler's return type. Of its parameters' types nothing is asked: modules import some for type checkers only."""
    told = {"return": handler.__annotations__.get("return", Any)}
    return get_type_hints(SimpleNamespace(__annotations__=told), handler.__globals__)["return"]


def _is_shape(kind: Any) -> bool:
    """Whether a type says all of what is in the JSON: a struct, or lists and mappings of such, or of plain values."""
    if get_origin(kind) in (list, dict):
        return all(map(_is_shape, get_args(kind)))
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct | str | int)
