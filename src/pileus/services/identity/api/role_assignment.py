"""Who has which role where: the list of all assignments, as given or as they take effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.identity.api.common import listed_domain
from pileus.services.identity.domain import closure
from pileus.services.identity.model import NO_DOMAIN
from pileus.services.identity.store import project, role, user

routes = Routes()


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


@routes.add("GET", "/role_assignments", policy=AUTHENTICATED)
def list_assignments(call: Call, tx: Tx) -> dict[str, Any]:
    """Assignments, narrowed by user, group, role and scope; `effective` resolves groups, inheritance, implication."""
    tree = _present(call, "include_subtree")
    call.enforce(
        "identity:list_role_assignments_for_tree" if tree else "identity:list_role_assignments",
        _target(call, tx),
    )
    effective = _present(call, "effective")
    if effective and call.arg("group.id"):
        raise BadRequest("Combining effective and group filter will always result in an empty list.")
    if tree and not call.arg("scope.project.id"):
        raise BadRequest("scope.project.id must be specified if include_subtree is also specified.")
    found: Iterator[Assignment] | list[Assignment] = [_plain(row) for row in role.every(tx)]
    if effective:
        found = _effective(tx, list(found))
    wanted = _wanted_targets(call, tx, tree)
    shown = [_shown(call, each) for each in found if _matches(call, each, wanted)]
    if _present(call, "include_names"):
        _add_names(tx, shown)
    links = {"self": call.root_url + call.path, "previous": None, "next": None}
    return {"role_assignments": shown, "links": links}


def _present(call: Call, name: str) -> bool:
    """Whether a flag is set; its mere presence counts, `=0` or `=false` unsets it."""
    value = call.arg(name)
    return value is not None and (value == "" or value.lower() not in ("0", "false"))


def _target(call: Call, tx: Tx) -> dict[str, Any]:
    target = dict(listed_domain(call))
    scope_domain, scope_project = call.arg("scope.domain.id"), call.arg("scope.project.id")
    if scope_project:
        row = project.get(tx, scope_project)
        target["target.domain_id"] = None if row is None else row.domain_id
    elif scope_domain:
        target["target.domain_id"] = scope_domain
    return target


def _plain(row: Row[Any]) -> Assignment:
    return Assignment(
        row.actor_kind, row.actor_id, row.target_kind, row.target_id, row.role_id, row.inherited
    )


def _effective(tx: Tx, given: list[Assignment]) -> Iterator[Assignment]:
    implications, known = role.implications(tx), role.by_id(tx)
    for each in given:
        people: list[tuple[str, str | None]] = [(each.actor_id, None)]
        if each.actor_kind == "group":
            people = [(row.id, each.actor_id) for row in user.members(tx, each.actor_id)]
        targets: list[tuple[str, str, tuple[str, str] | None]] = [(each.target_kind, each.target_id, None)]
        if each.inherited:
            below = project.subtree(tx, each.target_id)
            targets = [("project", row.id, (each.target_kind, each.target_id)) for row in below]
        for user_id, group_id in people:
            for kind, target_id, given_at in targets:
                for role_id in closure([each.role_id], implications):
                    if known[role_id].domain_key == NO_DOMAIN:
                        prior = None if role_id == each.role_id else each.role_id
                        yield Assignment(
                            "user",
                            user_id,
                            kind,
                            target_id,
                            role_id,
                            each.inherited,
                            prior,
                            group_id,
                            given_at,
                        )


def _wanted_targets(call: Call, tx: Tx, tree: bool) -> set[str] | None:
    project_id = call.arg("scope.project.id")
    if not project_id:
        return None
    return {project_id, *(row.id for row in project.subtree(tx, project_id))} if tree else {project_id}


def _matches(call: Call, each: Assignment, projects: set[str] | None) -> bool:
    user_id, group_id, role_id = call.arg("user.id"), call.arg("group.id"), call.arg("role.id")
    domain_id, inherited = call.arg("scope.domain.id"), call.arg("scope.OS-INHERIT:inherited_to")
    return (
        (not user_id or (each.actor_kind, each.actor_id) == ("user", user_id))
        and (not group_id or (each.actor_kind, each.actor_id) == ("group", group_id))
        and (not role_id or each.role_id == role_id)
        and (projects is None or (each.target_kind == "project" and each.target_id in projects))
        and (not domain_id or (each.target_kind, each.target_id) == ("domain", domain_id))
        and (not _present(call, "scope.system") or each.target_kind == "system")
        and (not inherited or each.inherited)
    )


def _shown(call: Call, each: Assignment) -> dict[str, Any]:
    scope: dict[str, Any] = {each.target_kind: {"id": each.target_id}}
    if each.target_kind == "system":
        scope = {"system": {"all": True}}
    if each.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
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
    projects = {row.id: row for row in project.all_projects(tx)}
    for entry in shown:
        entry["role"]["name"] = known[entry["role"]["id"]].name
        for kind, find in (("user", user.get), ("group", user.get_group)):
            row = find(tx, entry[kind]["id"]) if kind in entry else None
            if row is not None:
                entry[kind].update(
                    name=row.name, domain={"id": row.domain_id, "name": domains[row.domain_id]}
                )
        scope = entry["scope"]
        if "project" in scope and scope["project"]["id"] in projects:
            row = projects[scope["project"]["id"]]
            scope["project"].update(
                name=row.name, domain={"id": row.domain_id, "name": domains[row.domain_id]}
            )
        if "domain" in scope:
            scope["domain"]["name"] = domains.get(scope["domain"]["id"])
