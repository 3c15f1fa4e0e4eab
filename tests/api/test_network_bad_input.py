"""Whatever a client sends, the network service answers with something other than 500."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.kernel.api.application import scope_of
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.http.caller import PeerReply
from pileus.services.network.service import service
from pileus.testing.service import ADMIN
from tests.network_cloud import NetworkCloud, network_cloud

OPERATIONS = sorted(service.operations(), key=lambda pair: (pair[0], pair[1].method))
IDS = [
    "NETWORK",
    "SUBNET",
    "PORT",
    "ROUTER",
    "GROUP",
    "RULE",
    "11111111-1111-4111-8111-111111111111",
    "x",
    "a%00b",
    "é",
]

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**80), 2**80),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(
            ["", "x", "10.0.0.5", "10.0.0.0/24", "fd00::/64", "fd00::5", "::", "fe80::1%1", "default", "tcp",
             "IPv6", "a\x00b", "\ud800", "y" * 300, "fa:16:3e:00:00:05", "geneve", "slaac", *IDS]
        ),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["subnet_id", "ip_address", "mac_address", "start", "end", "destination", "nexthop",
                 "network_id", "enable_snat", "external_fixed_ips", "opt_name", "opt_value", "routes", "x"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)  # fmt: skip


def bodies(operation: Any) -> st.SearchStrategy[Any]:
    """Bodies that come close to being right: known names, wild values."""
    resource = operation.resource
    if resource is None:
        return st.one_of(
            junk, st.fixed_dictionaries({"quota": st.dictionaries(st.sampled_from(["port", "x"]), junk)})
        )
    names = st.sampled_from([field.wire for field in resource.fields.values()] + ["unknown"])
    member = st.dictionaries(names, junk, max_size=6)
    return st.one_of(
        junk,
        member.map(lambda value: {resource.member: value}),
        st.lists(member, max_size=2).map(lambda value: {resource.collection: value}),
        st.just({"tags": ["a", "b"]}),
        st.fixed_dictionaries({"router": st.fixed_dictionaries({"routes": junk})}),
    )


def sensible(operation: Any) -> st.SearchStrategy[dict[str, Any]]:
    """What lets a create get past its required fields."""
    return st.sampled_from(
        [
            {},
            {"network_id": "NETWORK"},
            {"network_id": "NETWORK", "ip_version": 4, "cidr": "10.9.0.0/24"},
            {"network_id": "NETWORK", "ip_version": 6, "cidr": "fd09::/64"},
            {"floating_network_id": "NETWORK"},
            {"security_group_id": "GROUP", "direction": "ingress"},
        ]
    )


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, Any, dict[str, list[str]]]:
    path, operation = draw(st.sampled_from(OPERATIONS))
    for name in ("id", "project_id", "alias", "tag"):
        path = path.replace("{" + name + "}", draw(st.sampled_from(IDS)))
    body = None
    if operation.method != "GET":
        body = draw(bodies(operation))
        if (
            isinstance(body, dict)
            and operation.resource
            and isinstance(body.get(operation.resource.member), dict)
        ):
            body = {
                operation.resource.member: {**draw(sensible(operation)), **body[operation.resource.member]}
            }
    known = [field.wire for field in operation.resource.fields.values()] if operation.resource else []
    names = st.sampled_from(
        [*known, "limit", "marker", "sort_key", "sort_dir", "fields", "tags", "fixed_ips", "x__gt"]
    )
    values = st.lists(
        st.sampled_from(["", "x", "1", str(2**70), "-1", "true", "ip_address=x", *IDS]), min_size=1
    )
    query = draw(st.dictionaries(names, values, max_size=2)) if operation.method == "GET" else {}
    return operation.method, path, body, query


async def ask(cloud: NetworkCloud, ids: dict[str, str], call: tuple[str, str, Any, Any]) -> PeerReply:
    method, path, body, query = call
    return await cloud.served.request(
        method, filled(path, ids), filled(body, ids), query=filled(query, ids), as_=ADMIN
    )


def filled(value: Any, ids: dict[str, str]) -> Any:
    """The value with stand-ins replaced by ids of what is there."""
    if isinstance(value, str):
        for name, key in ids.items():
            value = value.replace(name, key)
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [filled(each, ids) for each in value]
    if isinstance(value, dict):
        return {filled(name, ids): filled(each, ids) for name, each in value.items()}
    return value if not isinstance(value, int) or abs(value) < 2**63 else 2**63 - 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(calls(), min_size=4, max_size=12))
async def test_bad_input_is_never_our_mistake(asked: list[tuple[str, str, Any, Any]]) -> None:
    async with network_cloud() as cloud:
        network = await cloud.external()
        port = await cloud.make("port", as_=ADMIN, network_id=network["id"])
        router = await cloud.make("router", as_=ADMIN)
        group = await cloud.make("security_group", as_=ADMIN, name="g")
        ids = {
            "NETWORK": network["id"],
            "SUBNET": network["subnets"][0],
            "PORT": port["id"],
            "ROUTER": router["id"],
            "GROUP": group["id"],
            "RULE": group["security_group_rules"][0]["id"],
        }
        for call in asked:
            reply = await ask(cloud, ids, call)
            assert reply.status < 500, (call, reply.body)
            assert reply.status not in (400, 409) or reply.json()["NeutronError"]["message"], call


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b'{"network": {"name": "\xff"}}', 400),
        (b'{"network": {"name": "\\ud800"}}', 400),
        (b'{"network": {"mtu": 1e999}}', 400),
        (b'{"network": {"name": "\\u0000"}}', 400),
        (b"[" * 100_000, 400),
        (b'{"network": {"name": "' + b"x" * 2_000_000 + b'"}}', 413),
    ],
)
async def test_bytes_that_are_no_body(raw: bytes, status: int) -> None:
    async with network_cloud() as cloud:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = scope_of("POST", "/networking/v2.0/networks", [], b"", **{CONTEXT_KEY: ADMIN})
        await cloud.served.application(scope, receive, send)
        assert sent[0]["status"] == status, sent
