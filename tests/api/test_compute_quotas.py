"""Quotas of compute, beyond what upstream's schemas hold."""

from __future__ import annotations

from pileus.services.compute.api.quota import Limits
from pileus.services.compute.quotas import QUOTAS


def test_every_quota_can_be_shown_and_set() -> None:
    assert set(QUOTAS.by_name) <= {each.name for each in Limits.fields}
