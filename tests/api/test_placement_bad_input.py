"""Whatever is sent, placement answers in its own words, and never with a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.kernel.api.application import Application, scope_of
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.http.reply import encode_json
from tests.placement_cloud import COMPUTE, placement_cloud

PROVIDER = "5d5b1bd6-38b6-4ab8-b1b6-a30d3b8b7b7a"
CONSUMER = "0a0a0a0a-38b6-4ab8-b1b6-a30d3b8b7b7a"
PATHS = (
    f"/resource_providers/{PROVIDER}",
    f"/resource_providers/{PROVIDER}/inventories",
    f"/resource_providers/{PROVIDER}/inventories/VCPU",
    f"/resource_providers/{PROVIDER}/traits",
    f"/resource_providers/{PROVIDER}/aggregates",
    "/resource_providers",
    "/resource_classes",
    "/resource_classes/CUSTOM_X",
    "/traits/CUSTOM_X",
    f"/allocations/{CONSUMER}",
    "/allocations",
    "/reshaper",
    "/usages",
    "/allocation_candidates",
    "/traits",
)
NAMES = [
    "allocations",
    "resources",
    "project_id",
    "user_id",
    "consumer_generation",
    "consumer_type",
    "mappings",
    "inventories",
    "total",
    "reserved",
    "min_unit",
    "max_unit",
    "step_size",
    "allocation_ratio",
    "resource_provider_generation",
    "name",
    "uuid",
    "parent_provider_uuid",
    "traits",
    "aggregates",
    "VCPU",
    "CUSTOM_X",
    "generation",
    "resource_class",
]

words = st.one_of(
    st.sampled_from(
        [
            PROVIDER,
            CONSUMER,
            "VCPU",
            "CUSTOM_X",
            "",
            "\0",
            "\ud800",
            "in:",
            "!",
            ":",
            ",",
            "VCPU:1",
            "x" * 300,
        ]
    ),
    st.text(max_size=8),
)
numbers = st.one_of(st.sampled_from([0, 1, -1, 2**31, 2**63, 2**64, 10**40, 1e308, -1.5]), st.integers())
keys = st.one_of(st.sampled_from([*NAMES, PROVIDER, CONSUMER]), words)
bodies: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=12,
)
stock = st.fixed_dictionaries(
    {"total": st.one_of(st.integers(1, 2**31 - 1), numbers)},
    optional={"reserved": numbers, "allocation_ratio": numbers, "min_unit": numbers, "step_size": numbers},
)
shaped = st.one_of(
    bodies,
    st.fixed_dictionaries(
        {
            "resource_provider_generation": st.integers(0, 3),
            "inventories": st.dictionaries(keys, stock, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {
            "allocations": st.dictionaries(
                st.sampled_from([PROVIDER, CONSUMER]),
                st.fixed_dictionaries(
                    {"resources": st.dictionaries(st.sampled_from(["VCPU", "CUSTOM_X"]), numbers)}
                ),
            ),
            "project_id": words,
            "user_id": words,
            "consumer_generation": st.one_of(st.none(), numbers),
            "consumer_type": words,
        }
    ),
)
PARAMETERS = [
    "resources",
    "resources1",
    "resources_A",
    "required",
    "required1",
    "member_of",
    "in_tree",
    "in_tree1",
    "limit",
    "group_policy",
    "root_required",
    "same_subtree",
    "name",
    "associated",
    "project_id",
    "user_id",
    "consumer_type",
    "uuid",
    "colour",
]
queries = st.lists(
    st.tuples(
        st.sampled_from(PARAMETERS),
        words,
    ),
    max_size=4,
)


def encoded(body: Any) -> bytes:
    """As JSON, lone surrogates and endless numbers included."""
    try:
        return json.dumps(body).encode("utf-8", "surrogatepass")
    except (ValueError, OverflowError):
        return encode_json(None)


async def ask(
    app: Application, method: str, path: str, query: str, body: bytes, version: int
) -> tuple[int, bytes]:
    status, chunks, sent = 0, b"", False

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, chunks
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            chunks += message.get("body", b"")

    async def receive() -> dict[str, Any]:
        nonlocal sent
        assert not sent
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"openstack-api-version", f"placement 1.{version}".encode())]
    scope = scope_of(method, "/placement" + path, headers, query.encode(), **{CONTEXT_KEY: COMPUTE})
    await app(scope, receive, send)
    return status, chunks


segments = words.filter(lambda word: "\ud800" not in word)
"""Servers decode paths before they hand them on."""
calls = st.lists(
    st.tuples(
        st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
        st.one_of(
            st.sampled_from(PATHS),
            segments.map(lambda word: f"/traits/{word}"),
            segments.map(lambda word: f"/allocations/{word}"),
        ),
        queries,
        shaped,
        st.sampled_from([0, 7, 12, 20, 28, 39]),
    ),
    min_size=10,
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(calls)
async def test_never_a_500(asked: list[tuple[str, str, list[tuple[str, str]], Any, int]]) -> None:
    async with placement_cloud() as cloud:
        app = cloud.served.application
        await ask(app, "POST", "/resource_providers", "", encode_json({"name": "p", "uuid": PROVIDER}), 20)
        stocked = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
        await ask(app, "PUT", f"/resource_providers/{PROVIDER}/inventories", "", encode_json(stocked), 39)
        for method, path, query, body, version in asked:
            words = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in query)
            status, answer = await ask(app, method, path, words, encoded(body), version)
            assert status < 500, (method, path, words, body, answer)
            assert status < 400 or b'"errors":[' in answer
