"""The stock client, as users type it: a story for each noun, told against one simulated cloud."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pileus.testing import stories
from pileus.testing.cloud import Cloud, running_cloud

STORIES = sorted(Path(__file__).with_name("stories").glob("*.story"))
TOLD = (
    *("project", "user", "group", "role", "implied_role", "domain", "region", "service", "endpoint"),
    *("endpoint_group", "policy", "limit", "registered_limit", "catalog", "token", "role_assignment"),
)
"""Groups of commands of which every one must be typed in some story."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("stories")) as running:
        yield running


@pytest.mark.parametrize("story", STORIES, ids=lambda story: str(story.stem))
def test_story(cloud: Cloud, story: Path) -> None:
    stories.tell(
        story,
        {
            "OS_AUTH_URL": f"{cloud.base_url}/identity/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": (cloud.state / "admin-password").read_text().strip(),
            "OS_PROJECT_NAME": "admin",
            "OS_DEFAULT_DOMAIN": "default",
            "OS_IDENTITY_API_VERSION": "3",
        },
    )


def test_every_command_is_typed() -> None:
    typed = [f"{step.command} " for file in STORIES for step in stories.steps(file.read_text())]
    verbs = {
        "list",
        "show",
        "create",
        "delete",
        "set",
        "add",
        "remove",
        "issue",
        "revoke",
        "contains",
        "password",
    }
    commands = {
        entry.name
        for entry in entry_points(group="openstack.identity.v3")
        if any(
            entry.name.startswith(f"{group}_") and entry.name.removeprefix(f"{group}_").split("_")[0] in verbs
            for group in TOLD
        )
    }
    untyped = {name for name in commands if not any(f" {name.replace('_', ' ')} " in line for line in typed)}
    assert untyped == set()
