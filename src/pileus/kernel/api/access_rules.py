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
def _pattern(path: str) -> re.Pattern[str]:
    parts = []
    for part in _PARTS.findall(path):
        if part == "**":
            parts.append(".*")
        elif part == "*" or (part.startswith("{") and part.endswith("}")):
            parts.append("[^/]+")
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def permits(rules: tuple[AccessRule, ...], types: tuple[str, ...], root: str, method: str, path: str) -> bool:
    """Whether one of the rules covers the call. Paths may be written as the service has them, or with the place
    (`root`) at which this cloud serves it."""
    paths = (path, path.removeprefix(root))
    return any(
        rule.service in types and rule.method == method and any(map(_pattern(rule.path).match, paths))
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
