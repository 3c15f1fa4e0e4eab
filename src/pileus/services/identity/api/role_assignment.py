"""Who has which role where: the list of all assignments, as given or as they take effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity.api.common import collection, is_asked, listed_domain
from pileus.services.identity.effective import Assignment, take_effect
from pileus.services.identity.store import project, role, user

routes = Routes()
INHERITED_TO = "OS-INHERIT:inherited_to"


@dataclass(frozen=True)
class Wanted:
    """What the query asks for."""

    user_id: str | None
    group_id: str | None
    role_id: str | None
    project_id: str | None
    domain_id: str | None
    system: bool
    inherited: bool | None
    effective: bool
    tree: bool
    names: bool

    @classmethod
    def of(cls, call: Call) -> Wanted:
        """400 for what could never be found, as upstream has it."""
        inherited = call.arg(f"scope.{INHERITED_TO}")
        wanted = cls(
            user_id=call.arg("user.id") or None,
            group_id=call.arg("group.id") or None,
            role_id=call.arg("role.id") or None,
            project_id=call.arg("scope.project.id") or None,
            domain_id=call.arg("scope.domain.id") or None,
            system=is_asked(call, "scope.system"),
            inherited=None if not inherited else inherited == "projects",
            effective=is_asked(call, "effective"),
            tree=is_asked(call, "include_subtree"),
            names=is_asked(call, "include_names"),
        )
        if wanted.effective and wanted.group_id:
            raise BadRequest("Combining effective and group filter will always result in an empty list.")
        if wanted.effective and wanted.domain_id and wanted.inherited:
            raise BadRequest(
                "Combining effective, domain and inherited filters will always result in an empty list."
            )
        if wanted.user_id and wanted.group_id:
            raise BadRequest("Specify a user or group, not both.")
        if sum(map(bool, (wanted.project_id, wanted.domain_id, wanted.system))) > 1:
            raise BadRequest("Specify a system, a domain or a project, not more of them.")
        if wanted.tree and not wanted.project_id:
            raise BadRequest("scope.project.id must be specified if include_subtree is also specified.")
        return wanted


class AssignmentsAnswer(msgspec.Struct):
    role_assignments: list[dict[str, Any]]
    links: dict[str, Any]


@routes.add("GET", "/role_assignments", policy=AUTHENTICATED, answers=AssignmentsAnswer)
def list_assignments(call: Call, tx: Tx) -> dict[str, Any]:
    """Assignments, narrowed by user, group, role and scope; `effective` resolves groups, inheritance, implication."""
    if is_asked(call, "include_subtree"):
        call.enforce("identity:list_role_assignments_for_tree", _tree_target(call, tx))
    else:
        call.enforce("identity:list_role_assignments", listed_domain(call))
    wanted = Wanted.of(call)
    shown = [_shown(call, each) for each in _found(tx, wanted) if _is_own(call, tx, each)]
    if wanted.names:
        _add_names(tx, shown)
    return collection(call, "role_assignments", shown)


def _tree_target(call: Call, tx: Tx) -> dict[str, Any]:
    row = project.get(tx, call.arg("scope.project.id"))
    return {} if row is None else {"target.domain_id": row.domain_id}


def _found(tx: Tx, wanted: Wanted) -> Iterator[Assignment]:
    projects = _projects(tx, wanted)
    targets = projects or ({wanted.domain_id} if wanted.domain_id else None)
    actors = {wanted.user_id or wanted.group_id or ""} - {""} or None
    if wanted.effective:
        if wanted.user_id:
            actors = {wanted.user_id, *user.group_ids(tx, wanted.user_id)}
        if projects:
            above = [row.id for each in projects for row in project.ancestors_of(tx, each)]
            targets = {*projects, *above}
    rows = role.given(tx, actors, targets)
    given = (
        Assignment(row.actor_kind, row.actor_id, row.target_kind, row.target_id, row.role_id, row.inherited)
        for row in rows
    )
    for each in take_effect(tx, given, projects) if wanted.effective else given:
        if _fits(wanted, projects, each):
            yield each


def _projects(tx: Tx, wanted: Wanted) -> set[str] | None:
    if wanted.project_id is None:
        return None
    below = project.subtree(tx, wanted.project_id) if wanted.tree else []
    return {wanted.project_id, *(row.id for row in below)}


def _fits(wanted: Wanted, projects: set[str] | None, each: Assignment) -> bool:
    actor, target = (each.actor_kind, each.actor_id), (each.target_kind, each.target_id)
    return (
        (wanted.user_id is None or actor == ("user", wanted.user_id))
        and (wanted.group_id is None or actor == ("group", wanted.group_id))
        and (wanted.role_id is None or each.role_id == wanted.role_id)
        and (projects is None or (each.target_kind == "project" and each.target_id in projects))
        and (wanted.domain_id is None or target == ("domain", wanted.domain_id))
        and (not wanted.system or each.target_kind == "system")
        and (wanted.inherited is None or each.inherited is wanted.inherited)
    )


def _is_own(call: Call, tx: Tx, each: Assignment) -> bool:
    """To a token for a domain, the list shows nothing of other domains."""
    domain_id = call.context.domain_id
    if domain_id is None:
        return True
    if each.target_kind != "project":
        return each.target_id == domain_id
    row = project.get(tx, each.target_id)
    return row is not None and row.domain_id == domain_id


def _shown(call: Call, each: Assignment) -> dict[str, Any]:
    scope: dict[str, Any] = {each.target_kind: {"id": each.target_id}}
    if each.target_kind == "system":
        scope = {"system": {"all": True}}
    if each.inherited:
        scope[INHERITED_TO] = "projects"
    actor, on = f"{each.actor_kind}s/{each.actor_id}", f"{each.target_kind}s/{each.target_id}"
    if each.given_at is not None:
        on = f"{each.given_at[0]}s/{each.given_at[1]}"
    if each.group_id is not None:
        actor = f"groups/{each.group_id}"
    role_id = each.prior_role_id or each.role_id
    link = f"{call.base_url}/{'system' if each.target_kind == 'system' else on}/{actor}/roles/{role_id}"
    if each.inherited:
        link = f"{call.base_url}/OS-INHERIT/{on}/{actor}/roles/{role_id}/inherited_to_projects"
    links = {"assignment": link}
    if each.group_id is not None:
        links["membership"] = f"{call.base_url}/groups/{each.group_id}/users/{each.actor_id}"
    if each.prior_role_id is not None:
        links["prior_role"] = f"{call.base_url}/roles/{each.prior_role_id}/implies/{each.role_id}"
    return {
        "role": {"id": each.role_id},
        each.actor_kind: {"id": each.actor_id},
        "scope": scope,
        "links": links,
    }


def _add_names(tx: Tx, shown: list[dict[str, Any]]) -> None:
    known = role.by_id(tx)
    domains = {row.id: row.name for row in project.all_domains(tx)}

    def named(row: Any) -> dict[str, Any]:
        if row is None:
            return {}
        return {"name": row.name, "domain": {"id": row.domain_id, "name": domains.get(row.domain_id)}}

    for entry in shown:
        given = known[entry["role"]["id"]]
        entry["role"]["name"] = given.name
        if given.domain_key:
            entry["role"]["domain"] = {"id": given.domain_key, "name": domains.get(given.domain_key)}
        for kind, find in (("user", user.get), ("group", user.get_group)):
            if kind in entry:
                entry[kind].update(named(find(tx, entry[kind]["id"])))
        scope = entry["scope"]
        if "project" in scope:
            scope["project"].update(named(project.get(tx, scope["project"]["id"])))
        if "domain" in scope:
            scope["domain"]["name"] = domains.get(scope["domain"]["id"])
