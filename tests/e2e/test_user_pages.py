"""What the pages for users tell them to type works as it stands, from the first line of a page to the last."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pileus.testing.cloud import Cloud, running_cloud

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PAGES = Path(__file__).parents[2] / "doc/user"
REALM = {
    "PILEUS_OBJECT_STORE__CONTAINER_SYNC__REALMS": '{friends = {key = "k", clusters = {paris = "http://127.0.0.1:1"}}}'
}
_PRELUDE = """
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }
is() { test "$1" = "$2" || { echo "this is not '$2': '$1'" >&2; exit 1; }; }
"""
CHECKS: dict[str, str] = {
    "Every day": """
        is "$(cat cat-again.jpg)" "a cat"
        curl -H "X-Auth-Token: $TOKEN" "$URL"
        is "$(command curl -s -o /dev/null -w '%{http_code}' -H "X-Auth-Token: $TOKEN" "$URL/photos")" 404
    """,
    "Large objects": """is "$(swift list backups)" "" ; is "$(swift list backups_segments)" "" """,
    "Who may": r"""
        swift upload photos cat.jpg dog.jpg
        swift stat photos | grep -q 'Write ACL: \*:USER_ID'
        is "$(curl "${URL%/v1/*}$(swift tempurl GET 60 "/v1/AUTH_$PROJECT_ID/photos/cat.jpg" 'a long secret')")" "a cat"
    """,
    "A web site": """
        is "$(curl "$URL/site/" -H 'Referer: http://example.org/')" "welcome"
        is "$(command curl -s "$URL/site/nothing")" "not here"
    """,
    "Many at once": """
        is "$(curl -H "X-Auth-Token: $TOKEN" "$URL/site/packed.html")" "packed"
        is "$(swift list photos 2>&1 | head -1)" "Container 'photos' not found"
    """,
    "Names for other objects": """
        is "$(curl -H "X-Auth-Token: $TOKEN" "$URL/www/latest.tar")" "version 7"
    """,
    "Older versions, and an end": """
        swift stat photos cat.jpg | grep -q "X-Delete-At"
        swift upload photos dog.jpg --object-name cat.jpg
        is "$(curl -H "X-Auth-Token: $TOKEN" "$URL/photos/cat.jpg")" "a dog"
        swift delete photos cat.jpg
        is "$(curl -H "X-Auth-Token: $TOKEN" "$URL/photos/cat.jpg")" "a cat"
        is "$(curl -H "X-Auth-Token: $TOKEN" "$URL/albums/cat.jpg")" "a cat"
    """,
    "In two clouds": """swift stat photos | grep -q 'Sync To: //friends/paris/'""",
}
"""By heading, what must be so after what stands under it."""


ELSEWHERE = {"In a minute"}
"""Makes a cloud of its own, at its usual port: here it is made already."""


def typed(page: str) -> Iterator[tuple[str, list[str]]]:
    """Under each heading, what is typed there; lines that go on are one command."""
    heading, commands, inside = "", [], False
    for line in page.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside and line.startswith("$ "):
            commands.append(line[2:])
        elif inside and commands and (commands[-1].endswith(("|", "\\"))):
            commands[-1] += "\n" + line
        elif not inside and line.startswith("#"):
            if heading:
                yield heading, commands
            heading, commands = line.lstrip("# "), []
    yield heading, commands


def script(page: str, checks: Mapping[str, str]) -> str:
    lines = [_PRELUDE]
    found = {heading: commands for heading, commands in typed(page) if heading not in ELSEWHERE}
    assert {heading for heading, commands in found.items() if commands} == set(checks), (
        "each part is looked at"
    )
    for heading, commands in found.items():
        for command in commands:
            lines += ["cat >&2 <<'TYPED'", f"$ {command}", "TYPED", command]
        if heading in checks:
            lines += [f"echo '## {heading}' >&2", checks[heading]]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("pages"), settings=REALM) as running:
        yield running


def fill(folder: Path) -> None:
    for name, text in {
        "cat.jpg": "a cat",
        "dog.jpg": "a dog",
        "disk.img": "0" * 3_000_000,
        "index.html": "welcome",
        "404error.html": "not here",
        "packed.html": "packed",
        "v7.tar": "version 7",
    }.items():
        (folder / name).write_text(text)
    with tarfile.open(folder / "site.tar.gz", "w:gz") as tar:
        tar.add(folder / "packed.html", "packed.html")
    (folder / "packed.html").unlink()


def test_the_page_of_the_object_store(cloud: Cloud, tmp_path: Path) -> None:
    fill(tmp_path)
    done = subprocess.run(
        ["bash", "-c", script((PAGES / "object-store.md").read_text(), CHECKS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "OS_AUTH_URL": f"{cloud.base_url}/identity/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": (cloud.state / "admin-password").read_text().strip(),
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
        },
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_what_is_typed_is_found() -> None:
    page = "# One\n```\n$ a |\n    b\nwhat it prints\n$ c\n```\n## Two\nwords\n```json\n{}\n```\n## Three\n"
    assert dict(typed(page)) == {"One": ["a |\n    b", "c"], "Two": [], "Three": []}
