"""Domains in a real LDAP directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pileus.services.identity.ldap import directory
from pileus.services.identity.ldap.options import LdapOptions, directory_options
from pileus.testing.cloud import running_cloud, until
from pileus.testing.identity import V3, make, role_id, serving_identity
from pileus.testing.service import ADMIN, ServiceUnderTest

from .certificates import certify
from .slapd import SUFFIX, Slapd, slapd

pytestmark = pytest.mark.host


@pytest.fixture
def ldap(tmp_path: Path) -> Iterator[Slapd]:
    folder = tmp_path / "slapd"
    folder.mkdir()
    with slapd(folder) as running:
        for name in ("alice", "bob", "carol"):
            running.add_person(name, f"{name}s-password")
        running.add_group("ops", "alice", "bob")
        yield running


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


async def domain(cloud: ServiceUnderTest, ldap: Slapd, **more: Any) -> str:
    """A new domain in the directory, once it has been read."""
    made = await make(cloud, "domain", name="people")
    config = {"identity": {"driver": "ldap"}, "ldap": ldap.options(**more)}
    path = f"{V3}/domains/{made['id']}/config"
    assert (await cloud.put(path, {"config": config}, as_=ADMIN)).status == 201
    await cloud.runtime.state.directories.refresh()
    return str(made["id"])


async def listed(cloud: ServiceUnderTest, noun: str, domain_id: str) -> dict[str, Any]:
    reply = await cloud.get(f"{V3}/{noun}?domain_id={domain_id}", as_=ADMIN)
    return {each["name"]: each for each in reply.json()[noun]}


async def log_in(cloud: ServiceUnderTest, name: str, password: str, **scope: Any) -> Any:
    user = {"name": name, "domain": {"name": "people"}, "password": password}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    return await cloud.post(f"{V3}/auth/tokens", {"auth": {**auth, **({"scope": scope} if scope else {})}})


async def test_users_and_groups_are_there(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    domain_id = await domain(cloud, ldap)
    users = await listed(cloud, "users", domain_id)
    assert users.keys() == {"alice", "bob", "carol"}
    assert users["alice"]["email"] == "alice@example.org"
    groups = await listed(cloud, "groups", domain_id)
    members = await cloud.get(f"{V3}/groups/{groups['ops']['id']}/users", as_=ADMIN)
    assert {each["name"] for each in members.json()["users"]} == {"alice", "bob"}
    before = users["alice"]["id"]
    await cloud.runtime.state.directories.refresh()
    assert (await listed(cloud, "users", domain_id))["alice"]["id"] == before


async def test_passwords_are_the_directorys(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    await domain(cloud, ldap)
    assert (await log_in(cloud, "alice", "alices-password")).status == 201
    for name, password in (("alice", "wrong"), ("alice", ""), ("nobody", "x"), ("bob", "alices-password")):
        assert (await log_in(cloud, name, password)).status == 401
    ldap.change("uid=alice,ou=Users", userPassword="another")
    assert (await log_in(cloud, "alice", "alices-password")).status == 401
    assert (await log_in(cloud, "alice", "another")).status == 201


async def test_groups_of_the_directory_give_roles(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    domain_id = await domain(cloud, ldap)
    project = await make(cloud, "project", name="p")
    ops = (await listed(cloud, "groups", domain_id))["ops"]["id"]
    member = await role_id(cloud, "member")
    await cloud.put(f"{V3}/projects/{project['id']}/groups/{ops}/roles/{member}", as_=ADMIN)
    scope = {"project": {"id": project["id"]}}
    token = await log_in(cloud, "bob", "bobs-password", **scope)
    assert token.status == 201
    assert (await log_in(cloud, "carol", "carols-password", **scope)).status == 401
    ldap.change("cn=ops,ou=UserGroups", member=[f"uid=carol,ou=Users,{SUFFIX}"])
    await cloud.runtime.state.directories.refresh()
    assert (await log_in(cloud, "carol", "carols-password", **scope)).status == 201
    subject = {"x-subject-token": token.headers["x-subject-token"]}
    assert (await cloud.get(f"{V3}/auth/tokens", headers=subject, as_=ADMIN)).status == 404


async def test_who_leaves_the_directory_is_shut_out_and_may_come_back(
    cloud: ServiceUnderTest, ldap: Slapd
) -> None:
    domain_id = await domain(cloud, ldap)
    alice = (await listed(cloud, "users", domain_id))["alice"]["id"]
    reader = await role_id(cloud, "reader")
    await cloud.put(f"{V3}/domains/{domain_id}/users/{alice}/roles/{reader}", as_=ADMIN)
    scope = {"domain": {"id": domain_id}}
    token = (await log_in(cloud, "alice", "alices-password", **scope)).headers["x-subject-token"]
    ldap.remove("uid=alice,ou=Users")
    await cloud.runtime.state.directories.refresh()
    subject = {"x-subject-token": token}
    assert (await cloud.get(f"{V3}/auth/tokens", headers=subject, as_=ADMIN)).status == 404
    assert (await log_in(cloud, "alice", "alices-password")).status == 401
    ldap.add_person("alice", "new")
    await cloud.runtime.state.directories.refresh()
    assert (await log_in(cloud, "alice", "new", **scope)).status == 201


async def test_names_may_be_swapped(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    domain_id = await domain(cloud, ldap, user_name_attribute="sn")
    before = await listed(cloud, "users", domain_id)
    ldap.change("uid=alice,ou=Users", sn="bob")
    ldap.change("uid=bob,ou=Users", sn="alice")
    await cloud.runtime.state.directories.refresh()
    after = await listed(cloud, "users", domain_id)
    assert after["alice"]["id"] == before["bob"]["id"]
    assert after["bob"]["id"] == before["alice"]["id"]


async def test_the_directory_is_only_read(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    domain_id = await domain(cloud, ldap)
    alice = (await listed(cloud, "users", domain_id))["alice"]["id"]
    carol = (await listed(cloud, "users", domain_id))["carol"]["id"]
    ops = (await listed(cloud, "groups", domain_id))["ops"]["id"]
    tries = [
        ("POST", "users", {"user": {"name": "new", "domain_id": domain_id}}),
        ("POST", "groups", {"group": {"name": "new", "domain_id": domain_id}}),
        ("PATCH", f"users/{alice}", {"user": {"name": "other"}}),
        ("DELETE", f"users/{alice}", None),
        ("PATCH", f"groups/{ops}", {"group": {"name": "other"}}),
        ("DELETE", f"groups/{ops}", None),
        ("PUT", f"groups/{ops}/users/{carol}", None),
        ("DELETE", f"groups/{ops}/users/{alice}", None),
    ]
    for method, path, body in tries:
        reply = await cloud.request(method, f"{V3}/{path}", body, as_=ADMIN)
        assert reply.status == 403, path
    body = {"user": {"original_password": "alices-password", "password": "x"}}
    assert (await cloud.post(f"{V3}/users/{alice}/password", body)).status == 403


async def test_more_users_than_the_server_gives_at_once(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    for number in range(25):
        ldap.add_person(f"user{number}", "x")
    assert len(await listed(cloud, "users", await domain(cloud, ldap))) == 28


async def test_filters_scopes_and_who_is_enabled(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    ldap.add("ou=deep,ou=Users", ["organizationalUnit"])
    ldap.add("uid=dora,ou=deep,ou=Users", ["inetOrgPerson"], cn="dora", sn="d", userPassword="x")
    ldap.change("uid=bob,ou=Users", employeeType="FALSE")
    domain_id = await domain(cloud, ldap, query_scope="sub", user_filter="(!(uid=carol))")
    users = await listed(cloud, "users", domain_id)
    assert {name: each["enabled"] for name, each in users.items()} == {
        "alice": True,
        "bob": False,
        "dora": True,
    }
    assert (await log_in(cloud, "bob", "bobs-password")).status == 401


def options(ldap: Slapd, **more: Any) -> LdapOptions:
    found = directory_options({"identity": {"driver": "ldap"}, "ldap": ldap.options(**more)})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("said", "more", "enabled"),
    [
        ("512", {"user_enabled_mask": 2, "user_enabled_default": "512"}, True),
        ("514", {"user_enabled_mask": 2, "user_enabled_default": "512"}, False),
        ("TRUE", {"user_enabled_invert": True}, False),
        ("FALSE", {"user_enabled_invert": True, "user_enabled_default": "False"}, True),
        ("FALSE", {"user_attribute_ignore": ["enabled"]}, True),
        (
            "FALSE",
            {"user_enabled_emulation": True, "user_enabled_emulation_dn": f"cn=ops,ou=UserGroups,{SUFFIX}"},
            True,
        ),
    ],
)
def test_ways_to_be_enabled(ldap: Slapd, said: str, more: dict[str, Any], enabled: bool) -> None:
    ldap.change("uid=alice,ou=Users", employeeType=said)
    people = {each.local_id: each for each in directory.read(options(ldap, **more)).people}
    assert people["alice"].enabled is enabled


def test_groups_within_groups(ldap: Slapd) -> None:
    ldap.add_group("hidden", "carol", groups=["ops"])
    ldap.add_group("all", groups=["hidden"])
    ldap.change(
        "cn=ops,ou=UserGroups", member=[f"uid=bob,ou=Users,{SUFFIX}", f"cn=all,ou=UserGroups,{SUFFIX}"]
    )
    flat = directory.read(options(ldap))
    assert {each.name: each.members for each in flat.teams} == {
        "ops": {"bob"},
        "hidden": {"carol"},
        "all": set(),
    }
    nested = directory.read(options(ldap, group_ad_nesting=True, group_filter="(!(cn=hidden))"))
    assert {each.name: each.members for each in nested.teams} == {
        "ops": {"bob", "carol"},
        "all": {"bob", "carol"},
    }


@pytest.mark.parametrize("secure", ["ldaps", "start_tls"])
async def test_over_tls(cloud: ServiceUnderTest, ldap: Slapd, secure: str, tmp_path: Path) -> None:
    more = {"url": ldap.ldaps} if secure == "ldaps" else {"use_tls": True}
    domain_id = await domain(cloud, ldap, **more, tls_cacertfile=str(ldap.authority))
    assert (await listed(cloud, "users", domain_id)).keys() == {"alice", "bob", "carol"}
    assert (await log_in(cloud, "alice", "alices-password")).status == 201
    assert (await log_in(cloud, "alice", "wrong")).status == 401
    certify("127.0.0.1", tmp_path)  # an authority that has nothing to do with it
    for unknown in ({"tls_cacertfile": str(tmp_path / "authority.pem")}, {}):
        with pytest.raises(directory.DirectoryError, match="certificate"):
            directory.read(options(ldap, **more, **unknown))
    elsewhere = (ldap.ldaps if secure == "ldaps" else ldap.url).replace("127.0.0.1", "localhost")
    with pytest.raises(directory.DirectoryError):  # the certificate names another server
        directory.read(options(ldap, **{**more, "url": elsewhere}, tls_cacertfile=str(ldap.authority)))
    unchecked = options(ldap, **more, tls_req_cert="never")
    assert len(directory.read(unchecked).people) == 3


def test_one_kind_of_tls(ldap: Slapd) -> None:
    with pytest.raises(ValueError, match="use_tls"):
        options(ldap, url=ldap.ldaps, use_tls=True)


def test_members_may_be_ids(ldap: Slapd) -> None:
    ldap.add(
        "cn=ids,ou=UserGroups",
        ["groupOfNames"],
        ou="ids",
        member=f"cn=x,{SUFFIX}",
        description=["alice", "zed"],
    )
    found = directory.read(options(ldap, group_members_are_ids=True, group_member_attribute="description"))
    assert {each.name: each.members for each in found.teams}["ids"] == {"alice"}


async def test_a_directory_that_is_gone_leaves_all_as_it_was(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    domain_id = await domain(cloud, ldap)
    ldap.process.kill()
    ldap.process.wait()
    await cloud.runtime.state.directories.refresh()
    assert len(await listed(cloud, "users", domain_id)) == 3
    assert (await log_in(cloud, "alice", "alices-password")).status == 401


async def test_wrong_options_hurt_nobody_else(cloud: ServiceUnderTest, ldap: Slapd) -> None:
    bad = await make(cloud, "domain", name="bad")
    config = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://127.0.0.1:1", "page_size": "many"}}
    await cloud.put(f"{V3}/domains/{bad['id']}/config", {"config": config}, as_=ADMIN)
    assert len(await listed(cloud, "users", await domain(cloud, ldap))) == 3


def test_a_server_that_says_nothing_is_not_waited_for_without_end() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = {"url": f"ldap://127.0.0.1:{silent.getsockname()[1]}", "pool_connection_timeout": 1}
        found = directory_options({"identity": {"driver": "ldap"}, "ldap": config})
        assert found is not None
        with pytest.raises(directory.DirectoryError):
            directory.read(found)


@pytest.mark.slow
def test_a_running_cloud_notices_a_new_directory_at_once(tmp_path: Path, ldap: Slapd) -> None:
    from keystoneauth1 import exceptions
    from keystoneauth1.identity import v3
    from keystoneauth1.session import Session

    def token() -> str | None:
        plugin = v3.Password(
            f"{cloud.base_url}/identity/v3",
            username="alice",
            password="alices-password",
            user_domain_name="people",
        )
        try:
            return plugin.get_token(Session())
        except exceptions.Unauthorized:
            return None

    with running_cloud(tmp_path / "cloud") as cloud:
        identity = cloud.connect().identity
        domain_id = identity.create_domain(name="people").id
        config = {"identity": {"driver": "ldap"}, "ldap": ldap.options()}
        reply = identity.put(f"/domains/{domain_id}/config", json={"config": config})
        assert reply.status_code == 201
        assert "may-look" not in reply.text
        until(token, 60, "alice to get a token")
