import pytest

pytest.register_assert_rewrite("pileus.testing.contract")
