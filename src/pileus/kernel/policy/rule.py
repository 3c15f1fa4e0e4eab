"""A named rule as a service declares it."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """One rule and its default. Names and defaults are upstream's, so that operators' files keep working."""

    name: str
    check: str
    """In oslo.policy's language."""
    description: str = ""
    scope_types: tuple[str, ...] = ("project",)
    """Scopes of tokens that may pass at all: of `system`, `domain`, `project`; none of them: any scope."""
    operations: tuple[tuple[str, str], ...] = ()
    """(method, path) of what the rule guards, for documents and the table of personas."""
