from __future__ import annotations

import pytest

from tests.host.tiny_linux import TinyLinux

pytest.register_assert_rewrite("pileus.testing.contract")


@pytest.fixture(scope="session")
def linux() -> TinyLinux:
    return TinyLinux()
