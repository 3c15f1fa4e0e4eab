"""What errors of Swift's API say, and how."""

from __future__ import annotations

from tests.object_store_client import NOBODY, Store


async def test_reasons_are_plain_text(store: Store) -> None:
    bad = await store("PUT", "/c/o", x_delete_at="soon")
    assert (bad.status, bad.body) == (400, b"Non-integer X-Delete-At")
    assert bad.headers["content-type"] == "text/plain; charset=UTF-8"
    gone = await store("GET", "/c/none")
    assert (gone.status, gone.headers["content-type"]) == (404, "text/html; charset=UTF-8")
    assert gone.body == b"<html><h1>Not Found</h1><p>The resource could not be found.</p></html>"


async def test_a_challenge_names_the_account(store: Store) -> None:
    refused = await store("GET", "/c", as_=NOBODY)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Swift realm="AUTH_p1"')
    odd = await store("GET", "", at='/v1/AUTH_x"\ny', as_=NOBODY)
    assert odd.headers["www-authenticate"] == 'Swift realm="AUTH_x%22%0Ay"'


async def test_too_long_a_header(store: Store) -> None:
    assert (await store("PUT", "/c/o", content_disposition="x" * 8193)).status == 400
    assert (await store("POST", "/c", x_container_read="x" * 8193)).status == 400
    assert (await store("POST", "", x_account_access_control="x" * 8193)).status == 400


async def test_an_empty_account_list_is_none(store: Store) -> None:
    for value, kept in (
        ('{"admin": ["a:b"]}', '{"admin":["a:b"]}'),
        ("{}", None),
        ('{"read-only":[]}', None),
    ):
        assert (await store("POST", "", x_account_access_control=value)).status == 204
        assert (await store("HEAD", "")).headers.get("x-account-access-control") == kept
