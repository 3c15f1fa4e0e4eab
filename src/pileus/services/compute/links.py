"""Links to resources."""

from __future__ import annotations

from pileus.kernel.api.call import Call


def member_links(call: Call, collection: str, key: str) -> list[dict[str, str]]:
    """`self` with the API's version and `bookmark` without."""
    root = call.root_url
    return [
        {"rel": "self", "href": f"{root}/compute/v2.1/{collection}/{key}"},
        {"rel": "bookmark", "href": f"{root}/compute/{collection}/{key}"},
    ]
