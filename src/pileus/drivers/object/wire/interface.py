"""What can be asked over the wire, taken from the annotations of a Protocol class.

`async def` with values in and out is a call, a function that returns `AsyncIterator[T]` a stream out, one that returns
something with `write`, `finish` and `abort` a stream in. Values are what msgspec can encode; they are checked when they
arrive.
"""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import msgspec

encode = msgspec.msgpack.Encoder().encode


class Shape(Enum):
    CALL = "call"
    OUT = "stream out"
    IN = "stream in"


class Verb(NamedTuple):
    name: str
    shape: Shape
    bind: Callable[..., list[Any]]
    """Arguments as given, in the order in which they are declared."""
    decode_arguments: Callable[[bytes], Any]
    decode_result: Callable[[bytes], Any]
    """Of a call its result, of a stream out one of its values, of a stream in what `finish` gives."""
    of_bytes: bool = False
    """Whether a stream out is made of bytes."""
    finish: Verb | None = None


class Call(msgspec.Struct, array_like=True):
    """The payload of a CALL."""

    target: str
    verb: str
    arguments: msgspec.Raw


class Interface(dict[str, Verb]):
    """The verbs of a Protocol class by name. Raises TypeError where one can't cross a wire."""

    def __init__(self, protocol: type) -> None:
        super().__init__()
        self.protocol = protocol
        for name, function in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                self[name] = _verb(name, function)


@cache
def interface(protocol: type) -> Interface:
    return Interface(protocol)


def _verb(name: str, function: Callable[..., Any]) -> Verb:
    hints = typing.get_type_hints(function)
    result = hints.get("return", Any)
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    types = [hints[each.name] for each in parameters]
    try:
        arguments: Any = tuple[tuple(types)] if types else tuple[()]
        decode_arguments = msgspec.msgpack.Decoder(arguments).decode
        if inspect.iscoroutinefunction(function):
            return Verb(
                name, Shape.CALL, _binder(parameters), decode_arguments, msgspec.msgpack.Decoder(result).decode
            )
        if typing.get_origin(result) is collections.abc.AsyncIterator:
            (item,) = typing.get_args(result)
            decode = msgspec.msgpack.Decoder(item).decode
            return Verb(name, Shape.OUT, _binder(parameters), decode_arguments, decode, of_bytes=item is bytes)
    except TypeError as error:
        raise TypeError(f"{name} can't cross a wire: {error}") from error
    if all(hasattr(result, each) for each in ("write", "finish", "abort")):
        finish = _verb("finish", result.finish)
        return Verb(
            name, Shape.IN, _binder(parameters), decode_arguments, finish.decode_result, finish=finish
        )
    raise TypeError(f"{name} can't cross a wire: it is neither a call nor a stream")


def _binder(parameters: list[inspect.Parameter]) -> Callable[..., list[Any]]:
    names = [each.name for each in parameters]
    defaults = {each.name: each.default for each in parameters}

    def bind(*values: Any, **named: Any) -> list[Any]:
        if not named and len(values) == len(names):
            return list(values)
        given = dict(zip(names, values, strict=False))
        if len(values) > len(names) or named.keys() & given.keys() or named.keys() - defaults.keys():
            raise TypeError(f"the arguments are ({', '.join(names)})")
        merged = {**defaults, **given, **named}
        if inspect.Parameter.empty in merged.values():
            raise TypeError(f"the arguments are ({', '.join(names)})")
        return [merged[name] for name in names]

    return bind
