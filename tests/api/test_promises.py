"""What the APIs promise, written down whole: who may do what, and which versions there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.app.services import SERVICES, load
from pileus.kernel.api.call import own
from pileus.kernel.api.service import Service
from pileus.kernel.policy import Enforcer
from pileus.testing.golden import assert_golden
from pileus.testing.personas import ROLES, SCOPES, persona

EVERY = load(*SERVICES)

GOLDEN = Path(__file__).with_name("golden")
PERSONAS = [(scope, role) for scope in SCOPES for role in ROLES]


def target_of(context_project: str | None, domain: str) -> dict[str, object]:
    """Something of the project's own, in its domain, as all services' rules name it."""
    mine = own(persona("project", "member"))
    names = ("user", "group", "project", "role")
    return {
        **mine,
        "owner": mine["project_id"],
        "visibility": "private",
        "member_id": None,
        "target.domain_id": domain,
        "target.domain.id": domain,
        "network:tenant_id": mine["project_id"],
        "ext_parent:tenant_id": mine["project_id"],
        **{f"target.{name}.domain_id": domain for name in names},
        "target.role.domain_id": None,
        "target.role.name": "member",
        "target.project.id": mine["project_id"],
        "target.user.id": "somebody",
        "target.token.user_id": "somebody",
    }


def personas_table(service: Service) -> str:
    """One line for each rule: a letter for each persona that passes, a dot for one that doesn't."""
    enforcer = Enforcer(service.rules)
    target = target_of(None, "default")
    lines = [f"# {'system':<6} {'domain':<6} {'project':<6}: a admin, m manager, e member, r reader"]
    letters = dict(zip(ROLES, "amer", strict=True))
    for rule in sorted(service.rules, key=lambda rule: rule.name):
        columns = []
        for scope in SCOPES:
            passing = [
                letters[role] if enforcer.check(rule.name, persona(scope, role), target) else "."
                for role in ROLES
            ]
            columns.append("".join(passing))
        lines.append(f"{' '.join(columns)}  {rule.name}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("service", [each for each in EVERY if each.rules], ids=lambda each: str(each.type))
def test_who_may_do_what(service: Service) -> None:
    assert_golden(GOLDEN / f"personas-{service.type}.txt", personas_table(service))


@pytest.mark.parametrize("service", EVERY, ids=lambda each: str(each.type))
def test_operations(service: Service) -> None:
    lines = sorted(
        {
            f"{each.method:<6} {path}{' ' + each.action if each.action else ''}  {each.policy}"
            for path, each in service.operations()
        }
    )
    assert_golden(GOLDEN / f"operations-{service.type}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "service", [each for each in EVERY if each.versions], ids=lambda each: str(each.type)
)
def test_version_history(service: Service) -> None:
    assert service.versions is not None
    lines = [f"{version} {version.name}: {version.text}" for version in service.versions.history]
    assert_golden(GOLDEN / f"versions-{service.type}.txt", "\n".join(lines) + "\n")
