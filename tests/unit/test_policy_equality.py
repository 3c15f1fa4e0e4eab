"""Compiled rules decide as oslo.policy's own `Enforcer.enforce` does, whatever rule, context and target."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import policy as oslo

from pileus.kernel.context import Context
from pileus.kernel.policy import Enforcer, PolicyError, Rule
from pileus.kernel.policy.language import parse

IDS = ("p1", "p2", "d1", "d2", "u1", "all", "None", "True")
ROLE_NAMES = ("admin", "Manager", "member", "reader", "p1")
KEYS = ("project_id", "user_id", "target.domain.id", "network:tenant_id", "shared", "missing")
PATHS = (
    *("project_id", "tenant_id", "user_id", "domain_id", "system_scope", "system", "is_admin"),
    *("roles", "service_roles", "token.project.domain.id", "token.user.id", "token.is_admin_project"),
    *("token.nothing", "user_domain_id", "nothing", "token"),
)
LITERALS = ("'admin'", "None", "True", "'p1'", "1", "'None'")

templates = st.one_of(
    st.sampled_from([f"%({key})s" for key in KEYS]),
    st.sampled_from(IDS),
    st.tuples(st.sampled_from(IDS), st.sampled_from(KEYS)).map(lambda pair: f"{pair[0]}-%({pair[1]})s"),
    st.just("100%%"),
)
leaves = st.one_of(
    st.sampled_from(["@", "!", "rule:r0", "rule:r1", "rule:r2"]),
    st.one_of(st.sampled_from(ROLE_NAMES), templates).map(lambda match: f"role:{match}"),
    st.tuples(st.sampled_from(PATHS + LITERALS), templates).map(":".join),
)
spaces = st.sampled_from(["", " ", "  ", "\n"])
words = st.sampled_from(["and", "or", "AND", "Or"])


@st.composite
def joined(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    parts = draw(st.lists(inner, min_size=1, max_size=4))
    text = parts[0]
    for part in parts[1:]:
        text += f" {draw(words)} {part}"
    text = f"({draw(spaces)}{text}{draw(spaces)})" if draw(st.booleans()) else text
    return f"{draw(st.sampled_from(['not ', 'NOT  ', '', '']))}{text}"


texts = st.recursive(leaves, joined, max_leaves=12)
lists = st.lists(st.one_of(leaves, st.lists(leaves, max_size=3)), max_size=3)

optional_ids = st.one_of(st.none(), st.sampled_from(IDS))
contexts = st.builds(
    Context,
    user_id=optional_ids,
    user_domain_id=optional_ids,
    project_id=optional_ids,
    project_domain_id=optional_ids,
    domain_id=optional_ids,
    system_scope=st.sampled_from([None, "all"]),
    roles=st.frozensets(st.sampled_from(["admin", "ADMIN", "manager", "member", "reader", "P1"])),
    service_roles=st.frozensets(st.sampled_from(["service", "p1"])),
    is_admin_project=st.booleans(),
)
targets = st.dictionaries(
    st.sampled_from(KEYS[:-1]),
    st.one_of(st.none(), st.booleans(), st.sampled_from(IDS), st.sampled_from(ROLE_NAMES), st.just(1)),
)
scope_types = st.lists(st.sampled_from(["system", "domain", "project"]), unique=True).map(tuple)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """oslo.policy logs rules that it cannot read."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


_conf = cfg.ConfigOpts()
_conf([], project="pileus-tests", default_config_files=[])


def oslo_decides(
    rules: dict[str, Any], scopes: tuple[str, ...], context: Context, target: dict[str, Any]
) -> bool:
    enforcer = oslo.Enforcer(_conf, use_conf=False)
    enforcer.set_rules(oslo.Rules.from_dict(rules), use_conf=False)
    enforcer.register_default(oslo.RuleDefault("asked", "!", scope_types=list(scopes) or None))
    return bool(enforcer.enforce("asked", target, dict(context.creds)))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=3, max_size=3), st.one_of(texts, lists), scope_types, contexts, targets)
@example(["!", "@", "@"], "rule:r1 or rule:r0 and rule:r0", (), Context(), {})
@example(["!", "@", "@"], "not rule:r1 or rule:r2", (), Context(), {})
def test_decides_as_oslo_policy(
    helpers: list[str], asked: Any, scopes: tuple[str, ...], context: Context, target: dict[str, Any]
) -> None:
    rules: dict[str, Any] = {f"r{number}": text for number, text in enumerate(helpers)}
    declared = [Rule(name, text, scope_types=()) for name, text in rules.items()]
    rules["asked"] = asked
    try:
        enforcer = Enforcer([*declared, Rule("asked", "!", scope_types=scopes)], {"asked": asked})
    except PolicyError as error:
        assume("circle" not in str(error))
        raise
    allowed = enforcer.check("asked", context, target)
    assert allowed == oslo_decides(rules, scopes, context, target)
    explained = enforcer.explain("asked", context, target)
    assert explained.startswith(f"asked {'allows' if allowed else 'refuses'} this. It reads: ")
    assert allowed or "\n- " in explained


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "role:member",
                "(",
                ")",
                "and",
                "or",
                "not",
                "@",
                "!",
                " ",
                "  ",
                "'x'",
                "project_id:%(project_id)s",
                ":",
                "%",
            ]
        ),
        max_size=10,
    ).map("".join),
    contexts,
    targets,
)
def test_what_is_accepted_means_the_same_to_oslo_policy(
    text: str, context: Context, target: dict[str, Any]
) -> None:
    try:
        enforcer = Enforcer([Rule("asked", text, scope_types=())])
    except PolicyError:
        return
    assert enforcer.check("asked", context, target) == oslo_decides({"asked": text}, (), context, target)


@pytest.mark.slow
@given(texts)
def test_a_tree_reads_back_from_its_own_text(text: str) -> None:
    tree = parse(text)
    assert parse(str(tree)) == tree
