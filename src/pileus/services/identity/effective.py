"""From assignments as they were given to what they come to: groups resolved, inheritance followed, roles implied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from pileus.kernel.db import Tx
from pileus.services.identity.domain import closure
from pileus.services.identity.model import NO_DOMAIN
from pileus.services.identity.store import project, role, user


@dataclass(frozen=True, slots=True)
class Assignment:
    actor_kind: str
    actor_id: str
    target_kind: str
    target_id: str
    role_id: str
    inherited: bool
    prior_role_id: str | None = None
    group_id: str | None = None
    """The group through which a user has it."""
    given_at: tuple[str, str] | None = None
    """(kind, id) of where it was given, when it was inherited from there."""


def take_effect(tx: Tx, given: Iterable[Assignment], projects: set[str] | None) -> Iterator[Assignment]:
    """What users have, where. Inherited roles reach only `projects`, where given. Roles of a single domain have no
    effect but by what they imply."""
    implications, known = role.implications(tx), role.by_id(tx)

    @cache
    def members(group_id: str) -> list[str]:
        return [row.id for row in user.members(tx, group_id)]

    @cache
    def below(target_id: str) -> list[str]:
        return [row.id for row in project.subtree(tx, target_id)]

    @cache
    def comes_to(role_id: str) -> list[str]:
        reached = closure([role_id], implications)
        return sorted(each for each in reached if known[each].domain_key == NO_DOMAIN)

    for each in given:
        for one in _for_users(each, members):
            for there in _at_targets(one, below, projects):
                for role_id in comes_to(each.role_id):
                    prior = None if role_id == each.role_id else each.role_id
                    yield replace(there, role_id=role_id, prior_role_id=prior)


def _for_users(each: Assignment, members: Callable[[str], list[str]]) -> Iterator[Assignment]:
    if each.actor_kind == "user":
        yield each
        return
    for user_id in members(each.actor_id):
        yield replace(each, actor_kind="user", actor_id=user_id, group_id=each.actor_id)


def _at_targets(
    each: Assignment, below: Callable[[str], list[str]], projects: set[str] | None
) -> Iterator[Assignment]:
    if not each.inherited:
        yield each
        return
    given_at = (each.target_kind, each.target_id)
    for project_id in below(each.target_id):
        if projects is None or project_id in projects:
            yield replace(each, target_kind="project", target_id=project_id, given_at=given_at)
