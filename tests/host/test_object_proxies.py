"""Two proxies on one database and one set of storage nodes: what one does, the other goes by at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pileus.testing.cloud import until
from pileus.testing.postgres import postgres_server

from .hosts import hosts
from .test_object_cluster import CONTAINER, NODES, SECRET, SETTLED_SECONDS, ZONE_OF, Cluster, log_in, signed

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]
PROXIES = ("p1", "p2")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with hosts() as made, postgres_server() as server:
        for host, zone in ZONE_OF.items():
            made.add(host, zone)
        cluster = Cluster(tmp_path, made)
        try:
            cluster.lay()
            config = cluster.folder / "pileus.toml"
            config.write_text(f'database_url = "{server.create_database()}"\n' + config.read_text())
            for node in NODES:
                cluster.start_node(node)
            cluster.start_proxy("p1")
            cluster.await_up(*NODES, "p1")
            shutil.copytree(tmp_path / "p1" / "identity", tmp_path / "p2" / "identity")
            cluster.start_proxy("p2")
            cluster.await_up("p2")
            yield cluster
        finally:
            cluster.stop()


def test_what_one_does_the_other_goes_by_at_once(cluster: Cluster) -> None:
    owner = {"x_auth_token": log_in(cluster, "p1")}
    account = f"/v1/{cluster.account}"
    container = f"{account}/{CONTAINER}"

    def status(proxy: str, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        return cluster.request(proxy, method, path, body, **headers)[0]

    assert status("p1", "PUT", container, **owner) == 201
    for proxy in PROXIES:
        assert status(proxy, "HEAD", container, **owner) == 204, f"the token of p1 is good at {proxy}"

    # Objects, both ways.
    for number in range(20):
        one, other = PROXIES if number % 2 else PROXIES[::-1]
        body = f"{number} by {one}".encode()
        assert status(one, "PUT", f"{container}/same", body, **owner) == 201
        assert cluster.request(other, "GET", f"{container}/same", **owner)[:2] == (200, body)
        assert status(one, "PUT", f"{container}/o{number}", body, **owner) == 201
    assert status("p2", "DELETE", f"{container}/o0", **owner) == 204
    assert status("p1", "GET", f"{container}/o0", **owner) == 404
    names = sorted(["same", *(f"o{number}" for number in range(1, 20))])
    for proxy in PROXIES:
        until(
            lambda proxy=proxy: (
                cluster.request(proxy, "GET", container, **owner)[1].decode().split() == names
            ),  # type: ignore[misc]
            SETTLED_SECONDS,
            f"the list of {proxy}",
        )

    # What the containers and accounts say of themselves, which both remember.
    for number in range(10):
        one, other = PROXIES if number % 2 else PROXIES[::-1]
        assert (
            status(
                one, "POST", container, **owner, x_container_read=".r:*", x_container_meta_turn=str(number)
            )
            == 204
        )
        assert status(other, "GET", f"{container}/same") == 200, f"{other} goes by the list that {one} set"
        assert cluster.request(other, "HEAD", container, **owner)[2]["x-container-meta-turn"] == str(number)
        assert status(one, "POST", container, **owner, x_remove_container_read="x") == 204
        assert status(other, "GET", f"{container}/same") == 401, f"{other} goes by {one}'s removal"
        assert status(one, "POST", container, **owner, x_container_meta_quota_bytes="1") == 204
        assert status(other, "PUT", f"{container}/over", b"three", **owner) == 413
        assert status(one, "POST", container, **owner, x_remove_container_meta_quota_bytes="x") == 204
        assert status(other, "PUT", f"{container}/over", b"three", **owner) == 201
        key = f"{SECRET}{number}"
        assert status(one, "POST", account, **owner, x_account_meta_temp_url_key=key) == 204
        assert status(other, "GET", signed(cluster, "GET", "same", key)) == 200
        assert status(other, "GET", signed(cluster, "GET", "same")) == 401

    # A container that goes, and comes back.
    empty = f"{account}/empty"
    for number in range(5):
        one, other = PROXIES if number % 2 else PROXIES[::-1]
        assert status(one, "PUT", empty, **owner) == 201
        assert status(other, "PUT", f"{empty}/o", b"x", **owner) == 201
        assert status(other, "DELETE", f"{empty}/o", **owner) == 204
        assert status(other, "DELETE", empty, **owner) == 204
        assert status(one, "PUT", f"{empty}/o", b"x", **owner) == 404, f"{one} knows that {other} deleted it"

    # Revocation.
    second = {"x_auth_token": log_in(cluster, "p1")}
    assert status("p2", "HEAD", container, **second) == 204
    assert (
        status("p1", "DELETE", "/identity/v3/auth/tokens", x_subject_token=second["x_auth_token"], **owner)
        == 204
    )
    until(
        lambda: status("p2", "HEAD", container, **second) == 401,
        SETTLED_SECONDS,
        "the revocation to be known at the other",
    )
    assert status("p2", "HEAD", container, **owner) == 204
