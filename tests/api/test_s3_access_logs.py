"""Logs of access to buckets: what stands in them, where they are put, and who lets them in."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from pileus.kernel.context import Context
from pileus.services.object_store.access_log import AccessLog, Lot
from tests.object_store_client import OTHER
from tests.s3_client import Rig, code, keys, running
from tests.s3_logs import DAEMON, allowed, delivered, logged, status

RESELLER = Context(user_id="r", project_id="p9", roles=frozenset({"ResellerAdmin"}))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield await logged(rig)


async def test_what_a_line_says(rig: Rig) -> None:
    body = b"x" * 5000
    assert (
        await rig("PUT", "/pile/a%20b", body, user_agent='a "quoted" one', referer="http://x/")
    ).status == 200
    got = await rig("GET", "/pile/a%20b?response-content-type=x/y", range="bytes=0-9")
    assert got.body == body[:10]
    assert (await rig("HEAD", "/pile/a%20b")).status == 200
    assert (await rig("GET", "/pile/none", as_=OTHER)).status == 403
    assert (await rig("GET", "/pile/none")).status == 404
    lines = await delivered(rig)
    assert {len(each) for each in lines} == {26}
    put, get, head, refused, missing = lines
    assert put[:2] == ["p1", "pile"]
    assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]", put[2])
    assert put[3:5] == ["-", "arn:aws:iam::p1:user/olga"]
    assert re.fullmatch("[0-9A-F]{16}", put[5])
    assert put[6:8] == ["REST.PUT.OBJECT", "a%2520b"]
    assert put[8] == '"PUT /s3/pile/a%20b HTTP/1.1"'
    assert put[9:13] == ["200", "-", "-", "5000"]
    assert 0 <= int(put[14]) <= int(put[13])
    assert put[15:18] == ['"http://x/"', '"a %22quoted%22 one"', "-"]
    assert put[19:] == ["-", "-", "-", "s3.test", "-", "-", "-"]
    assert get[6] == "REST.GET.OBJECT"
    assert get[8] == '"GET /s3/pile/a%20b?response-content-type=x/y HTTP/1.1"'
    assert get[9:13] == ["206", "-", "10", "5000"]
    assert (head[6], head[9:13]) == ("REST.HEAD.OBJECT", ["200", "-", "-", "5000"])
    assert (refused[4], refused[9:11]) == ("arn:aws:iam::p2:user/oto", ["403", "AccessDenied"])
    assert int(refused[11]) > 200
    assert missing[9:11] == ["404", "NoSuchKey"]
    assert re.fullmatch(r"pile/\d{4}(-\d\d){5}-[0-9A-F]{16}", (await keys(rig, "logs"))[0])


async def test_what_is_done_has_names(rig: Rig) -> None:
    begun = (await rig("POST", "/pile/o?uploads")).body.decode()
    upload = begun.partition("<UploadId>")[2].partition("</UploadId>")[0]
    asked = [
        ("PUT", "/pile/o", b"x", "REST.PUT.OBJECT"),
        ("GET", "/pile", b"", "REST.GET.BUCKET"),
        ("GET", "/pile?list-type=2&prefix=a", b"", "REST.GET.BUCKET"),
        ("GET", "/pile?versions", b"", "REST.GET.BUCKETVERSIONS"),
        ("GET", "/pile?logging", b"", "REST.GET.LOGGING_STATUS"),
        ("GET", "/pile?policy", b"", "REST.GET.BUCKETPOLICY"),
        ("GET", "/pile?location", b"", "REST.GET.LOCATION"),
        ("GET", "/pile/o?tagging", b"", "REST.GET.OBJECT_TAGGING"),
        ("GET", "/pile/o?acl", b"", "REST.GET.ACL"),
        ("PUT", f"/pile/o?partNumber=1&uploadId={upload}", b"x", "REST.PUT.PART"),
        ("GET", f"/pile/o?uploadId={upload}", b"", "REST.GET.UPLOAD"),
        ("DELETE", f"/pile/o?uploadId={upload}", b"", "REST.DELETE.UPLOAD"),
        ("GET", "/pile?uploads", b"", "REST.GET.UPLOADS"),
        ("GET", "/pile?torrent", b"", "REST.GET.TORRENT"),
        ("OPTIONS", "/pile/o", b"", "REST.OPTIONS.PREFLIGHT"),
        ("DELETE", "/pile/o", b"", "REST.DELETE.OBJECT"),
    ]
    for method, path, body, _ in asked:
        await rig(method, path, body)
    assert [each[6] for each in await delivered(rig)] == ["REST.POST.UPLOADS", *(each[3] for each in asked)]


async def test_copies_and_deletions_of_many_have_lines_of_their_own(rig: Rig) -> None:
    await rig("PUT", "/pile/o", b"x" * 100)
    assert (await rig("PUT", "/other")).status == 200
    assert (await rig("PUT", "/other/p", x_amz_copy_source="/pile/o")).status == 200
    assert (await rig("PUT", "/pile/p", x_amz_copy_source="/pile/o")).status == 200
    keys_ = b"<Object><Key>o</Key></Object><Object><Key>p</Key></Object>"
    assert (await rig("POST", "/pile?delete", b"<Delete>" + keys_ + b"</Delete>")).status == 200
    told = [(each[6], each[7], each[9]) for each in await delivered(rig)]
    assert told == [
        ("REST.PUT.OBJECT", "o", "200"),
        ("REST.COPY.OBJECT_GET", "o", "200"),
        ("REST.COPY.OBJECT_GET", "o", "200"),
        ("REST.COPY.OBJECT", "p", "200"),
        ("BATCH.DELETE.OBJECT", "o", "204"),
        ("BATCH.DELETE.OBJECT", "p", "204"),
        ("REST.POST.MULTI_OBJECT_DELETE", "-", "200"),
    ]


async def test_pages_of_web_sites_and_forms(rig: Rig) -> None:
    site = b"<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>"
    assert (await rig("PUT", "/pile?website", site)).status == 200
    assert (await rig("GET", "/pile/", prefix="/s3-website", as_=None)).status == 403
    form = (
        b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    )
    kind = "multipart/form-data; boundary=b"
    assert (await rig("POST", "/pile", form, as_=None, content_type=kind)).status == 403
    lines = [(each[4], each[6], each[7], each[9]) for each in await delivered(rig)]
    assert lines[1:] == [
        ("-", "WEBSITE.GET.OBJECT", "i", "403"),
        ("-", "REST.POST.OBJECT", "k", "403"),
    ]


async def test_who_can_not_be_told_is_logged_all_the_same(rig: Rig) -> None:
    bad = "AWS4-HMAC-SHA256 Credential=nobody/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    refused = await rig("GET", "/pile/o", as_=None, authorization=bad)
    assert refused.status in (400, 403)
    # Only what stands in the register: a container of Swift's is nobody's bucket.
    await rig.swift("PUT", "/hers")
    assert (await rig("GET", "/hers/o", as_=None, authorization=bad)).status == refused.status
    (line,) = await delivered(rig)
    assert (line[4], line[6:8], line[9:11]) == (
        "-",
        ["REST.GET.OBJECT", "o"],
        [str(refused.status), code(refused)],
    )


async def test_nobody_writes_lines_of_his_own(rig: Rig) -> None:
    for name, value in (
        ("user_agent", 'x" 200 -\n79a5 forged'),
        ("referer", '" "\x0b'),
        ("host", 'a b "c"'),
        ("user_agent", "\x85\u00a0\u00ff"),
    ):
        await rig("GET", "/pile/o", **{name: value})
    await rig("GET", "/pile/" + "k\n e\u2028y", raw_path=b'/s3/pile/k"%0A" e')
    await rig("GET", "/pile/o?x=\"&y='")
    lines = await delivered(rig)
    assert [len(each) for each in lines] == [26] * 6
    assert unquote(lines[4][7]) == "k\n e\u2028y"


async def test_partitioned_keys(rig: Rig) -> None:
    for source, day in (("EventTime", True), ("DeliveryTime", False)):
        form = (
            "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>"
            f"{source}</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"
        )
        assert (await rig("PUT", "/pile?logging", status(prefix=f"{source}/", more=form))).status == 200
        await rig("GET", "/pile/o")
        assert len(await delivered(rig)) >= 1
        (key,) = [each for each in await keys(rig, "logs") if each.startswith(source)]
        found = re.fullmatch(
            rf"{source}/p1/us-east-1/pile/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3-(\d\d-\d\d-\d\d)-[0-9A-F]{{16}}",
            key,
        )
        assert found is not None, key
        assert (found[4] == "00-00-00") == day or not day
    shown = (await rig("GET", "/pile?logging")).body.decode()
    assert "<PartitionDateSource>DeliveryTime</PartitionDateSource>" in shown


async def test_days_stand_apart_where_keys_tell_them() -> None:
    log = AccessLog()
    for day in ("2026-01-30", "2026-01-31", "2026-01-30"):
        log.add(Lot("AUTH_p1", "pile", "setting", day), b"line\n")
    assert [(each.day, len(log.take(each))) for each in log.lots()] == [("2026-01-30", 2), ("2026-01-31", 1)]
    assert log.size_bytes == 0


async def test_who_lets_the_log_in(rig: Rig) -> None:
    async def is_delivered() -> bool:
        before = len(await keys(rig, "logs"))
        await rig("GET", "/pile/o")
        await rig.state.daemons.run_once(DAEMON)
        assert rig.state.access_log.size_bytes == 0
        return len(await keys(rig, "logs")) > before

    assert await is_delivered()
    assert (await rig("DELETE", "/logs?policy")).status == 204
    assert not await is_delivered()
    narrow = {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::pile"}, "StringEquals": {"aws:SourceAccount": "p1"}}
    assert (await rig("PUT", "/logs?policy", allowed(**narrow))).status == 204
    assert await is_delivered()
    for wrong in (
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::other"}},
        {"StringEquals": {"aws:SourceAccount": "p2"}},
    ):
        assert (await rig("PUT", "/logs?policy", allowed(**wrong))).status == 204
        assert not await is_delivered()
    denied = json.loads(allowed())
    denied["Statement"].append({**denied["Statement"][0], "Effect": "Deny", "Principal": "*"})
    assert (await rig("PUT", "/logs?policy", json.dumps(denied).encode())).status == 204
    assert not await is_delivered()
    other = allowed().replace(b"logging.s3", b"cloudtrail")
    assert (await rig("PUT", "/logs?policy", other)).status == 204
    assert not await is_delivered()
    for nobodys in (b"logging", b"*", b"logging.s3.example.org"):
        wrong_name = allowed().replace(b"logging.s3.amazonaws.com", nobodys)
        assert code(await rig("PUT", "/logs?policy", wrong_name)) == "MalformedPolicy"
    assert (await rig("DELETE", "/logs?policy")).status == 204
    # As before there were policies for it: by the target's access control list.
    owned = (
        b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
    )
    assert (await rig("PUT", "/logs?ownershipControls", owned)).status == 200
    assert not await is_delivered()
    refused = await rig("PUT", "/pile?logging", status())
    assert (code(refused), b"log-delivery group" in refused.body) == ("InvalidTargetBucketForLogging", True)
    assert (await rig("PUT", "/logs?acl", x_amz_acl="log-delivery-write")).status == 200
    assert await is_delivered()
    assert (await rig.swift("POST", "", as_=RESELLER, x_account_sysmeta_read_only="true")).status == 204
    assert not await is_delivered()


async def test_grants_go_with_the_log(rig: Rig) -> None:
    grants = (
        '<TargetGrants><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
        "<ID>p2</ID></Grantee><Permission>READ</Permission></Grant></TargetGrants>"
    )
    refused = await rig("PUT", "/pile?logging", status(more=grants))
    assert code(refused) == "AccessControlListNotSupported"
    owned = (
        b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
    )
    assert (await rig("PUT", "/logs?ownershipControls", owned)).status == 200
    assert (await rig("PUT", "/pile?logging", status(more=grants))).status == 200
    await rig.state.daemons.run_once(DAEMON)
    before = set(await keys(rig, "logs"))
    await rig("GET", "/pile/o")
    await rig.state.daemons.run_once(DAEMON)
    (key,) = set(await keys(rig, "logs")) - before
    assert (await rig("GET", f"/logs/{key}", as_=OTHER)).status == 200
    assert code(await rig("GET", f"/logs/{key}?acl", as_=OTHER)) == "AccessDenied"
    shown = (await rig("GET", f"/logs/{key}?acl")).body.decode()
    assert re.findall("<Permission>(.*?)</Permission>", shown) == ["FULL_CONTROL", "READ"]


async def test_what_can_not_be_set(rig: Rig) -> None:
    assert (await rig("PUT", "/vault", x_amz_bucket_object_lock_enabled="true")).status == 200
    lock = (
        b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
        b"<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
    )
    assert (await rig("PUT", "/vault?object-lock", lock)).status == 200
    assert (await rig("PUT", "/theirs", as_=OTHER)).status == 200
    before = (await rig("GET", "/pile?logging")).body
    both = "<TargetObjectKeyFormat><SimplePrefix/><PartitionedPrefix/></TargetObjectKeyFormat>"
    for body, expected in (
        (status("none"), "InvalidTargetBucketForLogging"),
        (status("theirs"), "InvalidTargetBucketForLogging"),
        (status("vault"), "InvalidTargetBucketForLogging"),
        (status(prefix="p" * 701), "InvalidArgument"),
        (status(prefix="a&#10;b"), "InvalidArgument"),
        (status(more=both), "MalformedXML"),
        (status(more="<TargetObjectKeyFormat/>"), "MalformedXML"),
        (status(more="<TargetObjectKeyFormat><Other/></TargetObjectKeyFormat>"), "MalformedXML"),
    ):
        assert code(await rig("PUT", "/pile?logging", body)) == expected, body
    assert (await rig("GET", "/pile?logging")).body == before


async def test_what_is_not_logged(rig: Rig) -> None:
    assert (await rig("PUT", "/quiet")).status == 200
    await rig("PUT", "/quiet/o", b"x")
    await rig.swift("GET", "/pile")
    assert rig.state.access_log.lots() == []
    assert (await rig("PUT", "/pile?logging", b"<BucketLoggingStatus/>")).status == 200
    assert len(await delivered(rig)) == 1  # that it ends
    await rig("GET", "/pile/o")
    assert rig.state.access_log.lots() == []
