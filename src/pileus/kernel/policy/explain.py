"""Why a rule held or failed, in words for the one who asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pileus.kernel.context import Context, Credentials
from pileus.kernel.policy.compile import Compiled, Target, compile_check
from pileus.kernel.policy.language import Always, And, Check, Field, Match, Never, Not, Or, Ref, Role
from pileus.kernel.policy.rule import Rule


def explain(rule: Rule, trees: Mapping[str, Check], allowed: bool, context: Context, target: Target) -> str:
    """The rule with its text as it is in force, and what decided; see `Enforcer.explain`."""
    tree = trees[rule.name]
    verdict = "allows" if allowed else "refuses"
    lines = [f"{rule.name} {verdict} this. It reads: {_unwrapped(tree)}"]
    scope = context.scope
    if not allowed and rule.scope_types and ("project" if scope == "none" else scope) not in rule.scope_types:
        wanted = " or ".join(rule.scope_types)
        have = "has no scope" if scope == "none" else f"has {scope} scope"
        return f"{lines[0]}\n- it takes a token of {wanted} scope; yours {have}"
    explainer = _Explainer(trees, context.creds, target)
    lines += (f"- {line}" for line in explainer.lines(tree, allowed))
    return "\n".join(lines)


def _unwrapped(check: Check) -> str:
    text = str(check)
    return text[1:-1] if isinstance(check, And | Or) else text


class _Explainer:
    def __init__(self, trees: Mapping[str, Check], creds: Credentials, target: Target) -> None:
        self._trees = trees
        self._creds = creds
        self._target = target

    def _holds(self, check: Check) -> bool:
        return compile_check(check, self._rule)(self._creds, self._target)

    def _rule(self, name: str) -> Compiled:
        return compile_check(self._trees[name], self._rule)

    def lines(self, check: Check, held: bool) -> Iterator[str]:
        """The parts that made `check` come out as `held`."""
        match check:
            case Not(inner):
                yield from (f"not: {line}" for line in self.lines(inner, not held))
            case And(checks) | Or(checks):
                for each in checks:
                    if self._holds(each) is held:
                        yield from self.lines(each, held)
            case Ref(name):
                yield from (f"{check}: {line}" for line in self.lines(self._trees[name], held))
            case _:
                yield f"{check}: {'holds' if held else self._reason(check)}"

    def _reason(self, check: Always | Never | Role | Match | Field) -> str:
        """Why a single check failed."""
        match check:
            case Role(template):
                return self._missing(template) or (
                    "your roles are " + ", ".join(self._creds["roles"])
                    if self._creds["roles"]
                    else "you have no role"
                )
            case Match(kind, template):
                if missing := self._missing(template):
                    return missing
                if check.literal is not None:
                    return "the target's value differs"
                return self._credential(kind)
            case Field(_, name, _, _):
                return f"the target's {name} differs" if name in self._target else f"the target has no {name}"
            case _:
                return "nobody may"

    def _missing(self, template: str) -> str | None:
        """Which attribute the template names that the target lacks."""
        try:
            template % self._target
        except KeyError as error:
            return f"the target has no {error.args[0]}"
        return None

    def _credential(self, path: str) -> str:
        value: object = self._creds
        for segment in path.split("."):
            value = value.get(segment) if isinstance(value, Mapping) else None
        return f"you have no {path}" if value is None else f"your {path} is {value}, the wanted one differs"
