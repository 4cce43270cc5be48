"""The suite asserts as a test file does: a failure shows both sides."""

import pytest

pytest.register_assert_rewrite("tests.tracking.backends.suite")
