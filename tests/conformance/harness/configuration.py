"""From the template to a `tempest.conf` for one cloud."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from harness.features import Absent

_SECTION = re.compile(r"\[(.+)\]")
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")


def configure(template: str, values: Mapping[str, str | None], changes: Iterable[Absent]) -> str:
    """The template with values for its `@NAMES@`, and `changes` each under a comment that says why. A line whose value
    is None is left out, as some options have none that means "not there".

    Raises ValueError for a change of a line that the template lacks: it would be without effect unnoticed.
    """
    pending = {(change.section, change.option): change for change in changes}
    lines, section = [], ""
    for line in template.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        change = pending.pop((section, line.partition("=")[0].strip()), None)
        if change is None:
            known = [values[name] for name in _PLACEHOLDER.findall(line)]
            if None not in known:
                lines.append(_PLACEHOLDER.sub(lambda found: str(values[found[1]]), line))
        else:
            lines += [f"# {change.why}", f"{change.option} = {change.value}"]
    if pending:
        raise ValueError(
            "the template has no " + ", ".join(f"[{section}] {option}" for section, option in pending)
        )
    return "\n".join(lines) + "\n"
