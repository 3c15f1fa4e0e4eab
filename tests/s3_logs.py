"""A bucket whose requests are logged in another, and the lines that come of it."""

from __future__ import annotations

import json
import re

from tests.s3_client import Rig, keys

DAEMON = "object-access-logs"
FIELD = re.compile(r'"[^"]*"|\[[^\]]*\]|\S+')


def allowed(bucket: str = "logs", **condition: object) -> bytes:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "logging.s3.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": f"arn:aws:s3:::{bucket}/*",
                    **({"Condition": condition} if condition else {}),
                }
            ],
        }
    ).encode()


def status(target: str = "logs", prefix: str = "pile/", more: str = "") -> bytes:
    return (
        f"<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket>"
        f"<TargetPrefix>{prefix}</TargetPrefix>{more}</LoggingEnabled></BucketLoggingStatus>"
    ).encode()


async def logged(rig: Rig) -> Rig:
    """With the bucket `logs`, where what is asked of the bucket `pile` is written."""
    for bucket in ("pile", "logs"):
        assert (await rig("PUT", f"/{bucket}")).status == 200
    assert (await rig("PUT", "/logs?policy", allowed())).status == 204
    assert (await rig("PUT", "/pile?logging", status())).status == 200
    return rig


async def delivered(rig: Rig) -> list[list[str]]:
    """The fields of every line that is in the log after a walk, in order."""
    await rig.state.daemons.run_once(DAEMON)
    found = []
    for key in await keys(rig, "logs"):
        for line in (await rig("GET", f"/logs/{key}")).body.decode().splitlines():
            found.append(FIELD.findall(line))
    return found
