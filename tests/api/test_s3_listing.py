"""Lists of buckets' objects, against a model; many objects deleted at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.s3_client import Rig

KEYS = sorted(
    ["a", "a/b", "a/b/c", "a/d", "b c+d", "c//x", "c//y", "d\x01e", "ü/ß", "z", "z/", "z/&<>", "日本"]
)


@pytest.fixture
async def rig(listening: Rig) -> Rig:
    await listening.do(listening.client().create_bucket, Bucket="box")
    for key in KEYS:
        await listening("PUT", f"/box/{key}", key.encode())
    return listening


def model(prefix: str, delimiter: str, after: str = "") -> tuple[list[str], list[str]]:
    """Keys and common prefixes after a key."""
    keys, folders = [], []
    for key in KEYS:
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            folder = key[: end + len(delimiter)]
            if folder not in folders and folder > after:
                folders.append(folder)
        elif key > after:
            keys.append(key)
    return keys, folders


def told(answer: dict[str, Any]) -> tuple[list[str], list[str]]:
    return (
        [each["Key"] for each in answer.get("Contents", [])],
        [each["Prefix"] for each in answer.get("CommonPrefixes", [])],
    )


@pytest.mark.parametrize("version", [1, 2])
async def test_pages_are_the_whole(rig: Rig, version: int) -> None:
    s3 = rig.client()
    for prefix, delimiter in (
        ("", ""),
        ("", "/"),
        ("a/", "/"),
        ("c/", "/"),
        ("z", "/"),
        ("", "c"),
        ("no", "/"),
    ):
        for limit in (1, 2, 5, 1000):
            keys, folders, pages, token = [], [], 0, {}
            while True:
                call = s3.list_objects if version == 1 else s3.list_objects_v2
                answer = await rig.do(
                    call, Bucket="box", Prefix=prefix, Delimiter=delimiter, MaxKeys=limit, **token
                )
                found = told(answer)
                keys += found[0]
                folders += found[1]
                pages += 1
                if not answer["IsTruncated"]:
                    break
                assert len(found[0]) + len(found[1]) == limit
                if version == 2:
                    token = {"ContinuationToken": answer["NextContinuationToken"]}
                else:
                    token = {"Marker": answer.get("NextMarker") or found[0][-1]}
            assert (keys, folders) == model(prefix, delimiter)
            total = len(keys) + len(folders)
            assert pages == max(1, -(-total // limit)), "the last full page says that it is the last"


async def test_what_an_entry_tells(rig: Rig) -> None:
    s3 = rig.client()
    listed = await rig.do(s3.list_objects_v2, Bucket="box", FetchOwner=True, StartAfter="d")
    first = listed["Contents"][0]
    head = await rig.do(s3.head_object, Bucket="box", Key=first["Key"])
    assert first["ETag"] == head["ETag"]
    assert first["LastModified"] == head["LastModified"]
    assert (first["Size"], first["StorageClass"]) == (head["ContentLength"], "STANDARD")
    assert first["Owner"]["ID"] == "p1"
    assert listed["StartAfter"] == "d"
    nothing = await rig.do(s3.list_objects_v2, Bucket="box", MaxKeys=0)
    assert (nothing["IsTruncated"], nothing["KeyCount"]) == (False, 0)


@pytest.mark.parametrize(
    "query",
    ["max-keys=x", "max-keys=-1", "encoding-type=x", "list-type=3", "list-type=2&continuation-token=%00"],
)
async def test_what_can_not_be_asked(rig: Rig, query: str) -> None:
    answer = await rig("GET", f"/box?{query}")
    assert (answer.status, b"<Code>InvalidArgument</Code>" in answer.body) == (400, True)


async def test_many_are_deleted_at_once(rig: Rig) -> None:
    s3 = rig.client()
    wanted = [{"Key": key} for key in (*KEYS[:5], "never there")]
    answer = await rig.do(s3.delete_objects, Bucket="box", Delete={"Objects": wanted})
    assert [each["Key"] for each in answer["Deleted"]] == [each["Key"] for each in wanted]
    assert told(await rig.do(s3.list_objects_v2, Bucket="box"))[0] == KEYS[5:]
    assert (await rig("DELETE", "/box/d\x01e")).status == 204  # XML has no way to write it
    left = [key for key in KEYS[5:] if key.isprintable()]
    quiet = await rig.do(
        s3.delete_objects,
        Bucket="box",
        Delete={"Objects": [{"Key": key} for key in (*left, "x" * 1025)], "Quiet": True},
    )
    assert "Deleted" not in quiet
    assert [each["Code"] for each in quiet["Errors"]] == ["KeyTooLongError"]
    assert told(await rig.do(s3.list_objects_v2, Bucket="box"))[0] == []


async def test_a_list_of_deletions_that_is_none(rig: Rig) -> None:
    many = b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>"
    entity = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Delete><Object><Key>&a;</Key></Object></Delete>'
    for body in (
        b"",
        b"<Delete/>",
        b"<x/>",
        b"<Delete>",
        b"\xff",
        many,
        entity,
        b"<Delete><Object/></Delete>",
    ):
        answer = await rig("POST", "/box?delete", body)
        assert (answer.status, b"<Code>MalformedXML</Code>" in answer.body) == (400, True), body[:40]
    wrong = await rig("POST", "/box?delete", b"<Delete/>", content_md5="A" * 22 + "==")
    assert (wrong.status, b"<Code>BadDigest</Code>" in wrong.body) == (400, True)
    assert told(await rig.do(rig.client().list_objects_v2, Bucket="box"))[0] == KEYS
