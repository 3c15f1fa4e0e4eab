"""Headers and outcomes mean what they mean to the real `swift` package."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.errors import ApiError, RangeNotSatisfiable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import conditions, metadata
from pileus.services.object_store.api import listing
from pileus.services.object_store.api.outcome import Outcome, status_line
from pileus.services.object_store.api.write import kept_from

pytestmark = pytest.mark.slow
HELPER = Path(__file__).with_name("swift_oracle.py")


def swift(questions: list[list[Any]]) -> list[Any]:
    done = subprocess.run(
        [sys.executable, str(HELPER)],
        input="".join(json.dumps(each) + "\n" for each in questions),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def agree(questions: list[list[Any]], ours: Any) -> None:
    assert questions
    for question, theirs in zip(questions, swift(questions), strict=True):
        assert ours(*question[1:]) == theirs, question


def test_ranges() -> None:
    def ours(header: str, size: int) -> Any:
        try:
            found = conditions.ranges(header, size)
        except RangeNotSatisfiable:
            return 416
        return 200 if found is None else [list(each) for each in found]

    chance = random.Random(3)
    specs = ["0-0", "0-", "-1", "-0", "-", "5-3", "3-5", "9-", "10-", "10-20", "-100", "4-7", "00-01", "a-b"]
    headers = [f"bytes={each}" for each in specs] + ["items=0-1", "bytes", "", "bytes="]
    headers += [f"bytes={','.join(chance.choices(specs, k=chance.randint(2, 12)))}" for _ in range(500)]
    headers += [f"bytes={','.join(['0-0'] * many)}" for many in (50, 51)]
    agree([["ranges", header, size] for header in headers for size in (0, 1, 10)], ours)


def test_access_lists() -> None:
    def ours(name: str, value: str) -> Any:
        try:
            return metadata.clean_acl(name, value)
        except ApiError as error:
            return error.status

    words = [".r", ".ref", ".referer", ".referrer", "bob", "", ".x", ".rlistings", "*"]
    values = [
        "*",
        "example.com",
        "-example.com",
        ".example.com",
        "*.example.com",
        "-",
        "-*.a",
        "",
        ".",
        "sue",
    ]
    lists = [f"{word}{between}{value}" for word, between, value in product(words, (":", " : "), values)]
    lists += [*words, "bob, sue", " bob ,, sue ", ".r:*,.rlistings", ",", ".r:*:x"]
    names = ("x-container-read", "x-container-write")
    agree([["acl", name, value] for name in names for value in lists], ours)


def test_expiry() -> None:
    now = Timestamp.parse("1700000000.50000")

    def ours(headers: dict[str, str], _: str) -> Any:
        try:
            return kept_from(headers, now).get("x-delete-at")
        except ApiError as error:
            return [error.status, error.message]

    values = ("0", "-1", "1", "60", " 60 ", "+60", "abc", "", "1.5", "1699999999", "1700000001", "9999999999")
    agree(
        [
            ["delete_at", {name: value}, now.internal]
            for name in ("x-delete-at", "x-delete-after")
            for value in values
        ],
        ours,
    )


class Asked:
    """As much of a call as says which form is wanted."""

    def __init__(self, query: str, accept: str | None) -> None:
        self._query, self._accept = query, accept

    def arg(self, name: str) -> str | None:
        return self._query.partition("=")[2] if self._query else None

    def header(self, name: str) -> str | None:
        return self._accept


def test_forms_of_lists() -> None:
    def ours(query: str, accept: str | None) -> Any:
        try:
            shape = listing.form(Asked(query, accept))  # type: ignore[arg-type]  # see Asked
        except ApiError as error:
            return error.status
        kind = listing.MEDIA_TYPES[shape].partition(";")[0]
        return "text/xml" if kind == "application/xml" and "text/xml" in (accept or "") else kind

    queries = (
        "",
        "?format=json",
        "?format=xml",
        "?format=plain",
        "?format=JSON",
        "?format=bogus",
        "?format=",
    )
    accepted = (
        *(None, "", "*/*", "application/json", "application/xml", "text/plain", "text/html", "text/*"),
        *("application/*", "application/json;q=0.5,text/plain", "bogus", "application/json;charset=utf-8"),
        "text/html,application/xml;q=0.9,*/*;q=0.8",
        "text/plain;q=0.1,application/xml;q=0.2",
        "application/json, bogus",
    )
    agree([["form", query, accept] for query in queries for accept in accepted], ours)


def test_outcomes() -> None:
    def ours(kind: str, values: dict[str, Any], errors: list[list[str]], root: str) -> str:
        counts = {name: value for name, value in values.items() if not name.startswith("Response")}
        outcome = Outcome(root, counts, {}, 400 if errors else 201, values["Response Body"])
        outcome.errors = [(what, why) for what, why in errors]
        shape = {"text/plain": "plain", "application/json": "json", "application/xml": "xml"}[kind]
        body = outcome.encode(shape).decode()  # type: ignore[arg-type]  # one of the three
        return json.dumps(json.loads(body), sort_keys=True) if shape == "json" else body

    questions: list[list[Any]] = []
    for errors in ([], [["/c/a%20b&<", "404 Not Found"], ["c/o", "409 Conflict"]]):
        for counts, root in (
            ({"Number Deleted": 3, "Number Not Found": 1}, "delete"),
            ({"Etag": '"x"'}, "upload"),
        ):
            said = {"Response Status": status_line(400 if errors else 201), "Response Body": "a & b"}
            for kind in ("text/plain", "application/json", "application/xml"):
                questions.append(["outcome", kind, {**counts, **said}, errors, root])
    for question, theirs in zip(questions, swift(questions), strict=True):
        is_json = question[1] == "application/json"
        expected = json.dumps(json.loads(theirs), sort_keys=True) if is_json else theirs
        assert ours(*question[1:]) == expected, question
