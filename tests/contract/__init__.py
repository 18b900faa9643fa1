"""What every method is held to, on one shared fit each; the tests of a method are one group."""

import pytest

pytest.register_assert_rewrite("tests.contract._fits")
