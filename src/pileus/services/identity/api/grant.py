"""Giving roles: to a user or a group, on a project, a domain or the system, or inherited below one.

PUT /projects/{project_id}/users/{user_id}/roles/{role_id}
PUT /system/groups/{group_id}/roles/{role_id}
PUT /OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import AUTHENTICATED
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import Forbidden, NotFound
from pileus.kernel.http.reply import Reply
from pileus.services.identity.api.common import changed
from pileus.services.identity.api.group import group_target
from pileus.services.identity.api.role import Role, role_target
from pileus.services.identity.api.user import user_target
from pileus.services.identity.store import application_credential, project, role, user

routes = Routes()


class Place:
    """Where roles are given: who (user or group), on what (project, domain or system), inherited or not."""

    def __init__(self, actor: str, target: str, inherited: bool = False) -> None:
        self.actor, self.target, self.inherited = actor, target, inherited
        on = "/system" if target == "system" else f"/{target}s/{{{target}_id}}"
        prefix, self.suffix = ("/OS-INHERIT", "/inherited_to_projects") if inherited else ("", "")
        self.list_path = f"{prefix}{on}/{actor}s/{{{actor}_id}}/roles"
        self.path = f"{self.list_path}/{{role_id}}{self.suffix}"

    def rule(self, verb: str) -> str:
        if self.target == "system":
            noun = "system_grants" if verb == "list" else "system_grant"
            return f"identity:{verb}_{noun}_for_{self.actor}"
        return "identity:list_grants" if verb == "list" else f"identity:{verb}_grant"

    def admitted(self, call: Call, tx: Tx, verb: str) -> dict[str, Any]:
        """The grant that the path means, once policy has agreed and all of it has been found."""
        actor_id = call.params[f"{self.actor}_id"]
        target_id = call.params.get(f"{self.target}_id", role.SYSTEM)
        role_id = call.params.get("role_id")
        actor = (user.get if self.actor == "user" else user.get_group)(tx, actor_id)
        target = None if self.target == "system" else project.get(tx, target_id)
        if target is not None and target.is_domain is not (self.target == "domain"):
            target = None
        given = role.get(tx, role_id) if role_id is not None else None
        call.enforce(self.rule(verb), self._seen(actor, target, given))
        if actor is None and verb != "revoke":
            raise NotFound(f"Could not find {self.actor}: {actor_id}.")
        if target is None and self.target != "system":
            raise NotFound(f"Could not find {self.target}: {target_id}.")
        if given is None and role_id is not None:
            raise NotFound(f"Could not find role: {role_id}.")
        if verb == "create" and given is not None and self.target == "project" and target is not None:
            _check_domains(given, target)
        if verb == "create" and given is not None and given.domain_key and self.target == "system":
            raise Forbidden(
                f"Role {given.name} is of a single domain; on the system only global roles count."
            )
        grant = {
            "actor_kind": self.actor,
            "actor_id": actor_id,
            "target_kind": self.target,
            "target_id": target_id,
            "inherited": self.inherited,
        }
        return grant if role_id is None else {**grant, "role_id": role_id}

    def _seen(
        self, actor: Row[Any] | None, target: Row[Any] | None, given: Row[Any] | None
    ) -> dict[str, Any]:
        seen: dict[str, Any] = {"target.role.domain_id": None}
        if actor is not None:
            seen.update(user_target(actor) if self.actor == "user" else group_target(actor))
        if target is not None and self.target == "domain":
            seen["target.domain.id"] = target.id
        elif target is not None:
            seen.update({"target.project.id": target.id, "target.project.domain_id": target.domain_id})
        if given is not None:
            seen.update(role_target(given))
        return seen


def _check_domains(given: Row[Any], target: Row[Any]) -> None:
    if given.domain_key and given.domain_key != target.domain_id:
        raise Forbidden(
            f"Project {target.id} must be in the same domain as the role {given.id} being assigned: that is a role of "
            f"domain {given.domain_key} alone."
        )


def _handlers(place: Place) -> None:
    def give(call: Call, tx: Tx) -> None:
        """Gives a role."""
        role.give(tx, place.admitted(call, tx, "create"))
        changed(call, tx)

    def check(call: Call, tx: Tx) -> Reply:
        """Whether a role was given."""
        if not role.is_granted(tx, place.admitted(call, tx, "check")):
            raise NotFound(f"Could not find role assignment with role: {call.params['role_id']}.")
        return Reply(204)

    def take(call: Call, tx: Tx) -> None:
        """Takes a role away."""
        grant = place.admitted(call, tx, "revoke")
        if not role.take(tx, grant):
            raise NotFound(f"Could not find role assignment with role: {call.params['role_id']}.")
        if (grant["actor_kind"], grant["target_kind"]) == ("user", "project"):
            application_credential.forget(tx, grant["actor_id"], grant["target_id"])
        changed(call, tx)

    def listed(call: Call, tx: Tx) -> dict[str, Any]:
        """The roles that were given here."""
        show = Role.view(call)
        rows = role.granted(tx, place.admitted(call, tx, "list"))
        links = {"self": call.root_url + call.path, "previous": None, "next": None}
        return {"roles": [show(row) for row in rows], "links": links}

    routes.add("GET", place.list_path + place.suffix, policy=AUTHENTICATED, answers=[Role])(listed)
    declared: list[tuple[str, str, int, Callable[..., Any]]] = [
        ("PUT", place.path, 204, give),
        ("GET", place.path, 204, check),
        ("HEAD", place.path, 204, check),
        ("DELETE", place.path, 204, take),
    ]
    for method, path, status, handler in declared:
        routes.add(method, path, policy=AUTHENTICATED, status=status)(handler)


for _actor in ("user", "group"):
    for _target in ("project", "domain", "system"):
        _handlers(Place(_actor, _target))
        if _target != "system":
            _handlers(Place(_actor, _target, inherited=True))
