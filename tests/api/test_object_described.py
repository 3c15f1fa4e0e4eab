"""What containers and accounts say of themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from msgspec.structs import replace

from pileus.testing.clock import FakeClock
from tests.object_store_client import NOBODY, OTHER, OWNER, Store, running


async def test_a_containers_last_modified_is_of_its_own_last_change(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock) as store:

        async def shown() -> set[str]:
            at = {(await store(method, "/d")).headers["last-modified"] for method in ("HEAD", "GET")}
            (row,) = json.loads((await store("GET", "?format=json")).body)
            listed = datetime.fromisoformat(row["last_modified"]).replace(tzinfo=UTC)
            if listed.microsecond:
                listed += timedelta(microseconds=1_000_000 - listed.microsecond)
            return at | {format_datetime(listed, usegmt=True)}

        seen = []
        for method, path in (("PUT", "/d"), ("POST", "/d"), ("PUT", "/d"), ("PUT", "/d/o"), ("POST", "/d/o")):
            await clock.advance(10)
            assert (await store(method, path)).status < 300
            (moment,) = await shown()
            seen.append(moment)
        made, posted, put, *later = seen
        assert len({made, posted, put}) == 3
        assert later == [put, put], "what is in it does not count"


async def test_an_account_tells_its_project_s_domain(store: Store) -> None:
    domain = "x-account-project-domain-id"
    owner = replace(OWNER, project_domain_id="d1")
    assert (await store("HEAD", "", as_=owner)).headers[domain] == "d1"
    assert domain not in (await store("HEAD", "")).headers, "the token does not tell it"
    reseller = replace(OTHER, project_domain_id="d2", roles=frozenset({"ResellerAdmin"}))
    answer = await store("HEAD", "", as_=reseller)
    assert (answer.status, domain in answer.headers) == (204, False), "it is another project's"


async def test_what_may_be_asked_of_info(store: Store) -> None:
    answer = await store("OPTIONS", "", at="/info", as_=NOBODY)
    assert answer.status == 200
    assert set(answer.headers["allow"].split(", ")) == {"HEAD", "GET", "OPTIONS"}
