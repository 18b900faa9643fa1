"""The sentence above “Like the training data?” counts patients, as the figure beside it does."""

import numpy as np

from app.views.scope import describe
from core.artifacts import Scope
from core.training.scope import count_inside


def scope_of(inside: np.ndarray) -> Scope:
    distance = np.where(inside, 0.5, 3.0).astype(np.float32)
    return Scope(rows=np.arange(len(inside)), name="distance", distance=distance, outside=2.0)


def test_cases_of_few_patients_are_no_verdict_on_many():
    """200 cases of 10 patients, one of them wholly unlike: 0.90 of cases, but 9 of 10 patients."""
    inside = np.repeat(np.arange(10) > 0, 20)
    patients = np.repeat([f"p{i}" for i in range(10)], 20).astype(object)
    found = scope_of(inside)
    assert count_inside(found, patients).high > 0.95 > count_inside(found).high
    assert "The model knows cases like these" in describe(found, patients)
    assert "More of these cases than usual differ" in describe(found, None)
    assert "180 of 200 cases" in describe(found, patients)


def test_one_patient_is_too_few_for_a_verdict():
    patients = np.full(20, "p", dtype=object)
    assert "too few patients" in describe(scope_of(np.zeros(20, bool)), patients)


def test_no_cases_are_said():
    assert describe(scope_of(np.zeros(0, bool)), None) == "There are no cases."
