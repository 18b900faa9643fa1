"""Columns for colouring and filtering: the order of a category's words."""

import numpy as np

from core.columns import Column, fingerprint_columns, table_columns
from tests.contract._fits import small_shared


def codes(words):
    code, names = Column("c", np.array(words, dtype=object), "category", "data").codes()
    return code.tolist(), names


def test_a_class_has_its_place_and_colour_whatever_its_share():
    mostly, seldom = ["ill", "ill", "healthy"], ["healthy", "ill", "healthy"]
    assert codes(mostly) == ([1, 1, 0], ["healthy", "ill"])
    assert codes(seldom) == ([0, 1, 0], ["healthy", "ill"])


def test_numbers_in_words_are_numbers_and_missing_has_no_code():
    assert codes(["cluster 10", "cluster 2", None]) == ([1, 0, -1], ["cluster 2", "cluster 10"])


def test_of_more_words_than_colours_the_most_frequent_come_first():
    words = [f"w{k}" for k in range(9)] + ["w8"]
    assert codes(words)[1][0] == "w8"


def test_columns_of_a_dataset_are_made_once_and_those_of_its_views_are_their_own():
    data = small_shared("digits")
    columns = table_columns(data)
    assert all(a is b for a, b in zip(columns, table_columns(data), strict=True))
    assert columns[0].codes() is columns[0].codes()
    columns.pop()
    assert len(table_columns(data)) == len(columns) + 1
    assert len(table_columns(data.take(np.arange(3)))[0].values) == 3


def test_a_fingerprint_tells_what_runs_found_and_nothing_of_groups():
    score, other = np.arange(4.0), np.array([0.0, 1, 2, 9])
    words = np.array(["a", "b", None, "a"], dtype=object)
    one = [Column("score", score, "amount", "run"), Column("cluster", words, "category", "run")]
    group = Column("group: x", words, "category", "group")
    same = fingerprint_columns(one)
    assert fingerprint_columns([*one, group]) == same
    assert fingerprint_columns([Column("score", score.copy(), "amount", "run"), one[1]]) == same
    assert fingerprint_columns([Column("score", other, "amount", "run"), one[1]]) != same
    renamed = np.array(["a", "c", None, "a"], dtype=object)
    assert fingerprint_columns([one[0], Column("cluster", renamed, "category", "run")]) != same
    assert fingerprint_columns(one[:1]) != same
