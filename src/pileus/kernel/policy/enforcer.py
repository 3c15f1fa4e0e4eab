"""The rules of a service, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pileus.kernel.context import Context
from pileus.kernel.policy.compile import Compiled, Target, compile_check
from pileus.kernel.policy.explain import explain
from pileus.kernel.policy.language import Check, PolicyError, RuleText, parse, references
from pileus.kernel.policy.rule import Rule


class Enforcer:
    """A service's rules with an operator's overrides, compiled.

    An override replaces the text of a rule; scope types stay. A name that is no rule of the service may be
    used as a helper of other overrides (`rule:NAME`); otherwise it is taken for a mistake. Raises
    PolicyError that lists everything wrong: rules that cannot be read, unknown names, circles.
    """

    def __init__(self, rules: Iterable[Rule], overrides: Mapping[str, RuleText] | None = None) -> None:
        self.rules: Mapping[str, Rule] = _by_name(rules)
        overrides = overrides or {}
        texts: dict[str, RuleText] = {name: rule.check for name, rule in self.rules.items()}
        texts.update(overrides)
        problems: list[str] = []
        self._trees = _parse_all(texts, overrides, problems)
        problems += _unknown(self._trees, self.rules, texts)
        compiled = _compile_all(self._trees, problems)
        if problems:
            raise PolicyError("\n".join(problems))
        self._checks = {name: (_scopes(rule), compiled[name]) for name, rule in self.rules.items()}

    def check(self, name: str, context: Context, target: Target) -> bool:
        """Whether the rule lets this context act on this target (its attributes by name, as upstream's)."""
        try:
            scopes, check = self._checks[name]
        except KeyError:
            raise PolicyError(f"no rule {name!r} is declared") from None
        return context.scope in scopes and check(context.creds, target)

    def explain(self, name: str, context: Context, target: Target) -> str:
        """Why the rule holds or not: its text, then a line for each part that failed.

        Names what the caller has, never the target's values: they may be another project's.
        """
        if name not in self.rules:
            raise PolicyError(f"no rule {name!r} is declared")
        return explain(self.rules[name], self._trees, self.check(name, context, target), context, target)


def _by_name(rules: Iterable[Rule]) -> dict[str, Rule]:
    by_name: dict[str, Rule] = {}
    for rule in rules:
        if by_name.setdefault(rule.name, rule) != rule:
            raise PolicyError(f"rule {rule.name!r} is declared twice, differently")
    return by_name


def _scopes(rule: Rule) -> frozenset[str]:
    """Scopes that pass. To upstream a token without scope counts as one of a project."""
    if not rule.scope_types:
        return frozenset({"system", "domain", "project", "none"})
    return frozenset(rule.scope_types) | ({"none"} if "project" in rule.scope_types else set())


def _parse_all(
    texts: Mapping[str, RuleText], overrides: Mapping[str, RuleText], problems: list[str]
) -> dict[str, Check]:
    trees: dict[str, Check] = {}
    for name, text in texts.items():
        try:
            trees[name] = parse(text)
        except PolicyError as error:
            origin = "override of rule" if name in overrides else "rule"
            problems.append(f"{origin} {name!r}: {error}")
    return trees


def _unknown(
    trees: Mapping[str, Check], rules: Mapping[str, Rule], texts: Mapping[str, RuleText]
) -> Iterator[str]:
    used = {reference for tree in trees.values() for reference in references(tree)}
    for name in texts:
        if name not in rules and name not in used:
            yield f"override of unknown rule {name!r}{_suggestion(name, rules)}"
    for name, tree in trees.items():
        for reference in references(tree):
            if reference not in texts:
                yield f"rule {name!r} refers to unknown rule {reference!r}{_suggestion(reference, texts)}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # 5 ms that only a mistake has to pay

    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _compile_all(trees: Mapping[str, Check], problems: list[str]) -> dict[str, Compiled]:
    compiled: dict[str, Compiled] = {}
    under_way: list[str] = []

    def rule(name: str) -> Compiled:
        if name in compiled:
            return compiled[name]
        if name in under_way:
            circle = [*under_way[under_way.index(name) :], name]
            raise PolicyError("rules refer to each other in a circle: " + " -> ".join(map(repr, circle)))
        under_way.append(name)
        compiled[name] = compile_check(trees[name], rule)
        under_way.pop()
        return compiled[name]

    if not problems:
        for name in trees:
            rule(name)
    return compiled
