"""Cases whose decision flipped: the same whatever the order of either side, and figures against a
computation by hand.
"""

import numpy as np
import pytest

from core.artifacts import AnomalyMaps, Predictions
from core.errors import UserError
from core.explain.decision_flips import (
    compare_accuracy,
    decide_by_class,
    decide_by_threshold,
    find_flips,
)

CLASSES = ["cat", "dog", "owl"]


def predictions(codes, rows, order=CLASSES):
    prob = np.full((len(codes), 3), 0.1, "f4")
    for i, c in enumerate(codes):
        prob[i, order.index(CLASSES[c])] = 0.8
    return Predictions(rows=np.asarray(rows), prob=prob, classes=list(order))


@pytest.fixture
def two():
    rng = np.random.default_rng(3)
    rows = np.sort(rng.choice(1000, 300, replace=False))
    truth = rng.integers(0, 3, 300)
    a = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 3, 300))
    b = np.where(rng.random(300) < 0.8, truth, rng.integers(0, 3, 300))
    return rows, truth, a, b


def test_permuted_rows_and_renumbered_classes_give_the_same_answer(two):
    rows, truth, a, b = two
    words = np.array(CLASSES, dtype=object)[truth]
    first = decide_by_class(predictions(a, rows))
    plain = find_flips(first, decide_by_class(predictions(b, rows)), rows, words)
    mixed = np.random.default_rng(0).permutation(300)
    other = decide_by_class(predictions(b[mixed], rows[mixed], ["owl", "cat", "dog"]))
    again = find_flips(first, other, rows, words)
    assert plain.flipped.sum() == (a != b).sum() > 20
    for name in ("rows", "before", "after", "truth", "flipped"):
        assert np.array_equal(getattr(plain, name), getattr(again, name)), name
    assert plain.pairs() == again.pairs()
    assert compare_accuracy(plain) == compare_accuracy(again)


def test_counts_and_test_by_hand(two):
    from scipy.stats import binom

    rows, truth, a, b = two
    words = np.array(CLASSES, dtype=object)[truth]
    words[:50] = None
    found = find_flips(
        decide_by_class(predictions(a, rows)), decide_by_class(predictions(b, rows)), rows, words
    )
    sums = compare_accuracy(found)
    t, x, y = truth[50:], a[50:], b[50:]
    only_a, only_b = int(((x == t) & (y != t)).sum()), int(((y == t) & (x != t)).sum())
    assert (sums.n, sums.first_only, sums.second_only) == (250, only_a, only_b)
    assert sums.difference == pytest.approx((only_b - only_a) / 250)
    tail = binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
    assert sums.p == pytest.approx(min(1.0, 2 * tail))
    assert sums.interval.low < sums.difference < sums.interval.high
    # the interval of paired differences, by their variance
    gain = (y == t).astype(float) - (x == t)
    half = 1.96 * gain.std() / np.sqrt(250)
    assert sums.interval.high - sums.interval.low == pytest.approx(2 * half, rel=0.05)
    for before, after, n, right_before, right_after in found.pairs():
        these = (found.before == before) & (found.after == after)
        assert n == these.sum()
        if right_before is not None:
            assert right_before + right_after <= n


def test_patients_are_the_units_of_the_interval(two):
    _, truth, a, b = two
    words = np.array(CLASSES, dtype=object)[truth]
    repeat = np.repeat(np.arange(300), 4)
    ids = np.arange(1200)
    found = find_flips(
        decide_by_class(predictions(a[repeat], ids)),
        decide_by_class(predictions(b[repeat], ids)),
        ids,
        words[repeat],
    )
    alone = compare_accuracy(found).interval
    patients = compare_accuracy(found, repeat.astype(object)).interval
    wider = (patients.high - patients.low) / (alone.high - alone.low)
    assert wider == pytest.approx(2.0, rel=0.05), "four copies of a case say no more than one"
    assert patients.units == 300


def test_two_thresholds_of_one_run():
    score = np.linspace(0, 1, 11).astype("f4")
    made = AnomalyMaps(rows=np.arange(11), score=score)
    found = find_flips(
        decide_by_threshold(made, 0.75), decide_by_threshold(made, 0.35), np.arange(11)
    )
    assert found.rows[found.flipped].tolist() == [4, 5, 6, 7]
    assert found.pairs() == [("not flagged", "flagged", 4, None, None)]
    assert compare_accuracy(found) is None


def test_nothing_in_common_is_said():
    one, other = predictions([0], [3]), predictions([0], [4])
    with pytest.raises(UserError, match="no case in common"):
        find_flips(decide_by_class(one), decide_by_class(other), np.array([3, 4]))
