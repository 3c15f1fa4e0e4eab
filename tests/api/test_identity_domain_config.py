"""Configuration of single domains, and its defaults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.db import Tx
from pileus.services.identity.settings import SecurityCompliance, Settings
from pileus.services.identity.store import domain_config
from pileus.testing.identity import V3, serving_identity
from pileus.testing.service import ADMIN, ServiceUnderTest


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with serving_identity(tmp_path) as running:
        yield running


CONFIG = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://h", "user_tree_dn": "ou=Users"}}
PATH = "/domains/default/config"


async def asked(cloud: ServiceUnderTest, method: str, path: str, config: Any = None) -> Any:
    body = None if config is None else {"config": config}
    return await cloud.request(method, f"{V3}{path}", body, as_=ADMIN)


async def config_of(cloud: ServiceUnderTest, path: str = PATH) -> Any:
    reply = await asked(cloud, "GET", path)
    return reply.json()["config"] if reply.status == 200 else reply.status


async def test_the_whole_a_group_an_option(cloud: ServiceUnderTest) -> None:
    assert await config_of(cloud) == 404
    assert (await asked(cloud, "PUT", PATH, CONFIG)).status == 201
    assert await config_of(cloud) == CONFIG
    assert await config_of(cloud, f"{PATH}/ldap") == {"ldap": CONFIG["ldap"]}
    assert await config_of(cloud, f"{PATH}/ldap/url") == {"url": "ldap://h"}
    assert await config_of(cloud, f"{PATH}/ldap/suffix") == 404
    only = {"identity": {"driver": "sql"}}
    assert (await asked(cloud, "PUT", PATH, only)).status == 200
    assert await config_of(cloud) == only


async def test_changes_leave_the_rest(cloud: ServiceUnderTest) -> None:
    await asked(cloud, "PUT", PATH, CONFIG)
    assert (await asked(cloud, "PATCH", PATH, {"ldap": {"suffix": "dc=x"}})).status == 200
    assert (await asked(cloud, "PATCH", f"{PATH}/ldap", {"ldap": {"url": "ldap://i"}})).status == 200
    assert (await asked(cloud, "PATCH", f"{PATH}/ldap/suffix", {"suffix": "dc=y"})).status == 200
    wanted = {"url": "ldap://i", "user_tree_dn": "ou=Users", "suffix": "dc=y"}
    assert await config_of(cloud) == {"identity": {"driver": "ldap"}, "ldap": wanted}
    assert (await asked(cloud, "DELETE", f"{PATH}/ldap/suffix")).status == 204
    assert (await asked(cloud, "DELETE", f"{PATH}/ldap/suffix")).status == 404
    assert (await asked(cloud, "DELETE", f"{PATH}/identity")).status == 204
    assert await config_of(cloud) == {"ldap": {"url": "ldap://i", "user_tree_dn": "ou=Users"}}
    assert (await asked(cloud, "DELETE", PATH)).status == 204
    assert await config_of(cloud) == 404


async def test_secrets_are_kept_and_never_shown(cloud: ServiceUnderTest) -> None:
    secret = {"ldap": {"url": "ldap://u:%(password)s@h", "password": "opensesame"}}
    reply = await asked(cloud, "PUT", PATH, secret)
    assert b"opensesame" not in reply.body
    assert await config_of(cloud) == {"ldap": {"url": "ldap://u:%(password)s@h"}}
    assert await config_of(cloud, f"{PATH}/ldap/password") == 404

    def working(tx: Tx) -> Any:
        return domain_config.working_options(tx, "default")["ldap"]

    found = await cloud.runtime.db.read(working)
    assert found == {"url": "ldap://u:opensesame@h", "password": "opensesame"}


@pytest.mark.parametrize(
    ("method", "path", "config", "status"),
    [
        ("PUT", PATH, {"compute": {"x": 1}}, 403),
        ("PUT", PATH, {"ldap": {"colour": "red"}}, 403),
        ("PUT", PATH, {"ldap": {}}, 403),
        ("PUT", PATH, {"ldap": "x"}, 403),
        ("PUT", PATH, {}, 400),
        ("PUT", "/domains/none/config", CONFIG, 404),
        ("PATCH", f"{PATH}/ldap", {"identity": {"driver": "sql"}}, 403),
        ("PATCH", f"{PATH}/ldap/url", {"suffix": "x"}, 403),
        ("PATCH", f"{PATH}/ldap/url", {"url": "x"}, 404),
        ("GET", f"{PATH}/compute", None, 403),
        ("GET", f"{PATH}/ldap/colour", None, 403),
    ],
)
async def test_what_is_refused(
    cloud: ServiceUnderTest, method: str, path: str, config: Any, status: int
) -> None:
    assert (await asked(cloud, method, path, config)).status == status


async def test_defaults(cloud: ServiceUnderTest) -> None:
    whole = await config_of(cloud, "/domains/config/default")
    assert await config_of(cloud, "/domains/config/ldap/default") == {"ldap": whole["ldap"]}
    assert await config_of(cloud, "/domains/config/ldap/url/default") == {"url": "ldap://localhost"}
    assert "password" not in whole["ldap"]
    assert await config_of(cloud, "/domains/config/ldap/password/default") == 403


async def test_everybody_may_know_what_passwords_must_look_like(tmp_path: Path) -> None:
    rules = SecurityCompliance(password_regex=".{9}", password_regex_description="Nine letters.")
    async with serving_identity(tmp_path, Settings(security_compliance=rules)) as cloud:
        shown = {"password_regex": ".{9}", "password_regex_description": "Nine letters."}
        path = f"{V3}{PATH}/security_compliance"
        assert (await cloud.get(path)).json() == {"config": {"security_compliance": shown}}
        assert (await cloud.get(f"{path}/password_regex")).json() == {"config": {"password_regex": ".{9}"}}
        assert (await cloud.get(f"{path}/lockout_duration")).status == 403
