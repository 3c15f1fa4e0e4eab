"""What goes over a connection: length, request number, kind; then so many bytes."""

from __future__ import annotations

import struct
from enum import IntEnum

PREFIX = struct.Struct(">IIB")
PREFIX_BYTES = PREFIX.size
MAX_FRAME = 8 * 1024 * 1024
"""Of a call or an answer. What is longer comes as a stream."""


class Kind(IntEnum):
    CALL = 1
    """To the server: target, verb, arguments."""
    RESULT = 2
    """The answer to a call; ends a stream in."""
    ERROR = 3
    """In place of a result, or in the midst of a stream."""
    DATA = 4
    """Bytes of a stream, in either direction; handed on as they come."""
    ITEM = 5
    """One value of a stream out that is not made of bytes."""
    END = 6
    """A stream out is whole."""
    FINISH = 7
    """A stream in is whole; the arguments of `finish`."""
    ABORT = 8
    """A stream in is given up."""
    PING = 9
    PONG = 10
