"""The mapping language: what upstream's documentation says of it, and what must hold for any assertion."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.services.identity.federation.mapping import (
    DomainRef,
    Mapped,
    MappingInvalid,
    NothingMapped,
    Role,
    apply,
    parse,
)


def rule(remote: list[dict[str, Any]], *local: dict[str, Any], version: str = "1.0") -> dict[str, Any]:
    return {"rules": [{"remote": remote, "local": list(local)}], "schema_version": version}


def mapped(remote: list[dict[str, Any]], *local: dict[str, Any], version: str = "1.0", **said: Any) -> Mapped:
    assertion = {name: value if isinstance(value, list) else [value] for name, value in said.items()}
    return apply(parse(rule(remote, *local, version=version)), assertion)


NAMED = {"user": {"name": "{0}"}}


def test_placeholders_count_only_conditions_that_give_values() -> None:
    found = mapped(
        [{"type": "first"}, {"type": "kind", "any_one_of": ["staff"]}, {"type": "last"}],
        {"user": {"name": "{0} {1}", "email": "{1}@example.org"}},
        first="Ada",
        last="Byron",
        kind=["guest", "staff"],
    )
    assert (found.user.name, found.user.email) == ("Ada Byron", "Byron@example.org")


@pytest.mark.parametrize(
    ("condition", "values", "applies"),
    [
        ({"any_one_of": ["a"]}, ["a", "b"], True),
        ({"any_one_of": ["a"]}, ["ab"], False),
        ({"any_one_of": ["^a"], "regex": True}, ["ab"], True),
        ({"not_any_of": ["a"]}, ["b"], True),
        ({"not_any_of": ["a"]}, ["a", "b"], False),
        ({"not_any_of": ["b$"], "regex": True}, ["ab"], False),
        ({"not_any_of": ["a"]}, [], False),
    ],
)
def test_conditions(condition: dict[str, Any], values: list[str], applies: bool) -> None:
    remote = [{"type": "sub"}, {"type": "groups", **condition}]
    if applies:
        assert mapped(remote, NAMED, sub="x", groups=values).user.name == "x"
    else:
        with pytest.raises(NothingMapped):
            mapped(remote, NAMED, sub="x", groups=values)


@given(st.lists(st.text(), min_size=1), st.lists(st.text()))
def test_whitelist_and_blacklist_divide_the_values(values: list[str], listed: list[str]) -> None:
    local = {"group_ids": "{0}"}
    kept = mapped([{"type": "g", "whitelist": listed}], local, g=values)
    dropped = mapped([{"type": "g", "blacklist": listed}], local, g=values)
    assert set(kept.group_ids) | set(dropped.group_ids) == set(values)
    assert not set(kept.group_ids) & set(dropped.group_ids)
    assert set(kept.group_ids) <= set(listed)


@given(st.lists(st.text(), min_size=1), st.lists(st.text()))
def test_any_one_of_is_the_opposite_of_not_any_of(values: list[str], listed: list[str]) -> None:
    outcomes = []
    for condition in ("any_one_of", "not_any_of"):
        try:
            mapped([{"type": "sub"}, {"type": "g", condition: listed}], NAMED, sub="x", g=values)
            outcomes.append(True)
        except NothingMapped:
            outcomes.append(False)
    assert outcomes == [bool(set(values) & set(listed)), not set(values) & set(listed)]


@given(st.text())
def test_what_an_assertion_says_is_never_a_template(text: str) -> None:
    assert mapped([{"type": "sub"}], {"user": {"name": "<{0}>"}}, sub=text).user.name == f"<{text}>"


def test_groups_of_a_domain() -> None:
    found = mapped(
        [{"type": "sub"}, {"type": "teams", "blacklist": ["root"]}],
        NAMED,
        {"groups": "{1}", "domain": {"name": "Default"}},
        {"group": {"id": "abc"}},
        {"group": {"name": "fixed-{0}", "domain": {"id": "default"}}},
        sub="x",
        teams=["ops", "root", "dev"],
    )
    assert found.group_ids == ("abc",)
    assert found.groups == (
        ("ops", DomainRef(name="Default")),
        ("dev", DomainRef(name="Default")),
        ("fixed-x", DomainRef(id="default")),
    )


def test_groups_that_another_keystone_tells_of() -> None:
    text = 'JSON:{"name":"ops","domain":{"name":"Default"}}'
    found = mapped([{"type": "groups"}], {"groups": "{0}"}, groups=[text])
    assert found.groups == (("ops", DomainRef(name="Default")),)


def test_groups_without_a_domain_are_nobodys() -> None:
    with pytest.raises(NothingMapped, match="no domain"):
        mapped([{"type": "groups"}], {"groups": "{0}"}, groups="ops")


def test_the_first_user_counts() -> None:
    rules = {
        "rules": [
            {"remote": [{"type": "sub"}], "local": [{"user": {"name": "first"}}]},
            {"remote": [{"type": "sub"}], "local": [{"user": {"name": "second"}}]},
        ]
    }
    assert apply(parse(rules), {"sub": ["x"]}).user.name == "first"


def test_projects_have_the_default_domain_from_2_0_on() -> None:
    remote = [{"type": "sub"}]
    local = {"projects": [{"name": "p-{0}", "roles": [{"name": "member"}]}], "domain": {"id": "d"}}
    (old,) = mapped(remote, NAMED, local, sub="x").projects
    new = mapped(remote, NAMED, local, version="2.0", sub="x")
    assert (old.name, old.roles, old.domain) == ("p-x", [Role("member")], None)
    assert new.projects[0].domain == DomainRef(id="d") == new.user.domain


def test_projects_from_an_attribute() -> None:
    said = '[{"name": "p", "roles": [{"name": "reader"}], "domain": {"name": "D"}}]'
    found = mapped(
        [{"type": "sub"}, {"type": "projects"}],
        NAMED,
        {"projects_json": "{1}"},
        version="3.0",
        sub="x",
        projects=said,
    )
    assert [(each.name, each.domain) for each in found.projects] == [("p", DomainRef(name="D"))]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "rules"),
        ({"rules": []}, "at least one"),
        ({"rules": [{"local": [NAMED]}]}, "remote"),
        (rule([], NAMED), "at least one condition"),
        (rule([{"type": "a", "any_one_of": ["x"], "whitelist": ["y"]}], NAMED), "exactly one"),
        (rule([{"type": "a", "regex": True}], NAMED), "exactly one"),
        (rule([{"type": "a", "any_one_of": ["("], "regex": True}], NAMED), "regular expression"),
        (rule([{"type": "a", "any_one_of": [1], "regex": True}], NAMED), "regular expression"),
        (rule([{"type": "a", "unknown": 1}], NAMED), "unknown"),
        (rule([{"type": "a"}], {"user": {"name": "{1}"}}), "gives only 1"),
        (rule([{"type": "a", "any_one_of": ["x"]}], NAMED), "gives only 0"),
        (rule([{"type": "a"}], {"user": {"name": "{0.__class__}"}}), "placeholders"),
        (rule([{"type": "a"}], {"user": {"name": "{0"}}), "filled in"),
        (rule([{"type": "a"}], {"group": {"id": "x", "name": "y", "domain": {"id": "z"}}}), "a group"),
        (rule([{"type": "a"}], {"group": {"name": "y"}}), "a group"),
        (rule([{"type": "a"}], {"user": {"type": "other"}}), "type"),
        (rule([{"type": "a"}], {"projects_json": "{0}"}, version="2.0"), "3.0"),
        (rule([{"type": "a"}], {"projects_json": "x"}, version="3.0"), "one placeholder"),
        (rule([{"type": "a"}], NAMED, version="9"), "schema_version"),
        (
            rule([{"type": "a"}], {"projects": [{"name": "p", "roles": [], "domain": {"id": "d"}}]}),
            "2.0",
        ),
    ],
)
def test_what_is_no_mapping(document: dict[str, Any], why: str) -> None:
    with pytest.raises(MappingInvalid, match=why):
        parse(document)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["rules", "local", "remote", "type", "user"]), inner)
        ),
    )
)
def test_any_json_is_a_mapping_or_is_refused(document: Any) -> None:
    with contextlib.suppress(MappingInvalid):
        parse({"rules": document})
