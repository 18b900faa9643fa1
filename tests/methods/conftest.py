"""Before the first method learns in a process: the libraries that all of them share."""

import pytest

from tests.methods._fit import fit, sample


@pytest.fixture(autouse=True, scope="session")
def libraries() -> None:
    """Torch, Lightning Fabric and scikit-learn are imported by fitting something small, so that
    this is no method's cost (see `tests.budget`).
    """
    data = sample("digits")
    fit("classifier", data.take(range(64)), epochs=1)
