"""What can be asked over the wire, taken from the annotations of a Protocol class.

A function that is `async` or returns a future is a call, one that returns `AsyncIterator[T]` a stream out, one that
returns something with `write`, `finish` and `abort` a stream in; so is a call of which the last argument is an
`AsyncIterator[bytes]`. Values are what msgspec can encode; they are checked when they arrive.
"""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import typing
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from pileus.drivers.object.wire.frame import MAX_FRAME
from pileus.services.object_store.driver import DeviceError

encode = msgspec.msgpack.Encoder().encode


class Shape(Enum):
    CALL = "call"
    OUT = "stream out"
    IN = "stream in"
    FED = "call with a stream in"


class Verb(NamedTuple):
    name: str
    shape: Shape
    bind: Callable[..., list[Any]]
    """Arguments as given, in the order in which they are declared."""
    decode_arguments: Callable[[bytes], Any]
    decode_result: Callable[[bytes], Any]
    """Of a call its result, of a stream out one of its values, of a stream in what `finish` gives."""
    keywords: tuple[str, ...] = ()
    """The last arguments, where they must be named."""
    of_bytes: bool = False
    """Whether a stream out is made of bytes."""
    finish: Verb | None = None
    is_slow: bool = False
    """A call that may take minutes."""
    begins: bool = False
    """A call that has begun when the function returns, as its future says."""

    def call(self, method: Callable[..., Any], arguments: Sequence[Any], *more: Any) -> Any:
        """With the arguments as `decode_arguments` gives them, and then `more`."""
        if not self.keywords:
            return method(*arguments, *more)
        many = len(arguments) - len(self.keywords)
        named = dict(zip(self.keywords, arguments[many:], strict=True))
        return method(*arguments[:many], *more, **named)


class Call(msgspec.Struct, array_like=True):
    """The payload of a CALL."""

    target: str
    verb: str
    arguments: msgspec.Raw


def encode_call(target: str, verb: Verb, arguments: list[Any]) -> bytes:
    payload = encode(Call(target, verb.name, msgspec.Raw(encode(arguments))))
    if len(payload) > MAX_FRAME:
        raise DeviceError(f"a call of {len(payload)} bytes: at most {MAX_FRAME} go over the wire at once")
    return payload


class Interface(dict[str, Verb]):
    """The verbs of a Protocol class by name, but for those that are `local` to a process.

    Raises TypeError where one can't cross a wire.
    """

    def __init__(self, protocol: type, *, local: Collection[str] = (), slow: Collection[str] = ()) -> None:
        super().__init__()
        for name, function in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_") and name not in local:
                self[name] = _verb(name, function)._replace(is_slow=name in slow)


def _verb(name: str, function: Callable[..., Any]) -> Verb:
    hints = typing.get_type_hints(function)
    result = hints.get("return", Any)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    types = [hints[each.name] for each in parameters]
    origin = typing.get_origin(result)
    begins = origin in (asyncio.Future, collections.abc.Awaitable)
    if begins or origin is collections.abc.AsyncIterator:
        (value,) = typing.get_args(result)
    elif inspect.iscoroutinefunction(function):
        if types and typing.get_origin(types[-1]) is collections.abc.AsyncIterator:
            return _made(name, Shape.FED, parameters[:-1], types[:-1], result)
        value = result
    elif all(hasattr(result, each) for each in ("write", "finish", "abort")):
        finish = _verb("finish", result.finish)
        verb = _made(name, Shape.IN, parameters, types, Any)
        return verb._replace(finish=finish, decode_result=finish.decode_result)
    else:
        raise TypeError(f"{name} can't cross a wire: it is neither a call nor a stream")
    if origin is collections.abc.AsyncIterator:
        return _made(name, Shape.OUT, parameters, types, value)._replace(of_bytes=value is bytes)
    return _made(name, Shape.CALL, parameters, types, value)._replace(begins=begins)


def _made(name: str, shape: Shape, parameters: list[inspect.Parameter], types: list[Any], value: Any) -> Verb:
    arguments: Any = tuple[tuple(types)] if types else tuple[()]  # type: ignore[misc]  # made at run time
    try:
        decode_arguments = msgspec.msgpack.Decoder(arguments).decode
        decode_result = msgspec.msgpack.Decoder(value).decode
    except TypeError as error:
        raise TypeError(f"{name} can't cross a wire: {error}") from error
    keywords = tuple(each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY)
    return Verb(name, shape, _binder(parameters), decode_arguments, decode_result, keywords)


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
