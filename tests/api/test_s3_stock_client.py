"""boto3 as it comes: what it sends by itself, and what its users ask for."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.s3_client import Rig, code_of

PART = 5 * 1024 * 1024


@pytest.fixture
def rig(listening: Rig) -> Rig:
    return listening


async def test_what_a_bucket_is_configured_with(rig: Rig) -> None:
    def story() -> None:
        s3 = rig.client()
        s3.create_bucket(Bucket="pile")
        s3.put_bucket_tagging(Bucket="pile", Tagging={"TagSet": [{"Key": "a", "Value": "ä"}]})
        assert s3.get_bucket_tagging(Bucket="pile")["TagSet"] == [{"Key": "a", "Value": "ä"}]
        rule = {
            "AllowedMethods": ["GET"],
            "AllowedOrigins": ["*"],
            "MaxAgeSeconds": 5,
            "ExposeHeaders": ["ETag"],
        }
        s3.put_bucket_cors(Bucket="pile", CORSConfiguration={"CORSRules": [rule]})
        assert s3.get_bucket_cors(Bucket="pile")["CORSRules"] == [rule]
        lifecycle = {
            "ID": "old",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
            "Expiration": {"Date": datetime(2031, 1, 1, tzinfo=UTC)},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
        }
        s3.put_bucket_lifecycle_configuration(Bucket="pile", LifecycleConfiguration={"Rules": [lifecycle]})
        assert s3.get_bucket_lifecycle_configuration(Bucket="pile")["Rules"] == [lifecycle]
        website = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "lost"}}
        s3.put_bucket_website(Bucket="pile", WebsiteConfiguration=website)
        shown = s3.get_bucket_website(Bucket="pile")
        assert {name: shown[name] for name in website} == website
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": "p2"},
                    "Action": "s3:Get*",
                    "Resource": "arn:aws:s3:::pile/*",
                }
            ],
        }
        s3.put_bucket_policy(Bucket="pile", Policy=json.dumps(policy))
        assert json.loads(s3.get_bucket_policy(Bucket="pile")["Policy"]) == policy
        assert s3.get_bucket_policy_status(Bucket="pile")["PolicyStatus"]["IsPublic"] is False
        s3.put_object(Bucket="pile", Key="o", Body=b"body", Tagging="x=1")
        assert rig.client("oto").get_object(Bucket="pile", Key="o")["Body"].read() == b"body"
        with pytest.raises(ClientError) as refused:
            rig.client("oto").put_object(Bucket="pile", Key="o", Body=b"")
        assert code_of(refused) == "AccessDenied"
        block = {
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        }
        s3.put_public_access_block(Bucket="pile", PublicAccessBlockConfiguration=block)
        assert s3.get_public_access_block(Bucket="pile")["PublicAccessBlockConfiguration"] == block
        controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        s3.put_bucket_ownership_controls(Bucket="pile", OwnershipControls=controls)
        assert s3.get_bucket_ownership_controls(Bucket="pile")["OwnershipControls"] == controls
        s3.put_object_acl(Bucket="pile", Key="o", GrantRead='id="p2"')
        grants = s3.get_object_acl(Bucket="pile", Key="o")["Grants"]
        assert [(each["Grantee"]["ID"], each["Permission"]) for each in grants] == [("p2", "READ")]
        with pytest.raises(ClientError) as refused:
            s3.put_object_acl(Bucket="pile", Key="o", ACL="public-read")
        assert code_of(refused) == "AccessDenied"
        assert s3.get_bucket_logging(Bucket="pile").get("LoggingEnabled") is None
        with pytest.raises(ClientError) as missing:
            s3.get_bucket_replication(Bucket="pile")
        assert code_of(missing) == "ReplicationConfigurationNotFoundError"

    await rig.do(story)


async def test_checksums_that_it_makes_by_itself(rig: Rig) -> None:
    def story() -> None:
        s3 = rig.client()
        s3.create_bucket(Bucket="pile")
        put = s3.put_object(Bucket="pile", Key="o", Body=b"body" * 1000)
        assert put["ChecksumCRC32"]
        assert (
            s3.head_object(Bucket="pile", Key="o", ChecksumMode="ENABLED")["ChecksumCRC32"]
            == put["ChecksumCRC32"]
        )
        assert s3.get_object(Bucket="pile", Key="o")["Body"].read() == b"body" * 1000
        for algorithm in ("CRC32C", "CRC64NVME", "SHA1", "SHA256"):
            put = s3.put_object(Bucket="pile", Key=algorithm, Body=b"body", ChecksumAlgorithm=algorithm)
            assert put[f"Checksum{algorithm}"]
            told = s3.get_object_attributes(Bucket="pile", Key=algorithm, ObjectAttributes=["Checksum"])
            assert told["Checksum"][f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
        with pytest.raises(ClientError) as wrong:
            s3.put_object(
                Bucket="pile", Key="x", Body=b"body", ChecksumSHA1=base64.b64encode(b"x" * 20).decode()
            )
        assert code_of(wrong) == "BadDigest"

    await rig.do(story)


async def test_large_files_with_keys_of_the_customer(rig: Rig, tmp_path: Path) -> None:
    body = bytes(range(256)) * (2 * PART // 256 + 1)
    (tmp_path / "large").write_bytes(body)
    key = b"k" * 32

    def story() -> None:
        s3 = rig.client()
        s3.create_bucket(Bucket="pile")
        extra = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key, "ChecksumAlgorithm": "SHA256"}
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=2)
        s3.upload_file(str(tmp_path / "large"), "pile", "o", ExtraArgs=extra, Config=config)
        key_args = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
        s3.download_file("pile", "o", str(tmp_path / "back"), ExtraArgs=key_args, Config=config)
        with pytest.raises(ClientError) as wrong:
            s3.get_object(Bucket="pile", Key="o", SSECustomerAlgorithm="AES256", SSECustomerKey=b"x" * 32)
        assert code_of(wrong) == "AccessDenied"

    await rig.do(story)
    assert md5((tmp_path / "back").read_bytes()).digest() == md5(body).digest()


async def test_locks(rig: Rig) -> None:
    def story() -> None:
        s3 = rig.client()
        s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
        default = {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        }
        s3.put_object_lock_configuration(Bucket="vault", ObjectLockConfiguration=default)
        assert s3.get_object_lock_configuration(Bucket="vault")["ObjectLockConfiguration"] == default
        at = {"Bucket": "vault", "Key": "o"}
        at["VersionId"] = s3.put_object(**at, Body=b"body")["VersionId"]
        assert s3.get_object_retention(**at)["Retention"]["Mode"] == "GOVERNANCE"
        with pytest.raises(ClientError) as locked:
            s3.delete_object(**at)
        assert code_of(locked) == "AccessDenied"
        failed = s3.delete_objects(
            Bucket="vault", Delete={"Objects": [{"Key": "o", "VersionId": at["VersionId"]}]}
        )["Errors"]
        assert [each["Code"] for each in failed] == ["AccessDenied"]
        until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
        s3.put_object_retention(**at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
        assert s3.head_object(**at)["ObjectLockRetainUntilDate"] == until
        s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
        with pytest.raises(ClientError) as held:
            s3.delete_object(**at, BypassGovernanceRetention=True)
        assert code_of(held) == "AccessDenied"
        s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
        s3.delete_object(**at, BypassGovernanceRetention=True)

    await rig.do(story)
