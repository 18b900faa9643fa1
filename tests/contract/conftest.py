"""The contract's tests begin with the libraries loaded, as those of single methods do."""

from tests.methods.conftest import libraries  # noqa: F401
