"""How far the neighbours of each case change from one run to another."""

import numpy as np

from core.artifacts import Embedding
from core.explain.neighbour_changes import measure_neighbour_change


def test_the_order_of_rows_in_the_second_run_changes_nothing():
    rng = np.random.default_rng(0)
    rows = np.arange(80) * 3
    a = Embedding(rows=rows, name="a", z=rng.normal(size=(80, 5)).astype(np.float32))
    z = (a.z + 0.4 * rng.normal(size=a.z.shape)).astype(np.float32)
    mixed = rng.permutation(80)
    b = Embedding(rows=rows, name="b", z=z)
    other = Embedding(rows=rows[mixed], name="b", z=z[mixed])
    of, change = measure_neighbour_change(a, b)
    of_other, change_other = measure_neighbour_change(a, other)
    assert dict(zip(of.tolist(), change.tolist())) == dict(
        zip(of_other.tolist(), change_other.tolist())
    )
    assert 0 < change.mean() < 1
    assert (measure_neighbour_change(a, a)[1] == 0).all()
