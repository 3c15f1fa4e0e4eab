"""How projects lie in each other: where a new one may lie, which may be switched off, and a project's family."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Forbidden, NotFound
from pileus.services.identity.api.common import home_domain, is_asked
from pileus.services.identity.limits import MODELS
from pileus.services.identity.settings import Settings
from pileus.services.identity.store import project, role


def domain_of(row: Row[Any]) -> str:
    """The domain that a project lies in; a domain lies in itself."""
    return str(row.id if row.is_domain else row.domain_id)


def place(call: Call, tx: Tx, domain_id: str | None, parent_id: str | None) -> tuple[str, str]:
    """Domain and parent of a new project: what the client says, or what follows from it and from its token.

    404 for what is not there, 400 for a parent in another domain or anything disabled above, 403 where the branch
    would become too deep.
    """
    parent = project.get(tx, parent_id) if parent_id else None
    if parent_id and parent is None:
        raise NotFound(f"Could not find project: {parent_id}.")
    domain_id = domain_id or (domain_of(parent) if parent is not None else home_domain(call))
    domain = project.get(tx, domain_id)
    if domain is None or not domain.is_domain:
        raise NotFound(f"Could not find domain: {domain_id}.")
    if parent is not None and domain_of(parent) != domain_id:
        raise BadRequest("The parent lies in another domain; a project lies in its parent's.")
    above = project.ancestors_of(tx, parent_id or domain_id)
    for row in above:
        if not row.enabled:
            raise BadRequest(f"Cannot create a project in a branch containing a disabled project: {row.id}.")
    if len(above) > _deepest(call.runtime.state.settings):
        raise Forbidden(f"Max hierarchy depth reached for {parent_id or domain_id} branch.")
    return domain_id, parent_id or domain_id


def _deepest(settings: Settings) -> int:
    """How many levels of projects there may be."""
    by_model = MODELS[settings.unified_limit_model].deepest_project
    deepest = settings.max_project_tree_depth
    return deepest if by_model is None else min(deepest, by_model)


def check_switch(tx: Tx, row: Row[Any], enabled: bool) -> None:
    """403 where a project would be enabled below a disabled one, or disabled above an enabled one."""
    if enabled and not row.enabled:
        for above in project.ancestors(tx, row):
            if not above.enabled:
                raise Forbidden(
                    f"Cannot enable project {row.id} since it has disabled parents; enable {above.id} first."
                )
    if row.enabled and not enabled and any(below.enabled for below in project.subtree(tx, row.id)):
        raise Forbidden(
            f"Cannot disable project {row.id} since its subtree contains enabled projects; disable them first."
        )


def family(call: Call, tx: Tx, row: Row[Any], show: Any) -> dict[str, Any]:
    """What lies above and below a project, as the query asks: as ids all of it, as a list what the caller has a role on."""
    _not_both(call, "parents_as_list", "parents_as_ids")
    _not_both(call, "subtree_as_list", "subtree_as_ids")
    shown: dict[str, Any] = {}
    mine: set[str] | None = None
    for name, rows in (("parents", project.ancestors), ("subtree", _subtree)):
        if is_asked(call, f"{name}_as_list"):
            if mine is None:
                mine = {each.id for each in role.projects_of(tx, call.context.user_id or "")}
            shown[name] = [{"project": show(each)} for each in rows(tx, row) if each.id in mine]
    if is_asked(call, "parents_as_ids"):
        shown["parents"] = _nested([each.id for each in project.ancestors(tx, row)])
    if is_asked(call, "subtree_as_ids"):
        shown["subtree"] = _tree(row.id, project.subtree(tx, row.id))
    return shown


def _not_both(call: Call, one: str, other: str) -> None:
    if is_asked(call, one) and is_asked(call, other):
        raise BadRequest(f"Cannot use {one} and {other} query params at the same time.")


def _subtree(tx: Tx, row: Row[Any]) -> list[Row[Any]]:
    return project.subtree(tx, row.id)


def _nested(ids: list[str]) -> dict[str, Any] | None:
    return {ids[0]: _nested(ids[1:])} if ids else None


def _tree(root: str, rows: list[Row[Any]]) -> dict[str, Any] | None:
    below: dict[str, dict[str, Any]] = {root: {}}
    for row in rows:  # nearest first, so that what a project lies in is there already
        below[row.id] = below[row.parent_id][row.id] = {}
    return _without_empty(below[root])


def _without_empty(tree: dict[str, Any]) -> dict[str, Any] | None:
    return {key: _without_empty(value) for key, value in tree.items()} or None
