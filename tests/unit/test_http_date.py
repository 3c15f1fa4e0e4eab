"""Dates in headers, good and bad."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pileus.lib import http_date


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms(text: str) -> None:
    assert http_date.parse(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2001 00:00:00 +99999999999999",
        "Mon, 99 Jan 2001 00:00:00 GMT",
        "(" * 5000,
    ],
)
def test_what_is_no_date(text: str | None) -> None:
    assert http_date.parse(text) is None
