"""What values in bodies may look like. Source: the API reference's request parameters."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from pileus.kernel.api.call import read_bool
from pileus.kernel.errors import BadRequest

_VISIBLE = r"[^\s\x00-\x1f\x7f]"
_ANY = r"[^\x00-\x1f\x7f]"

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=rf"^{_VISIBLE}({_ANY}*{_VISIBLE})?\Z")
]
"""Printable, without blanks around it."""
Description: TypeAlias = Annotated[str, Meta(max_length=255, pattern=rf"^({_ANY}|[\r\n\t])*\Z")]
LongText: TypeAlias = Annotated[str, Meta(max_length=65535, pattern=rf"^({_ANY}|[\r\n\t])*\Z")]
FlavorId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[a-zA-Z0-9. _-]+(?<! )\Z")
]
Text255: TypeAlias = Annotated[str, Meta(max_length=255)]
Id255: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Uuid: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\Z")]
ProjectId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-]*\Z")]
Hostname: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-._]*\Z")]
Metadata: TypeAlias = dict[Annotated[str, Meta(min_length=1, max_length=255)], Text255]
MetadataKey: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-_:. ]{1,255}\Z")
]
Tag: TypeAlias = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*\Z")]
Bool: TypeAlias = bool | str
"""A boolean or its name; `read_bool` makes sense of it."""
Int32 = 2**31 - 1
PositiveInt: TypeAlias = Annotated[int, Meta(ge=1, le=Int32)]
NaturalInt: TypeAlias = Annotated[int, Meta(ge=0, le=Int32)]


def truth(name: str, value: bool | str) -> bool:
    """A boolean of a body, however it is spelt; 400 where it is none."""
    return value if isinstance(value, bool) else read_bool(name, value)


def read_int(name: str, value: str) -> int:
    """A whole number of a query; 400 where it is none."""
    try:
        return max(-Int32, min(int(value), Int32))
    except ValueError as error:
        raise BadRequest(f"Invalid {name} filter [{value}]: it must be a whole number.") from error
