"""The policy engine beside its equality with oslo.policy: refusals, overrides, explanations, personas."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pileus.kernel.context import Context
from pileus.kernel.policy import Enforcer, PolicyError, Rule, base, parse_overrides
from pileus.testing.personas import PERSONAS, PROJECT_ID, persona

SHOW = Rule("os_compute_api:servers:show", base.PROJECT_READER_OR_ADMIN)
DELETE = Rule("os_compute_api:servers:delete", base.PROJECT_MEMBER_OR_ADMIN)
LIST_ALL = Rule("os_compute_api:servers:list_all", "rule:context_is_admin", scope_types=("system", "project"))
RULES = (*base.PROJECT_RULES, SHOW, DELETE, LIST_ALL)
OWN = {"project_id": PROJECT_ID}
OTHER = {"project_id": "someone-else's"}


def allowed(rule: Rule, target: dict[str, Any], overrides: dict[str, Any] | None = None) -> set[str]:
    enforcer = Enforcer(RULES, overrides)
    return {name for name, context in PERSONAS.items() if enforcer.check(rule.name, context, target)}


def test_personas_against_modern_defaults() -> None:
    everyone = {"project_admin", "project_manager", "project_member", "project_reader"}
    assert allowed(SHOW, OWN) == everyone
    assert allowed(DELETE, OWN) == everyone - {"project_reader"}
    assert allowed(DELETE, OTHER) == {"project_admin"}
    assert allowed(LIST_ALL, {}) == {"project_admin", "system_admin"}


def test_override_replaces_the_text_and_keeps_the_scope() -> None:
    assert allowed(SHOW, OTHER, {SHOW.name: "role:reader"}) == {
        "project_admin",
        "project_manager",
        "project_member",
        "project_reader",
    }
    assert allowed(SHOW, OWN, {SHOW.name: "!"}) == set()


def test_override_may_bring_helpers() -> None:
    overrides = {"auditor": "role:reader and user_id:u1", SHOW.name: "rule:auditor"}
    enforcer = Enforcer(RULES, overrides)
    assert enforcer.check(SHOW.name, persona("project", "reader", user_id="u1"), OTHER)
    assert not enforcer.check(SHOW.name, persona("project", "admin"), OWN)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"os_compute_api:servers:shwo": "@"},
            r"unknown rule .*shwo'; did you mean 'os_compute_api:servers:show'",
        ),
        (
            {SHOW.name: "rule:project_raeder_api"},
            r"unknown rule 'project_raeder_api'; did you mean 'project_reader",
        ),
        ({SHOW.name: "not rule:nowhere_near"}, "refers to unknown rule 'nowhere_near'"),
        ({SHOW.name: "http://policy.example/%(name)s"}, "external server, which is not supported"),
        ({SHOW.name: "https://policy.example"}, "external server"),
        ({SHOW.name: "role:admin and"}, "it ends where a check should be"),
        ({SHOW.name: "role:admin role:member"}, "there is 'role:member' where `and`, `or` or the end"),
        ({SHOW.name: "(role:admin or role:member"}, "it ends where a closing parenthesis"),
        ({SHOW.name: "role:admin)"}, r"there is '\)'"),
        ({SHOW.name: "admin"}, "'admin' is no check"),
        ({SHOW.name: "'quoted:thing'"}, "quoted word"),
        ({SHOW.name: "   "}, "it ends where a check"),
        ({SHOW.name: "project_id:%(project_id)"}, "percent sign"),
        ({SHOW.name: "project_id:%(size)d"}, "percent sign"),
        ({SHOW.name: ":x"}, "neither a literal nor a name"),
        ({SHOW.name: "field:networks"}, "field check reads"),
        ({SHOW.name: "field:port:device_owner=~("}, "field:port.*unterminated|missing"),
        ({"project_reader_api": "rule:project_reader_or_admin"}, r"circle: 'project_reader.*' -> .* -> "),
        ({"a": "not rule:b", "b": "rule:a or @"}, "circle: 'a' -> 'b' -> 'a'"),
    ],
)
def test_refused_at_load(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Enforcer(RULES, overrides)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        Enforcer(RULES, {SHOW.name: "admin", "os_compute_api:servers:delte": "@"})
    assert len(str(caught.value).splitlines()) == 2


def test_a_rule_has_one_meaning() -> None:
    Enforcer([*RULES, *base.PROJECT_RULES])
    with pytest.raises(PolicyError, match="declared twice"):
        Enforcer([*RULES, Rule("context_is_admin", "role:king", scope_types=())])


def test_asking_for_what_is_not_declared_is_an_error() -> None:
    enforcer = Enforcer(RULES)
    for ask in (enforcer.check, enforcer.explain):
        with pytest.raises(PolicyError, match="no rule 'nothing' is declared"):
            ask("nothing", Context(), {})


@pytest.mark.parametrize("rules", [base.PROJECT_RULES, base.IDENTITY_RULES, base.NETWORK_RULES])
def test_base_rules_are_complete_in_themselves(rules: tuple[Rule, ...]) -> None:
    assert set(Enforcer(rules).rules) == {rule.name for rule in rules}


def test_field_checks_of_the_network() -> None:
    enforcer = Enforcer(
        [Rule("shared", "field:networks:shared=True"), Rule("device", "field:port:device_owner=~^network:")]
    )
    assert enforcer.check("shared", Context(), {"shared": True})
    assert not enforcer.check("shared", Context(), {"shared": False})
    assert not enforcer.check("shared", Context(), {})
    assert enforcer.check("device", Context(), {"device_owner": "network:dhcp"})
    assert not enforcer.check("device", Context(), {"device_owner": "compute:nova"})
    assert not enforcer.check("device", Context(), {"device_owner": None})


def test_paths_through_lists_and_past_the_end() -> None:
    enforcer = Enforcer([Rule("deep", "token.user.id.more:%(x)s"), Rule("role", "roles:%(x)s")])
    assert not enforcer.check("deep", Context(user_id="x"), {"x": "x"})
    assert enforcer.check("role", Context(roles=frozenset({"x", "y"})), {"x": "x"})


class TestExplain:
    enforcer = Enforcer([*RULES, Rule("literal", "'x':%(y)s and not role:reader"), Rule("never", "!")])

    def test_names_the_text_and_each_part_that_failed(self) -> None:
        assert self.enforcer.explain(DELETE.name, persona("project", "reader"), OTHER) == (
            "os_compute_api:servers:delete refuses this. It reads: "
            "rule:project_member_or_admin\n"
            "- rule:project_member_or_admin: rule:project_member_api: role:member: your roles are reader\n"
            "- rule:project_member_or_admin: rule:project_member_api: project_id:%(project_id)s: "
            f"your project_id is {PROJECT_ID}, the wanted one differs\n"
            "- rule:project_member_or_admin: rule:context_is_admin: role:admin: your roles are reader"
        )

    def test_never_tells_the_targets_values(self) -> None:
        assert "someone-else" not in self.enforcer.explain(SHOW.name, persona("project", "reader"), OTHER)

    def test_scope(self) -> None:
        text = self.enforcer.explain(SHOW.name, persona("system", "admin"), OWN)
        assert text.endswith("- it takes a token of project scope; yours has system scope")

    def test_other_reasons(self) -> None:
        reader = persona("project", "reader")
        assert "'x':%(y)s: the target has no y" in self.enforcer.explain("literal", reader, {})
        both = self.enforcer.explain("literal", reader, {"y": "z"})
        assert "'x':%(y)s: the target's value differs" in both
        assert "not: role:reader: holds" in both
        assert "!: nobody may" in self.enforcer.explain("never", reader, {})
        assert "role:member: you have no role" in self.enforcer.explain(
            DELETE.name, Context(project_id="p"), OWN
        )
        assert "you have no project_id" in self.enforcer.explain(DELETE.name, Context(), OWN)

    def test_why_it_is_allowed(self) -> None:
        text = self.enforcer.explain(SHOW.name, persona("project", "admin"), OTHER)
        assert text.splitlines()[1:] == [
            "- rule:project_reader_or_admin: rule:context_is_admin: role:admin: holds"
        ]


class TestOverridesFile:
    @pytest.mark.parametrize(
        "text",
        [
            '{"a": "role:x", "b": [["role:x", "role:y"], "role:z"]}',
            'a: role:x\n# comment\n"b":\n- ["role:x", "role:y"]\n- "role:z"\n',
            b'  {"a": "role:x", "b": [["role:x", "role:y"], "role:z"]}',
        ],
    )
    def test_yaml_and_json(self, text: str | bytes) -> None:
        assert parse_overrides(text) == {"a": "role:x", "b": [["role:x", "role:y"], "role:z"]}

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "{}"])
    def test_empty(self, text: str) -> None:
        assert parse_overrides(text) == {}

    @pytest.mark.parametrize("text", ["a: !", "b: '!'\na: !  # nobody", "a: [[! ]]", "? a\n: !"])
    def test_nobody_without_quotes_is_not_read_as_anybody(self, text: str) -> None:
        with pytest.raises(PolicyError, match=r'policy\.yaml: line [12]: put quotes around "!"'):
            parse_overrides(text, "policy.yaml")
        assert parse_overrides('a: "!"') == parse_overrides('{"a": "!"}') == {"a": "!"}

    @pytest.mark.parametrize("text", ["{", "a: [", "- a", "a: 5", '{"a": null}', "a: {b: c}", "a:"])
    def test_broken(self, text: str) -> None:
        with pytest.raises(PolicyError, match=r"^policy.yaml: "):
            parse_overrides(text, "policy.yaml")


def test_context_derives_scope_and_credentials() -> None:
    assert [Context(system_scope="all").scope, Context(domain_id="d").scope] == ["system", "domain"]
    assert [Context(project_id="p").scope, Context().scope] == ["project", "none"]
    context = Context(project_id="p", roles=frozenset({"Admin"}))
    again = context.with_request_id("req-1")
    assert context.is_admin
    assert not Context().is_admin
    assert again.creds is context.creds
    assert (again.request_id, again.project_id) == ("req-1", "p")


def test_the_engine_imports_nothing_of_oslo() -> None:
    code = (
        "import sys, pileus.kernel.policy; print(*(m for m in sys.modules if m.startswith(('oslo', 'yaml'))))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == ""
