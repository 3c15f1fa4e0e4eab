"""Policies of browser forms: what may be uploaded with a signature made beforehand (S3 API reference, "POST policy")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from pileus.services.object_store.s3.errors import S3Error

MAX_BYTES = 64 * 1024
_UNSAID = ("x-amz-signature", "awsaccesskeyid", "signature", "file", "policy", "submit")
"""Fields that need no condition."""


class PostPolicy(NamedTuple):
    expires_at: datetime
    conditions: list[tuple[str, str, str]]
    """(eq or starts-with, field in lower case, value)."""
    length_range: tuple[int, int] | None

    def check(self, fields: Mapping[str, str], now: datetime) -> None:
        """403 where the form's fields are not as the policy wants them, or it is too late; `fields` with `bucket`."""
        if now >= self.expires_at:
            raise _denied("Invalid according to Policy: Policy expired.")
        for operator, name, value in self.conditions:
            given = fields.get(name, "")
            if operator == "eq":
                fits = given == value
            elif name == "content-type":
                fits = all(each.startswith(value) for each in given.split(","))
            else:
                fits = given.startswith(value)
            if not fits:
                raise _denied(
                    f'Invalid according to Policy: Policy Condition failed: ["{operator}", "${name}", "{value}"]'
                )
        covered = {name for _, name, _ in self.conditions}
        for name in fields:
            if name not in covered and name not in (*_UNSAID, "bucket") and not name.startswith("x-ignore-"):
                raise _denied(f"Invalid according to Policy: Extra input fields: {name[:200]}")
        if "bucket" not in covered:
            raise _denied("Invalid according to Policy: it has no condition for the bucket")

    def check_length(self, size: int, *, whole: bool) -> None:
        """400 where the file is longer, or once it is there shorter, than the policy has it."""
        if self.length_range is None:
            return
        least, most = self.length_range
        details = {"ProposedSize": str(size)}
        if size > most:
            raise S3Error(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                details={**details, "MaxSizeAllowed": str(most)},
            )
        if whole and size < least:
            raise S3Error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                details={**details, "MinSizeAllowed": str(least)},
            )


def _denied(why: str) -> S3Error:
    return S3Error("AccessDenied", why)


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}", status=400)


def read(encoded: str) -> PostPolicy:
    """From the form's field, base64. 400 where it is none."""
    try:
        given = msgspec.json.decode(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        raise _invalid("Invalid JSON, or no base64.") from None
    if not isinstance(given, dict) or not isinstance(given.get("conditions"), list):
        raise _invalid("Invalid JSON: 'conditions' missing.")
    if set(given) - {"expiration", "conditions"}:
        raise _invalid("Unexpected field.")
    conditions: list[tuple[str, str, str]] = []
    length_range = None
    for each in given["conditions"]:
        if isinstance(each, dict):
            conditions.extend(_equal(each))
        elif isinstance(each, list) and len(each) == 3 and str(each[0]).lower() == "content-length-range":
            length_range = (_size(each[1]), _size(each[2]))
        else:
            conditions.append(_compared(each))
    return PostPolicy(_moment(given.get("expiration")), conditions, length_range)


def _equal(given: dict[str, Any]) -> list[tuple[str, str, str]]:
    if len(given) != 1:
        raise _invalid(
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."
        )
    ((name, value),) = given.items()
    if not isinstance(value, str):
        raise _invalid("Invalid Simple-Condition: value must be a string.")
    return [("eq", name.lower(), value)]


def _compared(given: Any) -> tuple[str, str, str]:
    if not isinstance(given, list) or len(given) != 3 or not all(isinstance(each, str) for each in given):
        raise _invalid("Invalid Condition: it must be an object, or a list of three texts.")
    operator, name, value = given
    if operator.lower() not in ("eq", "starts-with") or not name.startswith("$"):
        raise _invalid("Invalid Condition: it must be eq or starts-with of a $field.")
    return operator.lower(), name[1:].lower(), value


def _size(given: Any) -> int:
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 20:
        return int(given)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63:
        return given
    raise _invalid("Invalid content-length-range: it must have two numbers of bytes.")


def _moment(given: Any) -> datetime:
    try:
        found = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        raise _invalid("Invalid 'expiration' value.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
