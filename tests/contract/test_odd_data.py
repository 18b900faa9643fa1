"""Data that is not as hoped is worked with, or refused in words."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Model
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.registry import methods
from core.training.compatibility import why_not
from tests.contract._fits import (
    data_for,
    fit,
    small,
    table_for,
)


@pytest.mark.parametrize("id", methods())
def test_declines_what_does_not_fit(id):
    kind = methods()[id]
    if "image" not in kind.takes.modalities:
        assert why_not(kind, make_sample("digits"))
    assert why_not(kind, data_for(id).take(np.arange(2)))


def labelled(data, values):
    return (
        replace(data, table=data.table.assign(label=values), roles=data.roles | {"label": "label"})
        if "label" not in data.roles
        else replace(data, table=data.table.assign(**{data.roles["label"]: values}))
    )


def with_values(data, change):
    if data.samples is None:
        return replace(
            data,
            table=data.table.assign(
                **{
                    data.roles["text"]: (
                        data.table[data.roles["text"]].iloc[0] if change is rows_alike else ""
                    )
                }
            ),
        )
    samples = data.samples.astype(np.float32)
    change(samples)
    return replace(data, samples=samples)


def rows_alike(x):
    x[:] = x[:1]


ODD = {
    "no rows": lambda data: data.take(np.arange(0)),
    "one row": lambda data: data.take(np.arange(1)),
    "two rows": lambda data: data.take(np.arange(2)),
    "one class in the data": lambda data: labelled(data, "only"),
    "one class among these rows": lambda data: data.take(
        np.flatnonzero(data.labels == data.labels[0])
    ),
    "no labels": lambda data: labelled(data, None),
    "every case its own class": lambda data: labelled(
        data, [f"case {i}" for i in range(len(data))]
    ),
    "no validation or test rows": lambda data: data.part("train"),
    "all rows alike": lambda data: with_values(data, rows_alike),
    "all black": lambda data: with_values(data, lambda x: x.fill(0)),
}
HOLES = {
    "some values missing": lambda x: x.__setitem__((slice(None, None, 3), 0), np.nan),
    "a column missing": lambda x: x.__setitem__((slice(None), 0), np.nan),
    "a row missing": lambda x: x.__setitem__(5, np.nan),
    "a constant column": lambda x: x.__setitem__((slice(None), 0), 7),
    "a huge column": lambda x: x.__setitem__((slice(None), 0), x[:, 0] * 1e30),
}


@pytest.mark.parametrize("id", methods())
def test_one_epoch_is_enough_to_work(id):
    """So that what is refused below is refused for what is odd about the data."""
    assert fit(id, brief=True)[1]


def works_or_says_why(id, data):
    try:
        _, artifacts = fit(id, data, brief=True)
    except UserError as e:
        if len(str(e).split()) <= 3:
            pytest.fail(f"“{e}” says too little.")
        return
    assert artifacts
    for a in artifacts:
        a.validate()
        assert isinstance(a, Model) or np.array_equal(a.rows, data.rows)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("id", methods())
def test_odd_data_works_or_is_refused_in_words(id, case):
    works_or_says_why(id, ODD[case](data_for(id)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", HOLES)
@pytest.mark.parametrize(
    "id", [id for id, kind in methods().items() if "table" in kind.takes.modalities]
)
def test_tables_with_holes_work_or_are_refused_in_words(id, case):
    works_or_says_why(id, with_values(table_for(id), HOLES[case]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "id", [id for id, kind in methods().items() if "image" in kind.takes.modalities]
)
def test_a_picture_with_a_value_that_is_no_number_is_named(id, value):
    data = with_values(data_for(id), lambda x: x.__setitem__((11, 0, 2, 2), value))
    with pytest.raises(UserError, match="Row 11 "):
        fit(id, data)


def test_an_infinite_cell_of_a_table_is_named_with_its_column():
    data = with_values(small("breast-cancer"), lambda x: x.__setitem__((11, 3), np.inf))
    with pytest.raises(UserError, match=f"Row 11 .*{re.escape(data.features[3])}"):
        fit("pca", data)


def test_the_small_sets_hold_rows_of_every_part():
    assert pd.Series(small("digits").splits).value_counts().to_dict() == {
        "train": 96,
        "val": 24,
        "test": 24,
    }
