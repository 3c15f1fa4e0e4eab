"""Every operation of every service, with what its own description allows and with what it forbids: never a
500, and every error in the words of its dialect.

The whole cloud runs, over simulated hosts and networks. `PILEUS_FUZZ_EXAMPLES` asks for more than the usual
few, and for other ones each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pytest
import schemathesis
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from pileus.app.cloud import LocalCloud
from pileus.app.services import SERVICES, load
from pileus.app.settings import Settings
from pileus.kernel.api.application import scope_of
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.context import Context
from pileus.kernel.errors import ApiError
from pileus.services.object_store.s3 import operations as s3_operations
from pileus.testing.cloud import free_port
from pileus.testing.described import Description

EVERY = load(*SERVICES)

pytestmark = pytest.mark.slow
T = TypeVar("T")
EXAMPLES = int(os.environ.get("PILEUS_FUZZ_EXAMPLES", "8"))
ENDLESS = {"GET /events"}
"""Streams that last for as long as somebody listens."""
_OAUTH = ("v3/OS-OAUTH2/token", "oidc/token", "oidc/device_authorization")
OTHER_WORDS = {f"POST /identity/{path}": {"error", "error_description"} for path in _OAUTH}
"""Operations whose errors another standard words: RFC 6749, section 5.2."""
PAGES = {
    "POST /identity/oidc/device",
    "POST /identity/oidc/authorize",
    "GET /s3-website/{bucket}/{key}",
    "HEAD /s3-website/{bucket}/{key}",
}
"""What people see, their mistakes included."""
LONGEST = 300
"""Texts are made no longer: what is longer is as good as this, and takes long to make."""


def shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: min(each, LONGEST) if name == "maxLength" and isinstance(each, int) else shortened(each)
            for name, each in value.items()
        }
    return [shortened(each) for each in value] if isinstance(value, list) else value


DESCRIPTIONS = {service.type: Description(service) for service in EVERY}
SCHEMAS = {
    service.type: schemathesis.openapi.from_dict(shortened(DESCRIPTIONS[service.type].document))
    for service in EVERY
}
DIALECTS = {service.type: service.dialect for service in EVERY}
S3_NAMES = sorted({(), *(each.query for each in s3_operations)})
"""What S3 tells its operations apart by, beside addresses and methods: names in the query."""
OPERATIONS = sorted(
    (
        (kind, operation)
        for kind, schema in SCHEMAS.items()
        for result in schema.get_all_operations()
        if (operation := result.ok()).label not in ENDLESS
    ),
    key=lambda each: ("POST", "PUT", "PATCH", "GET", "HEAD", "OPTIONS", "DELETE").index(
        each[1].method.upper()
    ),
)
"""What makes things comes first, what takes them away last."""


class RunningCloud:
    """A simulated cloud on a thread of its own, asked without a socket."""

    def __init__(self, state: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        settings = Settings(sim=True, listen=address, log_level="error")
        self.cloud = LocalCloud(settings, state)
        self.run(self.cloud.start(lambda step: None))
        self.token = ""
        self.known: dict[str, str] = {}
        """What parameters of paths may be, by the collection or the parameter's own name."""
        self.project_id = ""
        """The administrator's own."""

    def named(self, name: str, collection: str = "") -> str | None:
        """The id of something that `name` (`port_id`, `floating_network_id`) or its collection stands for."""
        collections = {key.replace("-", "_") for key in (name, collection)}
        collections.add(name.removesuffix("_id").rpartition("_")[2] + "s")
        return next((self.known[key] for key in collections if key in self.known), None)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def stop(self) -> None:
        self.run(self.cloud.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        **scope: Any,
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {"x-auth-token": self.token, **(headers or {})}
        return self.run(self._ask(method, path, query, sent, body, scope))

    async def _ask(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, scope: dict[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        start: dict[str, Any] = {}
        chunks: list[bytes] = []
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                chunks.append(message.get("body", b""))

        sent = [
            (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()
        ]
        asked = scope_of(method, path, sent, query.encode(), **scope)
        await self.cloud.application(asked, receive, send)
        said = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return start["status"], said, b"".join(chunks)

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = b"" if body is None else json.dumps(body).encode()
        status, said, answer = self.ask(method, path, headers=headers, body=sent)
        assert status < 400, (method, path, status, answer)
        self.said = said
        return json.loads(answer) if answer else None


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path_factory.mktemp("fuzz"))
    try:
        log_in(running)
        furnish(running)
        yield running
    finally:
        running.stop()


def log_in(cloud: RunningCloud) -> None:
    domain = {"id": "default"}
    password = (cloud.cloud.state / "admin-password").read_text().strip()
    user = {"name": "admin", "domain": domain, "password": password}
    scope = {"project": {"name": "admin", "domain": domain}}
    identity = {"methods": ["password"], "password": {"user": user}}
    cloud.json("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
    cloud.token = cloud.said["x-subject-token"]


def furnish(cloud: RunningCloud) -> None:
    """One of everything, so that calls get further than a 404. Nothing that the caller itself needs."""

    def made(path: str, body: dict[str, Any], **headers: str) -> str:
        answer = cloud.json("POST", path, body, **headers)
        inner = answer if "id" in answer or "uuid" in answer else next(iter(answer.values()))
        key: str = inner.get("id") or inner.get("uuid") or inner["name"]
        cloud.known[path.rpartition("/")[2].replace("-", "_")] = str(key)
        return key

    for noun in ("project", "user", "group", "role", "domain"):
        made(f"/identity/v3/{noun}s", {noun: {"name": f"the-{noun}"}})
    made("/identity/v3/regions", {"region": {"id": "elsewhere"}})
    service = made("/identity/v3/services", {"service": {"type": "x", "name": "x"}})
    endpoint = {"service_id": service, "interface": "public", "url": "http://x"}
    made("/identity/v3/endpoints", {"endpoint": endpoint})
    network = made("/networking/v2.0/networks", {"network": {"name": "n"}})
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.9.0.0/24"}
    made("/networking/v2.0/subnets", {"subnet": subnet})
    made("/networking/v2.0/ports", {"port": {"network_id": network}})
    made("/networking/v2.0/routers", {"router": {"name": "r"}})
    group = made("/networking/v2.0/security-groups", {"security_group": {"name": "g"}})
    rule = {"security_group_id": group, "direction": "ingress"}
    made("/networking/v2.0/security-group-rules", {"security_group_rule": rule})
    image = made("/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"})
    octets = {"content-type": "application/octet-stream"}
    assert cloud.ask("PUT", f"/image/v2/images/{image}/file", headers=octets, body=b"x" * 512)[0] == 204
    flavor = made("/compute/v2.1/flavors", {"flavor": {"name": "f", "ram": 64, "vcpus": 1, "disk": 1}})
    made("/compute/v2.1/os-aggregates", {"aggregate": {"name": "a"}})
    made("/compute/v2.1/os-keypairs", {"keypair": {"name": "key"}})
    made("/compute/v2.1/os-server-groups", {"server_group": {"name": "s", "policies": ["affinity"]}})
    server = {"name": "s", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}
    made("/compute/v2.1/servers", {"server": server})
    hypervisors = cloud.json("GET", "/compute/v2.1/os-hypervisors")["hypervisors"]
    services = cloud.json("GET", "/compute/v2.1/os-services")["services"]
    newest = {"openstack-api-version": "placement latest"}
    provider = made("/placement/resource_providers", {"name": "p"}, **newest)
    stock = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}
    cloud.json("PUT", f"/placement/resource_providers/{provider}/inventories", stock, **newest)
    cloud.json("PUT", "/placement/traits/CUSTOM_X", **newest)
    cloud.json("PUT", "/placement/resource_classes/CUSTOM_X", **newest)
    cloud.project_id = cloud.json("GET", "/identity/v3/auth/projects")["projects"][0]["id"]
    account = f"AUTH_{cloud.project_id}"
    for path in (f"/v1/{account}/box", f"/v1/{account}/box/blue"):
        assert cloud.ask("PUT", path, headers={"content-length": "0"})[0] == 201
    cloud.known |= {
        "account": account,
        "container": "box",
        "bucket": "box",
        "object": "blue",
        "traits": "CUSTOM_X",
        "resource_classes": "CUSTOM_X",
        "inventories": "VCPU",
        "tag": "blue",
        "value": "blue",
        "key": "blue",
        "service_type": "compute",
        "os_hypervisors": str(hypervisors[0]["id"]),
        "os_services": str(services[0]["id"]),
        "prior_role_id": cloud.known["roles"],
        "implied_role_id": cloud.known["roles"],
    }


def grounded(cloud: RunningCloud, draw: Callable[..., Any], value: Any) -> Any:
    """The same, with ids mostly of things that there are."""
    if isinstance(value, dict):
        return {
            name: known
            if isinstance(each, str)
            and (known := cloud.named(str(name))) is not None
            and draw(st.integers(0, 3))
            else grounded(cloud, draw, each)
            for name, each in value.items()
        }
    return [grounded(cloud, draw, each) for each in value] if isinstance(value, list) else value


ODD: list[Any] = [
    None,
    "",
    "\0",
    "x\0y",
    "\ud800",
    "x" * 70_000,
    -1,
    0,
    2**31,
    2**63,
    10**40,
    1.5,
    1e308,
    True,
    [],
    {},
    [[]],
    {"": None},
]


def spoilt(draw: Callable[..., Any], value: Any) -> Any:
    """The same, but for one place."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value, key=str)))
        return {**value, name: spoilt(draw, value[name])}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [spoilt(draw, value[0]), *value[1:]]
    return draw(st.sampled_from(ODD))


def path_of(case: Any, cloud: RunningCloud, draw: Callable[..., Any]) -> str:
    """The case's path, mostly with the ids of things that there are."""
    path: str = case.operation.path
    segments = path.split("/")
    for name, value in (case.path_parameters or {}).items():
        place = "{" + name + "}"
        known = cloud.named(name, segments[segments.index(place) - 1])
        text = known if known is not None and draw(st.integers(0, 5)) else str(value)
        path = path.replace(place, text.encode("utf-8", "replace").decode())
    return path


def is_json(kind: str, answer: bytes) -> bool:
    return kind.startswith("application/json") and answer[:1] in b"{["


@pytest.mark.parametrize(
    ("kind", "operation"), OPERATIONS, ids=[f"{kind} {operation.label}" for kind, operation in OPERATIONS]
)
def test_never_a_500(cloud: RunningCloud, kind: str, operation: Any) -> None:
    mode = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="PILEUS_FUZZ_EXAMPLES" not in os.environ,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        draw = data.draw
        case = draw(operation.as_strategy(generation_mode=draw(mode)))
        body = case.body
        content = b""
        if isinstance(body, bytes):
            content = body
        elif not isinstance(body, schemathesis.core.NotSet):
            body = grounded(cloud, draw, body)
            content = json.dumps(body if draw(st.integers(0, 2)) else spoilt(draw, body)).encode()
        pairs = [(str(name), value) for name, value in (case.query or {}).items()]
        query = urlencode(pairs, doseq=True, quote_via=quote, errors="surrogatepass")
        path = path_of(case, cloud, draw)
        headers = {"openstack-api-version": f"{kind} latest", "x-openstack-nova-api-version": "latest"}
        if kind == "image" and operation.method.upper() == "PATCH":
            headers["content-type"] = "application/openstack-images-v2.1-json-patch"
        scope: dict[str, Any] = {}
        if kind == "s3":  # as if signed
            owner = Context(
                user_id="u", user_name="u", project_id=cloud.project_id, roles=frozenset({"member"})
            )
            scope[CONTEXT_KEY] = owner
            value = st.sampled_from(["", "1", "2", "x", "\0"])
            query = urlencode([(name, draw(value)) for name in draw(st.sampled_from(S3_NAMES))])
            headers["content-length"] = str(len(content))
        status, said, answer = cloud.ask(
            operation.method.upper(), path, query=query, headers=headers, body=content, **scope
        )
        asked = f"{operation.method.upper()} {path}?{query} {content!r}"
        assert status < 500 or status == 501, f"{status} from {asked[:2000]}: {answer[:1000]!r}"
        if status < 400:
            problems = DESCRIPTIONS[kind].problems(operation.method, operation.path, status, said, answer)
            assert not problems, f"{asked[:2000]}: {problems}"
        if operation.label in PAGES and said.get("content-type", "").startswith("text/html"):
            return
        page = DIALECTS[kind].page
        if status >= 400 and page is not None:
            # With a reason of its own, and with what says no more than the status.
            kinds = {
                page(ApiError(text, status=status))[0] for text in ("x", "The resource could not be found.")
            }
            assert said["content-type"] in kinds
        elif status >= 400 and operation.method.upper() != "HEAD":
            assert is_json(said.get("content-type", ""), answer), f"{asked}: {said} {answer[:200]!r}"
            expected = set(DIALECTS[kind].envelope(ApiError("x", status=status), "req-x"))
            expected = OTHER_WORDS.get(operation.label, expected)
            assert set(json.loads(answer)) == expected, f"{asked}: {answer[:500]!r}"

    ask()
    status = cloud.ask("GET", "/identity/v3/projects")[0]
    assert status == 200, f"after {operation.label} the administrator's token no longer works"
