"""The rows a classifier learns from and is judged by."""

import numpy as np
import pytest

from core.data.labels import labelled_parts
from core.errors import UserError
from tests.contract._fits import small


def test_rows_of_unknown_and_unlearned_classes_are_left_out():
    data = small("digits", 40, 20, 0)
    codes = data.labels.copy()
    codes[(data.splits == "train") & ~np.isin(codes, [2, 5])] = -1
    train, val, names = labelled_parts(data.with_labels(codes))
    assert names == [data.classes[2], data.classes[5]]
    assert set(train.labels) == {0, 1}
    assert np.array_equal(train.labels, np.searchsorted([2, 5], data.of(train.rows).labels))
    assert set(data.of(val.rows).labels) == {2, 5}


def test_one_class_is_refused():
    data = small("digits", 20, 0, 0)
    with pytest.raises(UserError, match="all of one class"):
        labelled_parts(data.with_labels(np.zeros(20, int)))
