"""A cloud that is stopped a moment after it answered: what it was to log is in the bucket when it is up again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pileus.testing.cloud import Cloud, running_cloud, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
POLICY = """{"Statement": [{"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
"Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/*"}]}"""


def s3(cloud: Cloud) -> Any:
    connection = cloud.connect()
    key = connection.identity.post(
        f"/users/{connection.current_user_id}/credentials/OS-EC2",
        json={"tenant_id": connection.current_project_id},
    ).json()["credential"]
    return boto3.client(
        "s3",
        endpoint_url=cloud.base_url,
        aws_access_key_id=key["access"],
        aws_secret_access_key=key["secret"],
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.mark.parametrize("how", ["down", "SIGTERM"])
def test_lines_are_there_after_a_stop(tmp_path: Path, how: str) -> None:
    settings = {
        "PILEUS_ONLY": '["identity", "object-store"]',
        "PILEUS_OBJECT_STORE__S3_ACCESS_LOG_INTERVAL_SECONDS": "86400",
    }
    with running_cloud(tmp_path, settings=settings) as cloud:
        client = s3(cloud)
        for bucket in ("pile", "logs"):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_policy(Bucket="logs", Policy=POLICY)
        target = {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "pile/"}}
        client.put_bucket_logging(Bucket="pile", BucketLoggingStatus=target)
        for number in range(3):
            client.put_object(Bucket="pile", Key=f"o{number}", Body=b"x")
        assert "Contents" not in client.list_objects_v2(Bucket="logs"), "they wait"
        if how == "down":
            cloud.down()
        else:
            assert cloud.pid is not None
            os.kill(cloud.pid, signal.SIGTERM)
            until(lambda: cloud.pid is None, 60, "the cloud to end")
        cloud.up()
        client = s3(cloud)
        listed = client.list_objects_v2(Bucket="logs")["Contents"]
        logs = [client.get_object(Bucket="logs", Key=each["Key"])["Body"].read() for each in listed]
        for number in range(3):
            assert b"".join(logs).count(b"REST.PUT.OBJECT o%d" % number) == 1
