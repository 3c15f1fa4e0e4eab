"""Links between the pages of a list, in the shapes that dialects use."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pileus.kernel.api.call import Call
from pileus.kernel.api.listing import Page


def page_url(call: Call, **changed: str | None) -> str:
    """The call's own address with some of its query changed, or dropped where None."""
    query = {name: values for name, values in call.query.items() if name not in changed}
    query.update({name: [value] for name, value in changed.items() if value is not None})
    encoded = urlencode(query, doseq=True)
    return call.root_url + call.path + (f"?{encoded}" if encoded else "")


def key_of(page: Page, index: int) -> str:
    """What a marker for this row says."""
    return str(getattr(page.rows[index], page.resource.key))


def next_link_list(call: Call, page: Page) -> dict[str, Any]:
    """`servers_links: [{rel: next}]` where more rows follow: Nova, Cinder."""
    if not (page.more and page.rows):
        return {}
    href = page_url(call, marker=key_of(page, -1))
    return {f"{page.resource.collection}_links": [{"href": href, "rel": "next"}]}


def next_and_previous(call: Call, page: Page) -> dict[str, Any]:
    """`networks_links` with next and previous, where the client asked for pages: Neutron.

    As there, every full page has a link onwards, be it to an empty one: clients walk until they find no more.
    """
    if page.limit is None or (not page.rows and page.marker is None):
        return {}
    if not page.rows:
        back = page_url(call, marker=None, page_reverse="True")
        return {f"{page.resource.collection}_links": [{"rel": "previous", "href": back}]}
    links = []
    onwards = page.more or len(page.rows) == page.limit
    if onwards if not page.reverse else page.marker is not None:
        links.append({"rel": "next", "href": page_url(call, marker=key_of(page, -1), page_reverse=None)})
    if page.marker is not None if not page.reverse else onwards:
        links.append({"rel": "previous", "href": page_url(call, marker=key_of(page, 0), page_reverse="True")})
    return {f"{page.resource.collection}_links": links} if links else {}


def self_next_previous(call: Call, page: Page) -> dict[str, Any]:
    """`links: {self, next, previous}` beside every collection, and `truncated` where it was cut unasked: Keystone."""
    following = page_url(call, marker=key_of(page, -1)) if page.more and page.rows and page.limit else None
    cut = {"truncated": True} if page.more and page.limit is None else {}
    return {"links": {"self": page_url(call), "next": following, "previous": None}, **cut}


def first_and_next(call: Call, page: Page) -> dict[str, Any]:
    """`first` and `next` as paths below the service's own, as `/v2/images`: Glance."""
    root = call.root_url + call.runtime.service.root
    links = {"first": page_url(call, marker=None).removeprefix(root)}
    if page.more and page.rows:
        links["next"] = page_url(call, marker=key_of(page, -1)).removeprefix(root)
    return links
