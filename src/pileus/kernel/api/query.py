"""Query parameters that an operation declares: unknown names and bad values are a 400 that says which."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.kernel.api.versions import Version
from pileus.kernel.errors import BadRequest

if TYPE_CHECKING:
    from pileus.kernel.api.call import Call


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, or with `suffix` a family of them: `resources` and `_NET` make `resources_NET`."""

    name: str
    type: Any = str
    """What its text must convert to; handlers read the text itself (`call.arg`)."""
    required: bool = False
    since: Version | None = None
    suffix: str | None = None
    """A pattern of what may follow the name."""

    def alive(self, version: Version | None) -> bool:
        """Whether clients of this version know the parameter."""
        return version is None or self.since is None or version >= self.since

    def matches(self, name: str) -> bool:
        if self.suffix is None:
            return name == self.name
        return name.startswith(self.name) and re.fullmatch(self.suffix, name[len(self.name) :]) is not None


def check(call: Call, params: Sequence[Param]) -> None:
    """400 for names that none of `params` has, values that are none of its type, and what is missing."""
    known = [param for param in params if param.alive(call.version)]
    unknown = []
    for name, values in call.query.items():
        param = next((each for each in known if each.matches(name)), None)
        if param is None:
            unknown.append(name)
            continue
        for problem in _problems(param, values):
            raise BadRequest(
                f"Invalid query string parameters: Invalid input for query parameter {name}. {problem}."
            )
    if unknown:
        words = call.runtime.service.dialect.unknown_fields(unknown)
        raise BadRequest(f"Invalid query string parameters: {words}")
    for param in known:
        if param.required and param.name not in call.query:
            raise BadRequest(f"Invalid query string parameters: {param.name!r} is a required property")


def _problems(param: Param, values: list[str]) -> Iterator[str]:
    if param.type is str:
        return
    for value in values:
        try:
            msgspec.convert(value, param.type, strict=False)
        except msgspec.ValidationError as error:
            yield str(error).replace("`", "")
