"""What can't be done is refused with upstream's status and words that name the cause. Never a 500."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.kernel.api.operation import Kind
from pileus.services.compute.service import service
from pileus.testing.compute import ComputeUnderTest, compute_alone
from pileus.testing.personas import PROJECT_ID, persona
from pileus.testing.service import ADMIN

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def compute() -> AsyncIterator[ComputeUnderTest]:
    async with compute_alone(hosts={"small": {"vcpus": 2, "memory_mib": 2048, "disk_gib": 20}}) as running:
        yield running


async def refused(
    compute: ComputeUnderTest, status: int, words: str, *, version: str = "2.1", **more: Any
) -> None:
    reply = await compute.ask("POST", "/servers", compute.wanted(**more), version=version)
    assert reply.status == status, (reply.status, reply.body)
    ((kind, said),) = reply.json().items()
    assert kind == {400: "badRequest", 403: "forbidden", 409: "conflictingRequest"}[status]
    assert (said["code"], words in said["message"]) == (status, True), said


@pytest.mark.parametrize(
    ("status", "words", "more"),
    [
        (400, "image", {"imageRef": NOWHERE}),
        (400, "no image id", {"imageRef": "nonsense"}),
        (400, "no image to boot from", {"imageRef": ""}),
        (400, "Flavor 999", {"flavorRef": "999"}),
        (400, "Network", {"networks": [{"uuid": NOWHERE}]}),
        (400, "not in proper format", {"networks": [{"uuid": "x"}]}),
        (400, "Port id", {"networks": [{"port": NOWHERE}]}),
        (400, "Invalid fixed IP", {"networks": [{"uuid": NOWHERE, "fixed_ip": "10.0.0"}]}),
        (400, "Invalid key_name", {"key_name": "none"}),
        (400, "Security group", {"security_groups": [{"name": "none"}]}),
        (400, "Base64", {"user_data": "***"}),
        (400, "user_data", {"user_data": "A" * 65536}),
        (400, "availability zone", {"availability_zone": "moon"}),
        (400, "accessIPv4", {"accessIPv4": "fe80::1"}),
        (400, "min_count", {"min_count": 3, "max_count": 2}),
        (400, "'colour' was unexpected", {"colour": "red"}),
        (400, "name", {"name": ""}),
        (400, "name", {"name": " x"}),
        (400, "name", {"name": "x" * 256}),
        (400, "'name' is a required property", {"name": None}),
        (400, "metadata", {"metadata": {"k": 1}}),
        (400, "Volumes", {"block_device_mapping_v2": [{"source_type": "volume", "uuid": NOWHERE}]}),
        (403, "forced_host", {"availability_zone": "nova:small"}),
        (403, "metadata items", {"metadata": {str(n): "" for n in range(129)}}),
        (403, "Quota exceeded for instances", {"min_count": 11, "max_count": 11}),
    ],
)
async def test_a_server_is_refused(
    compute: ComputeUnderTest, status: int, words: str, more: dict[str, Any]
) -> None:
    await refused(compute, status, words, **more)


async def test_hints_must_make_sense(compute: ComputeUnderTest) -> None:
    for hints, words in (
        ({"group": NOWHERE}, "Instance group"),
        ({"group": "x"}, "uuid"),
        ({"same_host": 1}, "same_host"),
    ):
        reply = await compute.ask("POST", "/servers", {**compute.wanted(), "os:scheduler_hints": hints})
        assert (reply.status, words in reply.json()["badRequest"]["message"]) == (400, True)


async def test_several_servers_share_no_address(compute: ComputeUnderTest) -> None:
    fixed = [{"uuid": compute.network_id, "fixed_ip": "10.0.0.77"}]
    await refused(compute, 400, "one fixed IP", min_count=2, networks=fixed)


async def test_several_networks_need_a_choice(compute: ComputeUnderTest) -> None:
    compute.needs.networks.add_network(PROJECT_ID, "second")
    await refused(compute, 409, "Multiple possible networks", networks=None)
    await refused(compute, 400, "'networks' is a required property", networks=None, version="2.37")
    await compute.boot(networks="none", version="2.37")


async def test_an_image_must_be_active_and_fit(compute: ComputeUnderTest) -> None:
    queued = compute.needs.images.add(status="queued")
    big = compute.needs.images.add(size=3 * 2**30)
    hungry = compute.needs.images.add(min_ram=1024)
    await refused(compute, 400, "is not active: it is queued", imageRef=queued)
    await refused(compute, 400, "the image needs 3 GiB", imageRef=big)
    await refused(compute, 400, "the image needs 1024 MiB", imageRef=hungry)


async def test_no_room_is_said_with_numbers(compute: ComputeUnderTest) -> None:
    flavor = {"flavor": {"name": "huge", "id": "huge", "ram": 65536, "vcpus": 1, "disk": 1}}
    await compute.ask("POST", "/flavors", flavor, as_=ADMIN, expect=200)
    limits = {"quota_set": {"ram": -1}}
    await compute.ask("PUT", f"/os-quota-sets/{PROJECT_ID}", limits, as_=ADMIN, expect=200)
    made = await compute.ask("POST", "/servers", compute.wanted(flavorRef="huge"), expect=202)
    server = await compute.until(made["server"]["id"], "ERROR")
    assert "no host has 64 GiB of memory free; the largest has 1.5 GiB" in server["fault"]["message"]
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert compute.needs.placement.allocations == {}


async def test_quota_lets_fewer_be_made(compute: ComputeUnderTest) -> None:
    await compute.ask(
        "PUT", f"/os-quota-sets/{PROJECT_ID}", {"quota_set": {"instances": 2}}, as_=ADMIN, expect=200
    )
    await compute.ask("POST", "/servers", compute.wanted(min_count=1, max_count=5), expect=202)
    listed = (await compute.ask("GET", "/servers", expect=200))["servers"]
    assert sorted(each["name"] for each in listed) == ["web-1", "web-2"]
    await refused(compute, 403, "already used 2 of 2 instances")


async def test_a_port_is_taken_once(compute: ComputeUnderTest) -> None:
    port_id = compute.needs.networks.add_port(compute.network_id, PROJECT_ID)
    server = await compute.boot(networks=[{"port": port_id}])
    await refused(compute, 409, "still in use", networks=[{"port": port_id}])
    await compute.ask("DELETE", f"/servers/{server['id']}", expect=204)
    await compute.gone(server["id"])
    assert compute.needs.networks.all_ports[port_id]["device_id"] == ""


async def test_actions_in_the_wrong_state(compute: ComputeUnderTest) -> None:
    path = f"/servers/{(await compute.boot())['id']}/action"
    await compute.ask("POST", path, {"os-start": None}, expect=409)
    await compute.ask("POST", path, {"dance": None}, expect=400)
    await compute.ask("POST", path, {"reboot": {"type": "GENTLE"}}, expect=400)
    await compute.ask("POST", path, {"reboot": {}}, expect=400)
    await compute.ask("POST", path, {"changePassword": {"adminPass": "x"}}, expect=501)
    await compute.ask("POST", path, {"os-getConsoleOutput": {"length": "x"}}, expect=400)
    await compute.ask("POST", path, {"lock": None}, expect=202)
    for body in ({"os-stop": None}, {"reboot": {"type": "SOFT"}}, {"forceDelete": None}):
        reply = await compute.ask("POST", path, body)
        assert (reply.status, "is locked" in reply.body.decode()) == (409, True)
    await compute.ask("DELETE", path.removesuffix("/action"), expect=409)
    await compute.ask("POST", path, {"unlock": None}, expect=202)
    await compute.ask("DELETE", path.removesuffix("/action"), expect=204)


async def test_other_projects_see_nothing(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    stranger = persona("project", "member", project_id="other", user_id="stranger")
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/metadata"),
        ("GET", "/os-interface"),
        ("GET", "/os-instance-actions"),
        ("GET", "/ips"),
    ):
        await compute.ask(method, f"/servers/{server['id']}{path}", as_=stranger, expect=404)
    await compute.ask("POST", f"/servers/{server['id']}/action", {"os-stop": None}, as_=stranger, expect=404)
    assert (await compute.ask("GET", "/servers/detail", as_=stranger, expect=200))["servers"] == []
    await compute.ask("GET", "/servers?all_tenants=1", as_=stranger, expect=403)
    everywhere = await compute.ask("GET", "/servers?all_tenants=1", as_=ADMIN, expect=200)
    assert [each["id"] for each in everywhere["servers"]] == [server["id"]]
    body = compute.wanted()
    reply = await compute.ask("POST", "/servers", body, as_=stranger)
    assert (reply.status, "Network" in reply.body.decode()) == (400, True)


async def test_members_do_not_see_what_is_the_administrators(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    shown = (await compute.ask("GET", f"/servers/{server['id']}", version="2.104", expect=200))["server"]
    assert not {"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:hypervisor_hostname", "host_status"} & set(shown)
    for path in ("/os-hypervisors", "/os-services", "/os-aggregates", f"/servers/{server['id']}/diagnostics"):
        await compute.ask("GET", path, expect=403)
    reader = persona("project", "reader")
    await compute.ask("GET", f"/servers/{server['id']}", as_=reader, expect=200)
    await compute.ask("DELETE", f"/servers/{server['id']}", as_=reader, expect=403)
    await compute.ask("POST", "/servers", compute.wanted(), as_=reader, expect=403)


HOSTILE_QUERIES = [
    "limit=-1",
    "limit=x",
    "limit=99999999999999999999",
    "marker=nowhere",
    "sort_key=nothing&sort_dir=up",
    "status=WRONG",
    "name=(",
    "name=(a%2B)%2B%24",
    "changes-since=yesterday",
    "all_tenants=perhaps",
    "tags=%25",
    "metadata=%7B",
    "power_state=x",
    "ip=%27",
    "is_public=maybe",
    "minRam=many",
    "start=never",
    "limit=%00",
    "flavor=%ff",
    "deleted=1",
    "user_id=%00",
    "offset=-1",
    "host=%C3%BC",
]
HOSTILE_BODIES = (
    b"",
    b"null",
    b"[]",
    b"7",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b'{"server": null}',
    b'{"server": []}',
    b'{"server": {"name": "\\u0000", "imageRef": "x", "flavorRef": 1e400}}',
    b'{"server": {"name": "\\ud800"}}',
    b'{"flavor": {"name": "x", "ram": 99999999999999999999, "vcpus": -1, "disk": "one"}}',
    b'{"keypair": {"name": "k", "public_key": "ssh-rsa AAAA"}}',
    b'{"metadata": {"": "x"}}',
    b'{"os-stop": {"a": 1}, "os-start": null}',
    b'{"quota_set": {"instances": -2}}',
    b'{"aggregate": {"name": null}}',
    b'{"events": [{}]}',
    b'{"meta": {"a": {"b": "c"}}}',
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
)


async def raw(
    compute: ComputeUnderTest, method: str, path: str, query: str, body: bytes, version: str
) -> int:
    """The status of a request whose bytes are as given."""
    from pileus.kernel.api.application import scope_of
    from pileus.kernel.api.call import CONTEXT_KEY

    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    headers = [(b"x-openstack-nova-api-version", version.encode())]
    scope = scope_of(method, path, headers, query.encode(), **{CONTEXT_KEY: ADMIN})
    await compute.cloud.application(scope, receive, send)
    status: int = said[0]["status"]
    return status


@pytest.mark.slow
async def test_no_operation_falls_over(compute: ComputeUnderTest) -> None:
    server = await compute.boot()
    for path, operation in service.operations():
        for name, value in (("{server_id}", server["id"]), ("{id}", server["id"]), ("{project}", PROJECT_ID)):
            path = path.replace(name, value)
        path = path.replace("{", "").replace("}", "")
        version = str(operation.until or "2.104")
        if operation.kind is Kind.DELETE and path.endswith(server["id"]):
            continue
        bodies = [b""] if operation.method in ("GET", "DELETE") else list(HOSTILE_BODIES)
        if operation.action is not None:
            bodies += [
                b'{"%s": %s}' % (operation.action.encode(), inner) for inner in (b"null", b"[]", b'{"x": 1}')
            ]
            bodies = [body for body in bodies if b"forceDelete" not in body]
        queries = HOSTILE_QUERIES if operation.kind is Kind.LIST or operation.method == "GET" else [""]
        for query in queries:
            for body in bodies:
                status = await raw(compute, operation.method, path, query, body, version)
                assert status < 500 or status == 501, (operation.label, query, body[:60], status)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "name",
        "imageRef",
        "flavorRef",
        "networks",
        "metadata",
        "user_data",
        "security_groups",
        "key_name",
        "min_count",
        "max_count",
        "config_drive",
        "availability_zone",
        "accessIPv4",
        "personality",
        "tags",
        "description",
        "hostname",
        "host",
        "block_device_mapping_v2",
    ]
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(KEYS, JSON, max_size=4), version=st.sampled_from(["2.1", "2.52", "2.74", "2.104"])
)
async def test_creating_never_falls_over(changes: dict[str, Any], version: str) -> None:
    async with compute_alone() as compute:
        body = compute.wanted()
        body["server"].update(changes)
        status = await raw(compute, "POST", "/compute/v2.1/servers", "", json.dumps(body).encode(), version)
        assert status < 500, (changes, status)
