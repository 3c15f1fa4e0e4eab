"""The stock client, as users type it: a story for each noun, told against one simulated cloud."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pileus.testing import stories
from pileus.testing.cloud import Cloud, running_cloud

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STORIES = sorted(Path(__file__).with_name("stories").glob("*.story"))


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
    groups = ("openstack.identity.v3", "openstack.object_store.v1")
    commands = {entry.name.replace("_", " ") for each in groups for entry in entry_points(group=each)}
    assert {each for each in commands if not any(f"openstack {each} " in line for line in typed)} == set()
