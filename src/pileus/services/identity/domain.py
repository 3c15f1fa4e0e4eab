"""Rules of identity that need no database: implied roles, who gets what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def closure(role_ids: Iterable[str], implied: Mapping[str, Iterable[str]]) -> set[str]:
    """The roles and all that they imply, however far."""
    found: set[str] = set()
    queue = list(role_ids)
    while queue:
        role_id = queue.pop()
        if role_id not in found:
            found.add(role_id)
            queue.extend(implied.get(role_id, ()))
    return found


def implies_itself(prior: str, implied_role: str, implied: Mapping[str, Iterable[str]]) -> bool:
    """Whether saying that `prior` implies `implied_role` would close a circle."""
    return prior in closure([implied_role], implied)
