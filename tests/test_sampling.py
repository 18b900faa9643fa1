"""Evenly spaced positions."""

import numpy as np
import pytest

from core.sampling import evenly_spaced


@pytest.mark.parametrize("n", [0, 1, 2, 7, 300, 1797, 100_003])
@pytest.mark.parametrize("most", [1, 2, 7, 12, 4000])
def test_as_many_as_asked_none_twice_and_the_ends_among_them(n, most):
    at = evenly_spaced(n, most)
    assert at.dtype == np.int64
    assert len(at) == min(n, most) == len(set(at.tolist()))
    if len(at) > 1:
        assert (at[0], at[-1]) == (0, n - 1)
        assert np.ptp(np.diff(at)) <= 1
    elif n:
        assert at.tolist() == [0]
