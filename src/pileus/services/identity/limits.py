"""How limits of projects and domains must agree: the enforcement models of unified limits, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ModelName = Literal["flat", "strict_two_level"]
UNLIMITED = -1


@dataclass(frozen=True)
class Model:
    name: ModelName
    description: str
    deepest_project: int | None
    """How many levels of projects may lie below a domain; None: the model does not care."""


MODELS: Mapping[ModelName, Model] = {
    "flat": Model("flat", "Each limit stands for itself, wherever its project lies.", None),
    "strict_two_level": Model(
        "strict_two_level",
        "Two levels of projects below a domain; nothing may have more than what it lies in.",
        2,
    ),
}


def exceeds(number: int, bound: int) -> bool:
    """Whether a limit is more than another, where -1 is more than everything."""
    if bound == UNLIMITED:
        return False
    return number == UNLIMITED or number > bound


def disagreement(default: int, by_owner: Mapping[str, int], parent_of: Mapping[str, str]) -> str | None:
    """Of the limits for one resource, the project whose limit is greater than that of what it lies in.

    `by_owner` are limits by project or domain, `parent_of` what each project among them lies in, `default` what
    projects and domains without a limit have.
    """
    for project_id, parent_id in parent_of.items():
        if exceeds(by_owner[project_id], by_owner.get(parent_id, default)):
            return project_id
    return None
