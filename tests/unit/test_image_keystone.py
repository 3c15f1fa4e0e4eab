"""Where an image store's account is, and its tokens: chosen from the catalog, renewed before they end, refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pileus.drivers.image.keystone import FRESH, Account
from pileus.drivers.image.remote import Answer, Client
from pileus.services.image.driver import StoreError
from pileus.services.image.store_settings import StoreSettings

BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
CATALOG = [
    {"type": "compute", "endpoints": [{"interface": "public", "url": "http://c", "region_id": "one"}]},
    {
        "type": "object-store",
        "endpoints": [
            {"interface": "internal", "url": "http://inside/", "region_id": "one"},
            {"interface": "public", "url": "http://one/v1/AUTH_p/", "region_id": "one"},
            {"interface": "public", "url": "http://two/v1/AUTH_p", "region_id": "two"},
        ],
    },
]


class Keystone(Client):
    """Gives a token an hour long, and is its own clock."""

    def __init__(self) -> None:
        super().__init__("wine")
        self.time = BEGAN
        self.asked: list[Any] = []
        self.status = 201

    def now(self) -> datetime:
        return self.time

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: Any = b"") -> Answer:
        self.asked.append((method, url, msgspec.json.decode(body)))
        expires = (self.time + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        said = msgspec.json.encode({"token": {"expires_at": expires, "catalog": CATALOG}})
        return Answer(self.status, {"x-subject-token": f"t{len(self.asked)}"}, said)


def account(keystone: Keystone, **more: Any) -> Account:
    options = {"auth_address": "http://id:5000", "user": "images:glance", "key": "secret", **more}
    settings = StoreSettings(type="swift", **options)
    return Account("wine", settings, keystone, keystone)  # type: ignore[arg-type]  # of a clock, only `now` is asked


async def test_asked_as_the_project_s_user() -> None:
    keystone = Keystone()
    session = await account(keystone, user_domain_name="Staff").session()
    assert (session.url, session.token) == ("http://one/v1/AUTH_p", "t1")
    [(method, url, body)] = keystone.asked
    assert (method, url) == ("POST", "http://id:5000/v3/auth/tokens")
    user = body["auth"]["identity"]["password"]["user"]
    assert user == {"name": "glance", "domain": {"name": "Staff"}, "password": "secret"}
    assert body["auth"]["scope"]["project"] == {"name": "images", "domain": {"name": "Default"}}


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"region": "two"}, "http://two/v1/AUTH_p"),
        ({"endpoint_type": "internalURL"}, "http://inside"),
        ({"endpoint": "http://there/v1/AUTH_x/"}, "http://there/v1/AUTH_x"),
        ({"auth_address": "http://id/identity/v3/"}, "http://one/v1/AUTH_p"),
    ],
)
async def test_which_endpoint(options: dict[str, Any], url: str) -> None:
    keystone = Keystone()
    assert (await account(keystone, **options).session()).url == url
    assert keystone.asked[0][1].count("/v3/") == 1


async def test_a_token_is_renewed_before_it_ends_and_when_it_was_refused() -> None:
    keystone = Keystone()
    mine = account(keystone)
    first = await mine.session()
    keystone.time += timedelta(hours=1) - FRESH
    assert await mine.session() is first
    keystone.time += timedelta(seconds=1)
    second = await mine.session()
    assert second.token == "t2"
    assert (await mine.session(refused=first)) is second
    assert (await mine.session(refused=second)).token == "t3"


async def test_what_is_wrong_is_named_without_the_secret() -> None:
    keystone = Keystone()
    with pytest.raises(StoreError, match="has no public endpoint of type object-store in region three"):
        await account(keystone, region="three").session()
    keystone.status = 401
    with pytest.raises(StoreError, match="gives its user images:glance no token") as told:
        await account(keystone).session()
    assert "secret" not in str(told.value)
