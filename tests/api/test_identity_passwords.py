"""Rules for passwords and accounts: what is good enough, how long, and who is locked out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.context import Context
from pileus.services.identity.passwords import Passwords
from pileus.services.identity.settings import SecurityCompliance, Settings
from pileus.testing.identity import ADMIN_PROJECT, V3, by_password, make, role_id, serving_identity, token_for
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, ServiceUnderTest

Under = Callable[..., AbstractAsyncContextManager[ServiceUnderTest]]


@pytest.fixture
def under(tmp_path: Path) -> Under:
    """Identity under these rules of `security_compliance`."""

    @asynccontextmanager
    async def serving(**rules: Any) -> AsyncIterator[ServiceUnderTest]:
        settings = Settings(security_compliance=SecurityCompliance(**rules))
        async with serving_identity(tmp_path, settings) as cloud:
            yield cloud

    return serving


def later(cloud: ServiceUnderTest, **by: float) -> None:
    cloud.runtime.clock.by += timedelta(**by)  # type: ignore[attr-defined]


async def change(cloud: ServiceUnderTest, user_id: str, old: str, new: str) -> Any:
    body = {"user": {"original_password": old, "password": new}}
    return await cloud.post(f"{V3}/users/{user_id}/password", body, as_=Context())


async def test_a_locked_account_opens_after_a_while(under: Under) -> None:
    async with under(lockout_failure_attempts=3, lockout_duration=60) as cloud:
        await make(cloud, "user", name="bob", password="right")
        for _ in range(3):
            assert (await token_for(cloud, "bob", "wrong")).status == 401
        locked = await token_for(cloud, "bob", "right")
        assert locked.status == 401
        assert locked.body == (await token_for(cloud, "nobody", "right")).body
        later(cloud, seconds=61)
        assert (await token_for(cloud, "bob", "wrong")).status == 401  # counting starts anew
        assert (await token_for(cloud, "bob", "right")).status == 201


async def test_a_success_forgets_failures_and_an_administrator_unlocks(under: Under) -> None:
    async with under(lockout_failure_attempts=2, lockout_duration=None) as cloud:
        user = await make(cloud, "user", name="bob", password="right")
        for password, status in [("wrong", 401), ("right", 201), ("wrong", 401), ("right", 201)]:
            assert (await token_for(cloud, "bob", password)).status == status
        for _ in range(2):
            assert (await token_for(cloud, "bob", "wrong")).status == 401
        later(cloud, days=400)
        assert (await token_for(cloud, "bob", "right")).status == 401
        await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"enabled": True}}, as_=ADMIN)
        assert (await token_for(cloud, "bob", "right")).status == 201


@pytest.mark.slow
async def test_many_guesses_at_once_are_all_counted(under: Under) -> None:
    async with under(lockout_failure_attempts=3, lockout_duration=60) as cloud:
        await make(cloud, "user", name="bob", password="right")
        for _ in range(2):  # the second time, after a lock has run out
            await asyncio.gather(*(token_for(cloud, "bob", "wrong") for _ in range(8)))
            assert (await token_for(cloud, "bob", "right")).status == 401
            later(cloud, seconds=61)
        assert (await token_for(cloud, "bob", "right")).status == 201


async def test_failures_of_a_change_of_password_lock_too(under: Under) -> None:
    async with under(lockout_failure_attempts=2) as cloud:
        user = await make(cloud, "user", name="bob", password="right")
        for _ in range(2):
            assert (await change(cloud, user["id"], "wrong", "new")).status == 401
        assert (await change(cloud, user["id"], "right", "new")).status == 401
        nobody = await change(cloud, "0" * 32, "right", "new")
        assert nobody.body == (await change(cloud, user["id"], "right", "new")).body


async def test_whom_failures_do_not_lock_out(under: Under) -> None:
    async with under(lockout_failure_attempts=1) as cloud:
        options = {"ignore_lockout_failure_attempts": True}
        await make(cloud, "user", name="bot", password="right", options=options)
        assert (await token_for(cloud, "bot", "wrong")).status == 401
        assert (await token_for(cloud, "bot", "right")).status == 201


async def test_passwords_expire_and_are_found_by_when(under: Under) -> None:
    async with under(password_expires_days=10) as cloud:
        user = await make(cloud, "user", name="bob", password="old")
        spared = await make(cloud, "user", name="bot", password="x", options={"ignore_password_expiry": True})
        assert spared["password_expires_at"] is None
        assert user["password_expires_at"].endswith("Z")
        shown = (await token_for(cloud, "bob", "old")).json()["token"]["user"]
        assert shown["password_expires_at"] == user["password_expires_at"]

        async def found(query: str) -> set[str]:
            reply = await cloud.get(f"{V3}/users", query={"password_expires_at": query}, as_=ADMIN)
            assert reply.status == 200, reply.body
            return {each["name"] for each in reply.json()["users"]}

        at = user["password_expires_at"]
        assert await found(at) == await found(f"eq:{at}") == await found(f"lte:{at}") == {"bob"}
        assert await found(f"lt:{at}") == await found(f"gt:{at}") == await found(f"neq:{at}") == set()
        assert (await cloud.get(f"{V3}/users?password_expires_at=lt:soon", as_=ADMIN)).status == 400
        later(cloud, days=11)
        expired = await token_for(cloud, "bob", "old")
        assert expired.status == 401
        assert "expired" in expired.json()["error"]["message"]
        assert "expired" not in (await token_for(cloud, "bob", "wrong")).json()["error"]["message"]
        assert (await change(cloud, user["id"], "old", "new")).status == 204
        assert (await token_for(cloud, "bob", "new")).status == 201


@pytest.mark.slow
async def test_history_and_minimum_age(under: Under) -> None:
    async with under(unique_last_password_count=3, minimum_password_age=1) as cloud:
        user = await make(cloud, "user", name="bob", password="p0")
        assert (await change(cloud, user["id"], "p0", "p1")).status == 204
        too_soon = await change(cloud, user["id"], "p1", "p2")
        assert too_soon.status == 400
        later(cloud, days=2)
        assert (await change(cloud, user["id"], "p1", "p2")).status == 204
        later(cloud, days=2)
        for again in ("p2", "p1", "p0"):
            assert (await change(cloud, user["id"], "p2", again)).status == 400
        assert (await change(cloud, user["id"], "p2", "p3")).status == 204
        later(cloud, days=2)
        assert (await change(cloud, user["id"], "p3", "p0")).status == 204
        reset = {"user": {"password": "p3"}}
        assert (await cloud.patch(f"{V3}/users/{user['id']}", reset, as_=ADMIN)).status == 200
        assert (await change(cloud, user["id"], "p3", "p9")).status == 204  # a reset may be changed at once


async def test_what_an_administrator_sets_is_to_be_changed(under: Under) -> None:
    async with under(change_password_upon_first_use=True) as cloud:
        user = await make(cloud, "user", name="bob", password="given")
        assert (await token_for(cloud, "bob", "given")).status == 401
        assert (await change(cloud, user["id"], "given", "own")).status == 204
        assert (await token_for(cloud, "bob", "own")).status == 201
        options = {"ignore_change_password_upon_first_use": True}
        await make(cloud, "user", name="bot", password="given", options=options)
        assert (await token_for(cloud, "bot", "given")).status == 201


async def test_strength(under: Under) -> None:
    rules = {"password_regex": r"^(?=.*\d).{7,}$", "password_regex_description": "7 characters, a digit"}
    async with under(**rules) as cloud:
        refused = await cloud.post(f"{V3}/users", {"user": {"name": "u", "password": "weak"}}, as_=ADMIN)
        assert refused.status == 400
        assert "7 characters, a digit" in refused.json()["error"]["message"]
        user = await make(cloud, "user", name="u", password="strong-1")
        path = f"{V3}/users/{user['id']}"
        assert (await cloud.patch(path, {"user": {"password": "weak"}}, as_=ADMIN)).status == 400
        assert (await change(cloud, user["id"], "strong-1", "weak")).status == 400


async def test_who_stays_away_is_let_in_by_an_administrator(under: Under) -> None:
    async with under(disable_user_account_days_inactive=30) as cloud:
        user = await make(cloud, "user", name="bob", password="pw")
        await make(cloud, "user", name="bot", password="pw", options={"ignore_user_inactivity": True})
        later(cloud, days=20)
        assert (await token_for(cloud, "bob", "pw")).status == 201
        later(cloud, days=20)
        assert (await token_for(cloud, "bob", "pw")).status == 201
        later(cloud, days=31)
        assert (await token_for(cloud, "bob", "pw")).status == 401
        assert (await token_for(cloud, "bot", "pw")).status == 201
        await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"enabled": True}}, as_=ADMIN)
        assert (await token_for(cloud, "bob", "pw")).status == 201


async def test_a_locked_password_is_the_administrators(under: Under) -> None:
    async with under() as cloud:
        user = await make(cloud, "user", name="bob", password="pw", options={"lock_password": True})
        assert (await change(cloud, user["id"], "pw", "new")).status == 400
        await cloud.patch(
            f"{V3}/users/{user['id']}", {"user": {"options": {"lock_password": None}}}, as_=ADMIN
        )
        assert (await cloud.get(f"{V3}/users/{user['id']}", as_=ADMIN)).json()["user"]["options"] == {}
        assert (await change(cloud, user["id"], "pw", "new")).status == 204


@pytest.mark.parametrize(
    "options",
    [
        {"lock_passwords": True},
        {"lock_password": "yes"},
        {"multi_factor_auth_rules": "password"},
        {"multi_factor_auth_rules": [[]]},
        {"multi_factor_auth_rules": [["password", "password"]]},
        {"multi_factor_auth_rules": [["password"], ["password"]]},
    ],
)
async def test_options_that_are_none(under: Under, options: Any) -> None:
    async with under() as cloud:
        user = await make(cloud, "user", name="bob")
        refused = await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"options": options}}, as_=ADMIN)
        assert refused.status == 400
        assert (
            await cloud.post(f"{V3}/users", {"user": {"name": "x", "options": options}}, as_=ADMIN)
        ).status == 400


async def test_a_user_voids_its_own_tokens_and_nobody_elses(under: Under) -> None:
    async with under() as cloud:
        user = await make(cloud, "user", name="bob", password="pw")
        token = (await token_for(cloud, "bob", "pw")).headers["x-subject-token"]
        bob = persona("project", "member", user_id=user["id"])
        other = persona("project", "member")
        assert (await cloud.delete(f"{V3}/users/{user['id']}/tokens", as_=other)).status == 403
        assert (await cloud.delete(f"{V3}/users/{user['id']}/tokens", as_=bob)).status == 204
        shown = await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
        assert shown.status == 404


@pytest.mark.slow
async def test_a_storm_of_logins_does_not_stall_validation(under: Under) -> None:
    async with under() as cloud:
        cloud.runtime.state.passwords = Passwords()
        token = (await token_for(cloud, **ADMIN_PROJECT)).headers["x-subject-token"]
        storm = [
            asyncio.ensure_future(cloud.post(f"{V3}/auth/tokens", by_password("nobody", "wrong")))
            for _ in range(20)
        ]
        ended = [0]
        while ended[-1] < len(storm):
            shown = await cloud.get(f"{V3}/auth/tokens", headers={"x-subject-token": token}, as_=ADMIN)
            assert shown.status == 200
            await asyncio.sleep(0)
            ended.append(sum(each.done() for each in storm))
        assert len(ended) > 3 * len(storm), "many are validated while one logs in"
        most = max(after - before for before, after in pairwise(ended))
        assert most <= len(storm) / 2, "none has to wait for all of the storm"


@pytest.mark.slow
async def test_who_is_there_can_not_be_told_by_the_time_an_answer_takes(under: Under) -> None:
    async with under(lockout_failure_attempts=1000) as cloud:
        cloud.runtime.state.passwords = Passwords()
        await make(cloud, "user", name="bob", password="right")

        took: dict[str, list[float]] = {"bob": [], "nobody": []}
        for _ in range(9):
            for name in took:  # by turns: the machine may have more to do now than later
                began = time.process_time()
                assert (await token_for(cloud, name, "wrong")).status == 401
                took[name].append(time.process_time() - began)
        there, nowhere = map(min, took.values())
        assert 0.7 < there / nowhere < 1.4


async def test_a_role_is_still_needed_to_change_others(under: Under) -> None:
    async with under() as cloud:
        user = await make(cloud, "user", name="bob", password="pw")
        assert await role_id(cloud, "member")
        member = persona("project", "member", user_id=user["id"])
        refused = await cloud.patch(f"{V3}/users/{user['id']}", {"user": {"password": "x"}}, as_=member)
        assert refused.status == 403
