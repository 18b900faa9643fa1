"""Label-agnostic forgetting: it goes where training anew goes, keeps the rest, reads no labels, and
says what it did.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from core.errors import UserError
from core.method import check_params
from core.methods.unlearning import _forget
from core.methods.unlearning._figures import attacked
from core.nets.losses.forgetting import alignment, foreignness
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.methods._fit import fit, on_digits, sample
from tests.soak import longer

KIND = methods()["label_agnostic_forgetting"]


def forget(data, chosen, base=None, **params):
    base = base or learned()
    method, made = fit_and_apply(
        KIND, check_params(KIND, params), data, Run(device="cpu", on=base, chosen=chosen)
    )
    return method, {a.slug: a for a in made}


@cache
def digits():
    """A third of them, but for the long hunts."""
    data = sample("digits")
    return data.take(np.arange(longer(600, len(data))))


@cache
def learned():
    return fit("classifier", digits(), epochs=longer(2, 20))[1]


def threes():
    train = digits().part("train")
    return train.rows[train.labels == 3]


@cache
def without_threes():
    usual = KIND.Params()
    return forget(
        digits(),
        threes(),
        temperature=20.0,
        epochs=longer(2, usual.epochs),
        model_epochs=longer(3, usual.model_epochs),
    )


def figure(found, name, model):
    return next(m.value for m in found["metrics"] if m.name == name and m.group == model)


@pytest.mark.soak(only=True)
def test_a_class_is_gone_and_the_others_stay_as_in_the_model_trained_anew():
    found = without_threes()[1]
    assert figure(found, "accuracy, cases to forget", "untouched") > 0.95
    assert figure(found, "accuracy, cases to forget", "unlearned") < 0.1
    assert figure(found, "accuracy, cases to forget", "trained anew without them") == 0
    assert figure(found, "accuracy, cases retained", "unlearned") > 0.97
    assert figure(found, "accuracy, cases retained", "trained anew without them") > 0.97
    assert (
        abs(
            figure(found, "accuracy, test cases", "unlearned")
            - figure(found, "accuracy, test cases", "trained anew without them")
        )
        < 0.05
    )


def test_labels_change_no_weight():
    data = digits()
    label = data.roles["label"]
    labels = data.table[label].to_numpy(dtype=object).copy()
    shuffled = replace(
        data, table=data.table.assign(**{label: np.random.default_rng(0).permutation(labels)})
    )
    few = {"epochs": 2, "model_epochs": 3, "compare": False}
    a = forget(data, threes()[:20], **few)[1]["predictions"].prob
    b = forget(shuffled, threes()[:20], **few)[1]["predictions"].prob
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_forgetting_nothing_that_was_learned_is_refused():
    data = digits()
    with pytest.raises(UserError, match="never learned from them"):
        forget(data, data.part("test").rows[:10])
    with pytest.raises(UserError, match="train anew"):
        forget(data, data.part("train").rows[:-20])


def test_a_model_without_classes_is_declined():
    with pytest.raises(UserError, match="no classifier"):
        forget(sample("digits"), threes(), on_digits("pca")[1])


def test_the_receipt_names_cases_and_makes_no_promise():
    receipt = without_threes()[1]["model"].receipt
    assert receipt["rows"] == threes().tolist()
    assert "no proof" in receipt["limits"]
    assert any(f["model"] == "trained anew without them" for f in receipt["figures"])
    again = without_threes()[0].receipt_
    assert receipt["sha256 of the forgotten inputs"] == again["sha256 of the forgotten inputs"]


def test_foreignness_runs_from_one_to_e_and_alignment_grows_as_retained_turn_away():
    class Same(torch.nn.Module):
        def forward(self, e):
            return (e,)

    class Far(Same):
        def forward(self, e):
            return (e + 1e3,)

    e = torch.randn(5, 4)
    assert float(foreignness(e, Same())) == pytest.approx(5)
    assert float(foreignness(e, Far())) == pytest.approx(5 * np.e, rel=1e-4)
    kept = alignment(e, e, e, e, 5.0)
    assert alignment(-e, e, e, e, 5.0) > kept
    assert alignment(e, e, -e, e, 5.0) < kept


def test_the_guard_puts_the_last_good_state_back():
    net = torch.nn.Linear(2, 1)
    guard = _forget.Guard(net)
    good = net.weight.detach().clone()
    assert guard.look(0.99, 0.05)
    torch.nn.init.constant_(net.weight, 7)
    assert not guard.look(0.5, 0.05)
    guard.put_back()
    assert torch.equal(net.weight, good)


def test_an_attack_tells_members_only_where_there_is_something_to_tell():
    rng = np.random.default_rng(0)
    sure, unsure = rng.dirichlet([0.05, 0.05, 0.05], 300), rng.dirichlet([3, 3, 3], 300)
    prob, members = np.concatenate([sure, unsure, sure[:50]]), np.arange(650) < 300
    gone = np.arange(650) >= 600
    assert attacked(prob, members, (np.arange(650) >= 300) & ~gone, gone, 0).mean() > 0.9
    assert attacked(prob, members, np.zeros(650, bool), gone, 0) is None
