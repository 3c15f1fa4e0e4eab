"""What the nouns of federation share."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest
from pileus.services.identity.api.common import given

PREFIX = "/OS-FEDERATION"
BY_ID = (("id", "asc"),)
Url = Annotated[str, msgspec.Meta(max_length=225, pattern=r"^[a-zA-Z0-9+.-]+:.+")]
MAX_ID = 64


def new_id(call: Call) -> str:
    """The id of the path for something that is not there yet; 400 where it can't be one."""
    wanted = call.params["id"]
    if len(wanted) > MAX_ID or "\0" in wanted:
        raise BadRequest(f"An id has at most {MAX_ID} characters, none of them NUL.")
    return wanted


def some(body: Any) -> dict[str, Any]:
    """The attributes that an update sets; 400 where there are none."""
    values = given(body)
    if not values:
        raise BadRequest("The body changes nothing: name at least one attribute.")
    return values
