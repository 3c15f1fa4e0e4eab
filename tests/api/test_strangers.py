"""What belongs to one project is nobody else's: every operation of every service, asked by strangers with the right ids
in hand. They see nothing of it, and afterwards it is as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .test_fuzz import OPERATIONS, RunningCloud, furnish, grounded, log_in, path_of

pytestmark = pytest.mark.slow

PRIVATE = {
    "networks": "/networking/v2.0/networks/{}",
    "subnets": "/networking/v2.0/subnets/{}",
    "ports": "/networking/v2.0/ports/{}",
    "routers": "/networking/v2.0/routers/{}",
    "security_groups": "/networking/v2.0/security-groups/{}",
    "security_group_rules": "/networking/v2.0/security-group-rules/{}",
    "images": "/image/v2/images/{}",
    "os_aggregates": "/compute/v2.1/os-aggregates/{}",
    "os_server_groups": "/compute/v2.1/os-server-groups/{}",
    "servers": "/compute/v2.1/servers/{}",
    "resource_providers": "/placement/resource_providers/{}",
    "users": "/identity/v3/users/{}",
    "groups": "/identity/v3/groups/{}",
    "projects": "/identity/v3/projects/{}",
    "domains": "/identity/v3/domains/{}",
}
"""What only its own project, or the cloud's administrator, may see."""

WORDS = re.compile(r"[\w-]+")


class Stranger:
    def __init__(self, name: str, token: str) -> None:
        self.name, self.token = name, token


class World:
    """A furnished cloud, those who have no business in it, and how its things look to their owner."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.owner = cloud.token
        self.secrets = {cloud.known[noun] for noun in PRIVATE} - {"1"}  # the number of an aggregate
        elsewhere = self._made("/identity/v3/domains", domain={"name": "elsewhere"})
        project = self._made("/identity/v3/projects", project={"name": "theirs", "domain_id": elsewhere})
        member, manager, nobody = (self._user(name, elsewhere) for name in ("member", "manager", "nobody"))
        roles = {each["name"]: each["id"] for each in cloud.json("GET", "/identity/v3/roles")["roles"]}
        cloud.json("PUT", f"/identity/v3/projects/{project}/users/{member}/roles/{roles['member']}")
        cloud.json("PUT", f"/identity/v3/domains/{elsewhere}/users/{manager}/roles/{roles['manager']}")
        self.strangers = [
            Stranger("a member of another project", self._token(member, {"project": {"id": project}})),
            Stranger("a manager of another domain", self._token(manager, {"domain": {"id": elsewhere}})),
            Stranger("a user without any role", self._token(nobody, "unscoped")),
        ]
        self.before = self.look()

    def look(self) -> dict[str, Any]:
        self.cloud.token = self.owner
        newest = {"openstack-api-version": "placement latest"}
        return {
            noun: settled(self.cloud.json("GET", path.format(self.cloud.known[noun]), **newest))
            for noun, path in PRIVATE.items()
        }

    def _made(self, path: str, **body: Any) -> str:
        answer = self.cloud.json("POST", path, body)
        made: str = next(iter(answer.values()))["id"]
        return made

    def _user(self, name: str, domain: str) -> str:
        return self._made("/identity/v3/users", user={"name": name, "domain_id": domain, "password": "x"})

    def _token(self, user: str, scope: Any) -> str:
        identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "x"}}}
        self.cloud.json("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
        token: str = self.cloud.said["x-subject-token"]
        return token


def settled(shown: Any) -> Any:
    """Without what moves by itself while a server comes up."""
    inner = next(iter(shown.values()), shown)
    if isinstance(inner, dict) and "flavor" in inner:
        kept = (
            "id",
            "name",
            "metadata",
            "image",
            "flavor",
            "key_name",
            "security_groups",
            "tenant_id",
            "user_id",
        )
        return {name: value for name, value in inner.items() if name in kept}
    if isinstance(inner, dict) and "binding:host_id" in inner:
        return {
            name: value
            for name, value in inner.items()
            if name not in ("updated_at", "revision_number", "status")
        }
    return shown


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = RunningCloud(tmp_path_factory.mktemp("strangers"))
    try:
        log_in(running)
        furnish(running)
        yield World(running)
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("kind", "operation"), OPERATIONS, ids=[f"{kind} {operation.label}" for kind, operation in OPERATIONS]
)
def test_a_stranger_sees_and_moves_nothing(world: World, kind: str, operation: Any) -> None:
    cloud = world.cloud

    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        stranger = data.draw(st.sampled_from(world.strangers))
        case = data.draw(operation.as_strategy())
        content = b""
        if isinstance(case.body, bytes):
            content = case.body
        elif not isinstance(case.body, schemathesis.core.NotSet):
            content = json.dumps(grounded(cloud, data.draw, case.body)).encode()
        headers = {"openstack-api-version": f"{kind} latest", "x-openstack-nova-api-version": "latest"}
        if kind == "image" and operation.method.upper() == "PATCH":
            headers["content-type"] = "application/openstack-images-v2.1-json-patch"
        path = path_of(case, cloud, data.draw)
        headers["x-auth-token"] = stranger.token
        status, _, answer = cloud.ask(operation.method.upper(), path, headers=headers, body=content)
        if status < 400:
            # What they said themselves may come back to them.
            said = set(WORDS.findall(path + content.decode("utf-8", "replace")))
            seen = set(WORDS.findall(answer.decode("utf-8", "replace"))) & world.secrets - said
            assert not seen, (
                f"{stranger.name} sees {seen}: {operation.method.upper()} {path}: {answer[:1000]!r}"
            )

    ask()
    assert world.look() == world.before
