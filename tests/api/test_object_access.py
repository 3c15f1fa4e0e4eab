"""Users of the store's own, accounts' access lists, locks, rates, hosts, etags in quotes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pileus.kernel.config import ConfigError
from pileus.kernel.context import Context
from pileus.services.object_store.rate_limit import RateLimits, TooFast
from pileus.services.object_store.remap import path as remapped
from pileus.services.object_store.settings import Settings
from pileus.services.object_store.temp_auth import TempAuth, TempAuthSettings, User
from pileus.testing.clock import FakeClock
from tests.object_store_client import NOBODY, OTHER, Store, running

USERS = {
    "p1:olga": User(key="k1", groups=(".admin",)),
    "p1:rita": User(key="k2"),
    "p2:ada": User(key="k3", groups=(".reseller_admin",)),
}
RESELLER = Context(user_id="u9", project_id="p9", roles=frozenset({"ResellerAdmin"}))


async def test_users_in_the_settings(tmp_path: Path) -> None:
    settings = Settings(tempauth=TempAuthSettings(users=USERS))
    async with running(tmp_path, settings) as store:

        async def token(user: str, key: str) -> str:
            answer = await store("GET", "", at="/auth/v1.0", as_=NOBODY, x_auth_user=user, x_auth_key=key)
            if answer.status != 200:
                return str(answer.status)
            assert answer.headers["x-storage-url"] == f"http://localhost/v1/AUTH_{user.partition(':')[0]}"
            return answer.headers["x-auth-token"]

        olga, rita, ada = [await token(user, given.key) for user, given in USERS.items()]
        for user, key in (
            ("p1:olga", "k2"),
            ("p1:olga", ""),
            ("none:none", ""),
            ("none:none", "k1"),
            ("", ""),
        ):
            assert await token(user, key) == "401"
        assert (await store("PUT", "/c", as_=NOBODY, x_auth_token=olga)).status == 201
        assert (await store("PUT", "/c/o", b"x", as_=NOBODY, x_storage_token=olga)).status == 201
        assert (await store("GET", "/c/o", as_=NOBODY, x_auth_token=rita)).status == 403
        assert (await store("GET", "/c/o", as_=NOBODY, x_auth_token=ada)).status == 200
        for bad in (olga[:-2], olga + "A", "AUTH_tk", "AUTH_tk????", "AUTH_tk" + "A" * 60):
            assert (await store("GET", "/c/o", as_=NOBODY, x_auth_token=bad)).status == 401
        for acl in ("p1:rita", "p1", "*:rita"):
            await store("POST", "/c", as_=NOBODY, x_auth_token=olga, x_container_read=acl)
            assert (await store("GET", "/c/o", as_=NOBODY, x_auth_token=rita)).status == 200, acl
        await store("POST", "/c", as_=NOBODY, x_auth_token=olga, x_container_read="p2")
        assert (await store("GET", "/c/o", as_=NOBODY, x_auth_token=rita)).status == 403
    async with running(tmp_path) as store:
        assert (await store("GET", "", at="/auth/v1.0", as_=NOBODY, x_auth_user="p1:olga")).status == 404
        assert (await store("GET", "/c/o", as_=NOBODY, x_auth_token=olga)).status == 401


async def test_tokens_end_and_survive_a_restart_with_a_secret() -> None:
    clock = FakeClock()
    settings = TempAuthSettings(users=USERS, secret="s", token_lifetime_seconds=60)
    granted = TempAuth(settings, clock, "member", "ResellerAdmin").authenticate("p1:olga", "k1")
    assert granted is not None
    again = TempAuth(settings, clock, "member", "ResellerAdmin")
    found = again.context(granted.token)
    assert found is not None
    assert (found.project_id, "member" in found.roles) == ("p1", True)
    changed = TempAuthSettings(users={"p1:olga": User(key="new")}, secret="s")
    assert TempAuth(changed, clock, "member", "ResellerAdmin").context(granted.token) is None
    await clock.advance(61)
    assert again.context(granted.token) is None
    for wrong in ({"olga": User(key="k")}, {"p1:olga": User(key="")}):
        with pytest.raises(ConfigError):
            TempAuth(TempAuthSettings(users=wrong), clock, "member", "ResellerAdmin")


async def test_an_account_s_access_list(store: Store) -> None:
    await store("PUT", "/c/o", b"x")

    async def give(level: str) -> None:
        acl = json.dumps({level: ["p2:u2"]})
        assert (
            await store("POST", "", x_account_access_control=acl, x_account_meta_temp_url_key="k")
        ).status == 204

    assert (await store("GET", "", as_=OTHER)).status == 403
    await give("read-only")
    seen = await store("GET", "", as_=OTHER)
    assert (seen.status, "x-account-access-control" in seen.headers) == (200, False)
    assert "x-account-meta-temp-url-key" not in seen.headers
    assert "x-account-access-control" in (await store("HEAD", "")).headers
    assert (await store("GET", "/c/o", as_=OTHER)).status == 200
    assert (await store("PUT", "/c/p", b"", as_=OTHER)).status == 403
    assert (await store("PUT", "/e", as_=OTHER)).status == 403
    await give("read-write")
    assert (await store("PUT", "/c/p", b"", as_=OTHER)).status == 201
    assert (
        await store("PUT", "/e", as_=OTHER, x_container_read=".r:*", x_container_meta_a="1")
    ).status == 201
    made = (await store("HEAD", "/e")).headers
    assert ("x-container-read" in made, made["x-container-meta-a"]) == (False, "1")
    assert (await store("POST", "", as_=OTHER, x_account_meta_a="1")).status == 403
    assert (await store("DELETE", "/e", as_=OTHER)).status == 204
    await give("admin")
    assert (await store("POST", "", as_=OTHER, x_account_meta_a="1")).status == 204
    for wrong in ("no json", "[]", '{"other": []}', '{"admin": "p2:u2"}', '{"admin": [1]}'):
        assert (await store("POST", "", x_account_access_control=wrong)).status == 400, wrong
    assert (await store("POST", "", x_account_access_control="")).status == 204
    assert (await store("GET", "", as_=OTHER)).status == 403


async def test_locks(store: Store, tmp_path: Path) -> None:
    await store("PUT", "/c/o", b"x")
    assert (await store("POST", "", x_account_sysmeta_read_only="true")).status == 403
    assert (await store("POST", "", as_=RESELLER, x_account_sysmeta_read_only="true")).status == 204
    for method, path in (
        ("PUT", "/c/p"),
        ("POST", "/c"),
        ("DELETE", "/c/o"),
        ("PUT", "/d"),
        ("COPY", "/c/o"),
    ):
        assert (await store(method, path, destination="c/q")).status == 405, method
    assert (await store("GET", "/c/o")).status == 200
    assert "x-account-sysmeta-read-only" not in (await store("HEAD", "", as_=RESELLER)).headers
    assert (await store("POST", "", as_=RESELLER, x_remove_account_sysmeta_read_only="x")).status == 204
    assert (await store("PUT", "/c/p")).status == 201
    async with running(tmp_path / "2", Settings(read_only=True, read_only_allows_deletes=True)) as closed:
        assert (await closed("PUT", "/c")).status == 405
        assert (await closed("DELETE", "/c")).status == 404


async def test_rates_are_kept() -> None:
    clock = FakeClock(auto=True)
    limits = RateLimits(clock, 2.0, {"100": 10.0, "200": 5.0}, max_sleep_seconds=1.0)
    assert [limits.container_rate(size) for size in (0, 99, 100, 150, 200, 10**9)] == [0, 0, 10, 7.5, 5, 5]
    for _ in range(3):
        await limits.account("a")
    assert clock.monotonic() == pytest.approx(1.0)
    await limits.container("a", "c", 50)
    assert clock.monotonic() == pytest.approx(1.0)
    strict = RateLimits(FakeClock(), 0.1, {}, max_sleep_seconds=1.0)
    await strict.account("a")
    with pytest.raises(TooFast):
        await strict.account("a")
    await strict.account("b")


async def test_who_writes_too_often_is_refused(tmp_path: Path) -> None:
    settings = Settings(
        account_ratelimit=0.01, container_ratelimits={"0": 0.01}, ratelimit_max_sleep_seconds=0.1
    )
    async with running(tmp_path, settings) as store:
        assert (await store("PUT", "/c")).status == 201
        assert (await store("PUT", "/d")).status == 498
        assert (await store("PUT", "/c/o", b"x")).status == 201
        refused = await store("PUT", "/c/p", b"x")
        assert (refused.status, refused.body) == (498, b"Slow down")
        assert (await store("GET", "/c/o")).status == 200
        assert json.loads((await store("GET", "", at="/info")).body)["ratelimit"]["account_ratelimit"] == 0.01


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("c.auth-p1.s.example", "/o/p", "/v1/AUTH_p1/c/o/p"),
        ("C.p1.S.example:8080", "/", "/v1/AUTH_p1/c/"),
        ("auth_p1.s.example", "/c/o", "/v1/AUTH_p1/c/o"),
        ("%C3%A4%E2%82%AC.p1.s.example", "/o", "/v1/AUTH_p1/ä€/o"),
        ("p1.s.example", "/", "/v1/AUTH_p1"),
        ("p1.s.example", "/v1/c/v1/o", "/v1/AUTH_p1/c/v1/o"),
        ("s.example", "/c/o", None),
        ("x.c.p1.s.example", "/o", None),
        ("p1.other.example", "/o", None),
    ],
)
def test_hosts_that_stand_for_accounts(host: str, path: str, found: str | None) -> None:
    settings = Settings(storage_domains=("s.example",))
    assert remapped({"headers": [(b"host", host.encode())], "path": path}, settings) == found


async def test_an_account_s_host_is_served(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(storage_domains=("s.example",))) as store:
        await store("PUT", "/c")
        await store("PUT", "/c/o", b"body")
        assert (await store("GET", "", at="/o", host="c.p1.s.example")).body == b"body"
        assert (await store("GET", "", at="/c/o", host="auth-p1.s.example:80")).body == b"body"
        assert (await store("GET", "", at="/c/o", host="p2.s.example")).status == 403
        for host in ("%00.p1.s.example", "%ff.p1.s.example"):
            assert (await store("GET", "", at="/o", host=host)).status == 412
        assert "domain_remap" in json.loads((await store("GET", "", at="/info")).body)


async def test_characters_that_no_name_may_have(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(forbidden_characters="<>")) as store:
        assert (await store("PUT", "/c<")).status == 400
        assert (await store("PUT", "/c")).status == 201
        assert (await store("PUT", "/c/a>b", b"")).status == 400


async def test_etags_in_quotes(store: Store) -> None:
    etag = (await store("PUT", "/c/o", b"x")).headers["etag"]
    await store("POST", "", x_account_rfc_compliant_etags="true")
    assert (await store("GET", "/c/o")).headers["etag"] == f'"{etag}"'
    assert (await store("GET", "/c/o", if_none_match=f'"{etag}"')).status == 304
    await store("POST", "/c", x_container_rfc_compliant_etags="false")
    assert (await store("HEAD", "/c/o")).headers["etag"] == etag


async def test_what_stands_beside_the_api(store: Store) -> None:
    xml = await store("GET", "", at="/crossdomain.xml", as_=NOBODY)
    assert (xml.status, xml.headers["content-type"]) == (200, "application/xml")
    assert b'<allow-access-from domain="*" secure="false" />' in xml.body
    info = json.loads((await store("GET", "", at="/info", as_=NOBODY)).body)
    assert {
        "bulk_upload",
        "bulk_delete",
        "symlink",
        "formpost",
        "staticweb",
        "slo",
        "dlo",
        "tempurl",
    } <= info.keys()


async def test_keys_of_containers_are_their_owner_s(store: Store) -> None:
    await store("POST", "/c", x_container_read=".r:*,.rlistings", x_container_meta_temp_url_key="secret")
    assert "x-container-meta-temp-url-key" in (await store("HEAD", "/c")).headers
    assert "x-container-meta-temp-url-key" not in (await store("GET", "/c", as_=NOBODY)).headers


async def test_names_in_lists_are_the_default_domain_s(store: Store) -> None:
    await store("PUT", "/c/o", b"x")
    for user_domain, project_domain, by_name in (
        ("default", "default", 200),
        ("d2", "default", 403),
        ("default", "d2", 403),
        ("d2", "d2", 403),
    ):
        who = Context(
            user_id="u2",
            user_name="oto",
            user_domain_id=user_domain,
            project_id="p2",
            project_name="two",
            project_domain_id=project_domain,
            roles=frozenset({"reader"}),
        )
        for acl, status in (("two:oto", by_name), ("*:oto", by_name), ("two:*", by_name), ("p2:u2", 200)):
            await store("POST", "/c", x_container_read=acl)
            assert (await store("GET", "/c/o", as_=who)).status == status, (acl, who)


async def test_a_container_is_looked_at_by_whom_it_may_be_listed(store: Store) -> None:
    await store("PUT", "/c/o", b"x")
    for acl, status in ((".r:*", 401), (".r:*,.rlistings", 204)):
        await store("POST", "/c", x_container_read=acl)
        assert (await store("GET", "/c/o", as_=NOBODY)).status == 200
        assert (await store("HEAD", "/c", as_=NOBODY)).status == status
