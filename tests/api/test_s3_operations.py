"""Every operation that AWS's own model of S3 has: done, as the model describes it, or said not to be here.

The stock client sends them all; what comes back is laid beside the model's shapes, so that no element and no header is
in an answer of which the client would make nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pileus.services.object_store.settings import Settings
from tests.s3_client import Rig, running
from tests.s3_model import Client, sample

pytestmark = pytest.mark.slow
PART = 5 * 1024 * 1024
REFUSED = frozenset(
    [
        "CreateBucketMetadataConfiguration",
        "CreateBucketMetadataTableConfiguration",
        "CreateSession",
        "DeleteBucketMetadataConfiguration",
        "DeleteBucketMetadataTableConfiguration",
        "DeleteObjectAnnotation",
        "GetBucketAbac",
        "GetBucketMetadataConfiguration",
        "GetBucketMetadataTableConfiguration",
        "GetObjectAnnotation",
        "GetObjectTorrent",
        "ListDirectoryBuckets",
        "ListObjectAnnotations",
        "PutBucketAbac",
        "PutBucketAnalyticsConfiguration",
        "PutBucketIntelligentTieringConfiguration",
        "PutBucketInventoryConfiguration",
        "PutBucketMetricsConfiguration",
        "PutBucketReplication",
        "PutObjectAnnotation",
        "RenameObject",
        "RestoreObject",
        "SelectObjectContent",
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "UpdateBucketMetadataInventoryTableConfiguration",
        "UpdateBucketMetadataJournalTableConfiguration",
        "UpdateObjectEncryption",
        "WriteGetObjectResponse",
    ]
)
"""Answered with `NotImplemented`."""
EMPTY = {
    "GetBucketAnalyticsConfiguration": "NoSuchConfiguration",
    "GetBucketIntelligentTieringConfiguration": "NoSuchConfiguration",
    "GetBucketInventoryConfiguration": "NoSuchConfiguration",
    "GetBucketMetricsConfiguration": "NoSuchConfiguration",
    "GetBucketReplication": "ReplicationConfigurationNotFoundError",
}
"""Answered as AWS answers where nothing is set, since nothing can be."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, listen=True, settings=Settings(encryption=True)) as rig:
        yield rig


def buckets(s3: Client) -> None:
    s3.create_bucket(Bucket="pile")
    tagged = {"Tags": [{"Key": "a", "Value": "b"}]}
    s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True, CreateBucketConfiguration=tagged)
    assert s3.get_bucket_tagging(Bucket="vault")["TagSet"] == tagged["Tags"]
    assert s3.head_bucket(Bucket="pile")["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket="pile")["LocationConstraint"] is None
    first = s3.list_buckets(MaxBuckets=1)
    assert [each["Name"] for each in first["Buckets"]] == ["pile"]
    rest = s3.list_buckets(MaxBuckets=1, ContinuationToken=first["ContinuationToken"])
    assert [(each["Name"], each["BucketRegion"]) for each in rest["Buckets"]] == [("vault", "us-east-1")]
    assert "ContinuationToken" not in rest
    assert [each["Name"] for each in s3.list_buckets(Prefix="v")["Buckets"]] == ["vault"]
    assert s3.list_buckets(BucketRegion="mars")["Buckets"] == []


def settings(s3: Client) -> None:
    """What is set comes back as it was; what is taken away is gone."""
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ID": "one", "MaxAgeSeconds": 3}
    expiry = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 3}}
    old_expiry = {"ID": "r", "Status": "Enabled", "Prefix": "x", "Expiration": {"Days": 3}}
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "s3:GetObject",
                    "Resource": "arn:aws:s3:::pile/*",
                },
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "logging.s3.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": "arn:aws:s3:::pile/log/*",
                },
            ],
        }
    )
    site = {"IndexDocument": {"Suffix": "index.html"}}
    logging = {
        "TargetBucket": "pile",
        "TargetPrefix": "log/",
        "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
    }
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False
    )
    at = {"Bucket": "pile"}
    s3.put_bucket_cors(**at, CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(**at)["CORSRules"] == [rule]
    s3.delete_bucket_cors(**at)
    s3.put_bucket_lifecycle(**at, LifecycleConfiguration={"Rules": [old_expiry]})
    assert s3.get_bucket_lifecycle(**at)["Rules"] == [old_expiry]
    s3.put_bucket_lifecycle_configuration(**at, LifecycleConfiguration={"Rules": [expiry]})
    assert s3.get_bucket_lifecycle_configuration(**at)["Rules"] == [expiry]
    s3.delete_bucket_lifecycle(**at)
    s3.put_bucket_policy(**at, Policy=policy)
    assert s3.get_bucket_policy(**at)["Policy"] == policy
    assert s3.get_bucket_policy_status(**at)["PolicyStatus"] == {"IsPublic": True}
    s3.put_bucket_logging(**at, BucketLoggingStatus={"LoggingEnabled": logging})
    assert s3.get_bucket_logging(**at)["LoggingEnabled"] == logging
    s3.put_bucket_logging(**at, BucketLoggingStatus={})
    s3.delete_bucket_policy(**at)
    s3.put_bucket_website(**at, WebsiteConfiguration=site)
    assert s3.get_bucket_website(**at)["IndexDocument"] == site["IndexDocument"]
    s3.delete_bucket_website(**at)
    s3.put_bucket_tagging(**at, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_bucket_tagging(**at)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.delete_bucket_tagging(**at)
    controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(**at, OwnershipControls=controls)
    assert s3.get_bucket_ownership_controls(**at)["OwnershipControls"] == controls
    s3.put_bucket_acl(**at, GrantWrite='uri="http://acs.amazonaws.com/groups/s3/LogDelivery"')
    assert s3.get_bucket_acl(**at)["Grants"][0]["Permission"] == "WRITE"
    s3.delete_bucket_ownership_controls(**at)
    s3.put_public_access_block(**at, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(**at)["PublicAccessBlockConfiguration"] == block
    s3.delete_public_access_block(**at)
    s3.put_bucket_versioning(**at, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(**at)["Status"] == "Enabled"
    s3.put_bucket_request_payment(**at, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert s3.get_bucket_request_payment(**at)["Payer"] == "BucketOwner"
    s3.put_bucket_accelerate_configuration(**at, AccelerateConfiguration={"Status": "Suspended"})
    assert "Status" not in s3.get_bucket_accelerate_configuration(**at)
    s3.put_bucket_notification(**at, NotificationConfiguration={})
    s3.put_bucket_notification_configuration(**at, NotificationConfiguration={})
    s3.get_bucket_notification(**at)
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(**at)
    sealed = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(**at, ServerSideEncryptionConfiguration=sealed)
    shown = s3.get_bucket_encryption(**at)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert shown["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    s3.delete_bucket_encryption(**at)
    for kind, shown in (
        ("Analytics", "AnalyticsConfigurationList"),
        ("IntelligentTiering", "IntelligentTieringConfigurationList"),
        ("Inventory", "InventoryConfigurationList"),
        ("Metrics", "MetricsConfigurationList"),
    ):
        listed = s3.call(f"ListBucket{kind}Configurations", **at)
        assert (listed["IsTruncated"], listed.get(shown)) == (False, None)
        s3.call(f"DeleteBucket{kind}Configuration", **at, Id="one")
    s3.delete_bucket_replication(**at)


def objects(s3: Client) -> None:
    at = {"Bucket": "pile", "Key": "o"}
    put = s3.put_object(**at, Body=b"body", Metadata={"a": "b"}, Tagging="x=1", ContentType="x/y", Expires=0)
    version = put["VersionId"]
    head = s3.head_object(**at, ChecksumMode="ENABLED")
    assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (4, {"a": "b"}, "x/y")
    assert head["ChecksumCRC32"] == put["ChecksumCRC32"]
    got = s3.get_object(**at, Range="bytes=1-2", ResponseContentType="z/z", ResponseExpires=0)
    assert (got["Body"].read(), got["ContentRange"], got["ContentType"]) == (b"od", "bytes 1-2/4", "z/z")
    assert got["TagCount"] == 1
    assert s3.get_object(**at, PartNumber=1)["Body"].read() == b"body"
    told = s3.get_object_attributes(
        **at, ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    )
    assert (told["ETag"], told["ObjectSize"]) == (put["ETag"].strip('"'), 4)
    assert told["Checksum"] == {"ChecksumCRC32": put["ChecksumCRC32"], "ChecksumType": "FULL_OBJECT"}
    copy = s3.copy_object(Bucket="pile", Key="p", CopySource={**at, "VersionId": version})
    assert copy["CopyObjectResult"]["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert copy["CopySourceVersionId"] == version
    s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    tagged = s3.get_object_tagging(**at)
    assert (tagged["TagSet"], tagged["VersionId"]) == ([{"Key": "k", "Value": "v"}], version)
    s3.delete_object_tagging(**at)
    s3.put_object_acl(**at, ACL="private")
    assert s3.get_object_acl(**at)["Owner"]["ID"] == "p1"
    for kind in ("list_objects", "list_objects_v2"):
        listed = getattr(s3, kind)(Bucket="pile", MaxKeys=1, Delimiter="/", EncodingType="url")
        assert [each["Key"] for each in listed["Contents"]] == ["o"]
        assert listed["IsTruncated"]
    s3.put_object(**at, Body=b"newer")
    s3.delete_object(**at)
    page = s3.list_object_versions(Bucket="pile", MaxKeys=1, Prefix="o")
    assert [each["IsLatest"] for each in page["DeleteMarkers"]] == [True]
    marked = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    rest = s3.list_object_versions(Bucket="pile", Prefix="o", **marked)
    assert [each["Size"] for each in rest["Versions"]] == [5, 4]
    gone = s3.delete_objects(
        Bucket="pile", Delete={"Objects": [{"Key": "o", "VersionId": version}, {"Key": "p", "ETag": '"x"'}]}
    )
    assert [each["Key"] for each in gone["Deleted"]] == ["o"]
    assert [each["Code"] for each in gone["Errors"]] == ["PreconditionFailed"]


def uploads(s3: Client) -> None:
    at = {"Bucket": "pile", "Key": "large"}
    begun = s3.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")
    assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == ("SHA256", "COMPOSITE")
    at["UploadId"] = begun["UploadId"]
    one = s3.upload_part(**at, PartNumber=1, Body=b"x" * PART, ChecksumAlgorithm="SHA256")
    s3.put_object(Bucket="pile", Key="source", Body=b"0123456789")
    two = s3.upload_part_copy(
        **at, PartNumber=2, CopySource={"Bucket": "pile", "Key": "source"}, CopySourceRange="bytes=2-4"
    )["CopyPartResult"]
    assert two["ChecksumSHA256"]
    listed = s3.list_parts(**at, MaxParts=1)
    assert [each["ChecksumSHA256"] for each in listed["Parts"]] == [one["ChecksumSHA256"]]
    assert (listed["IsTruncated"], listed["ChecksumAlgorithm"]) == (True, "SHA256")
    rest = s3.list_parts(**at, PartNumberMarker=listed["NextPartNumberMarker"])
    assert [(each["PartNumber"], each["Size"]) for each in rest["Parts"]] == [(2, 3)]
    shown = s3.list_multipart_uploads(Bucket="pile", Prefix="l")["Uploads"]
    assert [(each["Key"], each["UploadId"]) for each in shown] == [("large", at["UploadId"])]
    parts = [{"PartNumber": number, "ETag": each["ETag"]} for number, each in ((1, one), (2, two))]
    done = s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    assert done["ChecksumType"] == "COMPOSITE"
    part = s3.get_object(Bucket="pile", Key="large", PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (b"234", 2)
    told = s3.get_object_attributes(
        Bucket="pile", Key="large", ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=1
    )
    assert [each["Size"] for each in told["ObjectParts"]["Parts"]] == [3]
    begun = s3.create_multipart_upload(
        Bucket="pile", Key="never", ChecksumType="FULL_OBJECT", ChecksumAlgorithm="CRC32C"
    )
    assert begun["ChecksumType"] == "FULL_OBJECT"
    s3.abort_multipart_upload(Bucket="pile", Key="never", UploadId=begun["UploadId"])


def locks(s3: Client) -> None:
    at = {"Bucket": "vault", "Key": "o"}
    s3.put_object_lock_configuration(Bucket="vault", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    assert s3.get_object_lock_configuration(Bucket="vault")["ObjectLockConfiguration"]
    s3.put_object(**at, Body=b"body")
    until = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime(2090, 1, 1, tzinfo=UTC)}
    s3.put_object_retention(**at, Retention=until)
    assert s3.get_object_retention(**at)["Retention"] == until
    s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(**at)["ObjectLockLegalHoldStatus"] == "ON"
    s3.put_object(Bucket="vault", Key="held", Body=b"body", ObjectLockLegalHoldStatus="ON")
    assert s3.head_object(Bucket="vault", Key="held")["ObjectLockLegalHoldStatus"] == "ON"


def ends(s3: Client) -> None:
    s3.create_bucket(Bucket="empty")
    s3.delete_bucket(Bucket="empty")


STORIES: tuple[Callable[[Client], None], ...] = (buckets, settings, objects, uploads, locks, ends)


async def test_all_that_is_here(rig: Rig) -> None:
    client = Client(rig)

    def tell() -> None:
        for story in STORIES:
            story(client)

    await rig.do(tell)
    everything = set(client.model.operation_names)
    assert client.done | REFUSED | EMPTY.keys() == everything
    assert not client.done & (REFUSED | EMPTY.keys())
    assert sorted(set(client.unknown)) == []


async def test_all_that_is_not(rig: Rig) -> None:
    def tell() -> None:
        client = Client(rig)
        client.create_bucket(Bucket="pile")
        client.put_object(Bucket="pile", Key="o", Body=b"body")
        for name in sorted(REFUSED | EMPTY.keys()):
            model = client.model.operation_model(name)
            arguments = sample(model.input_shape)
            if name == "ListDirectoryBuckets":
                arguments = {"MaxDirectoryBuckets": 1}
            with pytest.raises(ClientError) as refused:
                raw(rig, name, arguments)
            answer = refused.value.response
            status, code = answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
            expected = (404, EMPTY[name]) if name in EMPTY else (501, "NotImplemented")
            assert (status, code) == expected, name
            assert "not implemented" in answer["Error"]["Message"] or name in EMPTY, name
        assert client.get_object(Bucket="pile", Key="o")["Body"].read() == b"body"
        assert client.list_objects_v2(Bucket="pile")["KeyCount"] == 1

    await rig.do(tell)


def raw(rig: Rig, name: str, arguments: dict[str, Any]) -> None:
    """Without what the client does for hosts and sessions of AWS's own."""
    client = rig.client(s3={"addressing_style": "path"}, inject_host_prefix=False)
    methods = {api: method for method, api in client.meta.method_to_api_mapping.items()}
    getattr(client, methods[name])(**arguments)


async def test_headers_that_mean_something_else(rig: Rig) -> None:
    """A condition that is not looked at, or bytes that should be added, must not be written over what is there."""
    await rig("PUT", "/pile")
    await rig("PUT", "/pile/o", b"body")
    for method, path, headers in (
        ("PUT", "/pile/o", {"x_amz_write_offset_bytes": "4"}),
        ("DELETE", "/pile/o", {"x_amz_if_match_size": "3"}),
        ("DELETE", "/pile/o", {"x_amz_if_match_last_modified_time": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        ("PUT", "/pile/o", {"x_amz_object_lock_event_hold": "ON"}),
        ("PUT", "/pile/o", {"x_amz_checksum_xxhash64": "AAAAAAAAAAA="}),
        ("PUT", "/other", {"x_amz_bucket_namespace": "account-regional"}),
    ):
        answer = await rig(method, path, b"x", **headers)
        assert (answer.status, b"<Code>NotImplemented</Code>" in answer.body) == (501, True), headers
    delete = b"<Delete><Object><Key>o</Key><Size>3</Size></Object></Delete>"
    assert b"<Code>NotImplemented</Code>" in (await rig("POST", "/pile?delete", delete)).body
    directory = b"<CreateBucketConfiguration><Location><Name>a</Name></Location></CreateBucketConfiguration>"
    assert (await rig("PUT", "/other", directory)).status == 501
    assert (await rig("GET", "/pile/o")).body == b"body"
    assert (await rig("GET", "/other")).status == 404


async def test_whose_bucket_the_client_expects(rig: Rig) -> None:
    def tell() -> None:
        s3 = rig.client()
        s3.create_bucket(Bucket="pile")
        s3.put_object(Bucket="pile", Key="o", Body=b"body", ExpectedBucketOwner="p1")
        for call, more in (
            (s3.get_object, {"Key": "o"}),
            (s3.put_object, {"Key": "o", "Body": b"x"}),
            (s3.delete_object, {"Key": "o"}),
            (s3.list_objects_v2, {}),
            (s3.get_bucket_acl, {}),
            (s3.delete_bucket, {}),
            (s3.delete_objects, {"Delete": {"Objects": [{"Key": "o"}]}}),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                call(Bucket="pile", ExpectedBucketOwner="p2", **more)
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.copy_object(Bucket="pile", Key="p", CopySource="pile/o", ExpectedSourceBucketOwner="p2")
        s3.copy_object(Bucket="pile", Key="p", CopySource="pile/o", ExpectedSourceBucketOwner="p1")
        assert s3.get_object(Bucket="pile", Key="o")["Body"].read() == b"body"

    await rig.do(tell)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA512"])
async def test_newer_checksums(rig: Rig, algorithm: str) -> None:
    import hashlib

    await rig("PUT", "/pile")
    digest = base64.b64encode(hashlib.new(algorithm.lower(), b"body").digest()).decode()
    header = {f"x_amz_checksum_{algorithm.lower()}": digest}
    assert (await rig("PUT", "/pile/o", b"body", **header)).status == 200
    assert b"BadDigest" in (await rig("PUT", "/pile/o", b"other", **header)).body
    told = await rig("HEAD", "/pile/o", x_amz_checksum_mode="ENABLED")
    assert told.headers[f"x-amz-checksum-{algorithm.lower()}"] == digest
