"""Access rules of application credentials: calls that a token is good for, whatever its roles allow beyond.

A rule names a service type, a method and a path. In the path `*` stands for one segment, `**` for any number, and
`{anything}` for one segment (Identity API v3, "Application credentials"; matched as keystonemiddleware does).
"""

from __future__ import annotations

import re
from functools import lru_cache

from pileus.kernel.api.call import Call
from pileus.kernel.context import AccessRule
from pileus.kernel.errors import Unauthorized

_PARTS = re.compile(r"\{[^}]*\}|\*\*|\*|[^{*]+|.", re.DOTALL)


@lru_cache(maxsize=1024)
def _parts(rule: str) -> tuple[str, ...]:
    return tuple(_PARTS.findall(rule))


def _matches(rule: str, path: str) -> bool:
    """By all the places that each part of the rule may end at. A regular expression would try them one after the
    other, and a user could write a rule that takes it hours."""
    places = {0}
    for part in _parts(rule):
        if part == "**":
            places = set(range(min(places), len(path) + 1))
        elif part == "*" or (part.startswith("{") and part.endswith("}")):
            places = _within_segments(path, places)
        else:
            places = {each + len(part) for each in places if path.startswith(part, each)}
        if not places:
            return False
    return len(path) in places


def _within_segments(path: str, places: set[int]) -> set[int]:
    """One character or more on from any of the places, up to the next slash."""
    found: set[int] = set()
    end = -1
    for place in sorted(places):
        if place > end:
            end = path.find("/", place)
            end = len(path) if end < 0 else end
            found.update(range(place + 1, end + 1))
    return found


def permits(rules: tuple[AccessRule, ...], types: tuple[str, ...], root: str, method: str, path: str) -> bool:
    """Whether one of the rules covers the call. Paths may be written as the service has them, or with the place
    (`root`) at which this cloud serves it."""
    paths = (path, path.removeprefix(root))
    return any(
        rule.service in types and rule.method == method and any(_matches(rule.path, each) for each in paths)
        for rule in rules
    )


def check(call: Call) -> None:
    """401 for a call that the token's access rules, where it has some, do not cover."""
    rules = call.context.access_rules
    if rules is None:
        return
    service = call.runtime.service
    if not permits(rules, (service.type, *service.aliases), service.root, call.method, call.path):
        raise Unauthorized(
            "The access rules of the application credential don't cover "
            f"{call.method} {call.path.removeprefix(service.root)} of the service type {service.type}."
        )
