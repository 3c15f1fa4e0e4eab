"""SSE-S3: encryption with the store's own keys. The store encrypts all it writes, or nothing: see `encryption`."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.lib.xml_document import Document
from pileus.services.object_store.content import Content
from pileus.services.object_store.metadata import CUSTOMER_KEY
from pileus.services.object_store.s3 import body, customer_key, documents, hooks
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request

HEADER, KEPT = "x-amz-server-side-encryption", "s3-encryption"
MAX_BYTES = 64 * 1024


class Default(Document):
    algorithm: Literal["AES256", "aws:kms", "aws:kms:dsse"] = msgspec.field(name="SSEAlgorithm")
    key: str | None = msgspec.field(name="KMSMasterKeyID", default=None)


class BlockedTypes(Document):
    encryption_type: list[str] = []


class EncryptionRule(Document):
    default: Default | None = msgspec.field(name="ApplyServerSideEncryptionByDefault", default=None)
    bucket_key_enabled: bool | None = None
    blocked_encryption_types: BlockedTypes | None = None


class Configuration(Document):
    rule: list[EncryptionRule]


def _require_encryption(request: Request, algorithm: str) -> None:
    """What can't be kept is not promised."""
    if algorithm in ("aws:kms", "aws:kms:dsse"):
        raise S3Error(
            "NotImplemented", "There is no key management service here: AES256 is what can be asked for."
        )
    if algorithm != "AES256":
        raise S3Error("InvalidArgument", "The encryption method specified is not supported")
    if not request.state.settings.encryption:
        raise S3Error(
            "NotImplemented",
            "This store does not encrypt what it writes; its operator can turn that on (object_store.encryption).",
        )


@operations.bucket(
    "GET",
    "encryption",
    action="s3:GetEncryptionConfiguration",
    answers=documents.media(Configuration, "ServerSideEncryptionConfiguration"),
)
async def get_encryption(request: Request) -> Reply:
    """How what is put into the bucket is encrypted."""
    if not request.state.settings.encryption:
        raise S3Error(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
            details={"BucketName": request.bucket},
        )
    rule = EncryptionRule(default=Default(algorithm="AES256"), bucket_key_enabled=False)
    return documents.reply(Configuration(rule=[rule]), "ServerSideEncryptionConfiguration")


@operations.bucket("PUT", "encryption", action="s3:PutEncryptionConfiguration")
async def put_encryption(request: Request) -> Reply:
    """That all is encrypted with the store's own keys is all that can be set."""
    given = documents.read(
        await body.whole(request, MAX_BYTES), Configuration, "ServerSideEncryptionConfiguration"
    )
    if len(given.rule) != 1 or given.rule[0].default is None:
        raise documents.malformed("there is one Rule, with ApplyServerSideEncryptionByDefault")
    _require_encryption(request, given.rule[0].default.algorithm)
    return Reply(200)


@operations.bucket("DELETE", "encryption", action="s3:PutEncryptionConfiguration", status=204)
async def delete_encryption(request: Request) -> Reply:
    """Back to what is so where nothing is set, which is the same."""
    return Reply(204)


def take(upload: hooks.Upload, what: hooks.What) -> None:
    wanted = upload.request.headers.get(HEADER)
    if wanted is not None:
        if customer_key.of_headers(upload.request.headers) is not None:
            raise S3Error(
                "InvalidArgument",
                "Server Side Encryption with a customer's key and with the store's exclude each other.",
            )
        _require_encryption(upload.request, wanted)
    upload.system.pop(KEPT, None)
    if upload.request.state.settings.encryption and CUSTOMER_KEY not in upload.system:
        upload.system[KEPT] = upload.headers[HEADER] = "AES256"


def describe_given(request: Request, content: Content, headers: dict[str, str]) -> None:
    if (algorithm := content.kept.system.get(KEPT)) is not None:
        headers[HEADER] = algorithm


async def complete(completion: hooks.Completion) -> None:
    if (algorithm := completion.kept.system.get(KEPT)) is not None:
        completion.headers[HEADER] = algorithm


hooks.TAKING.append(take)
hooks.COMPLETING.append(complete)
hooks.DESCRIBING.append(describe_given)
