"""An explanation whose cases are shared out among a cluster has the bits of the unshared one."""

from __future__ import annotations

import numpy as np
import pytest

from core.artifacts import Model
from core.data.samples.catalogue import make_sample
from core.errors import Cancelled
from core.explain.attribution import PREDICTED, Question, attribute
from core.jobs import sharing
from core.method import check_params
from core.registry import methods, open_model
from core.training.fit import fit_and_apply
from core.training.run import Run


class Inline:
    """What is used of Ray: a task is done when it is sent, unless the cluster has no room for it;
    every fourth one fails there.
    """

    def __init__(self, asked, room):
        self.asked, self.room, self.done_there, self.cancelled = asked, room, [], []

    def remote(self, task):
        assert task is sharing.attribute_part
        return self

    def options(self, **needs):
        assert needs["num_cpus"] == 1
        return type("Task", (), {"remote": lambda _, *given: given})()

    def wait(self, answers, num_returns, timeout):
        assert num_returns == len(answers)
        return answers[: self.room], answers[self.room :]

    def get(self, answer):
        from ray.exceptions import RayError

        _, _, rows, how, target = answer.given
        self.done_there.append(len(rows))
        if len(self.done_there) % 4 == 0:
            raise RayError
        model, data, _, ask = self.asked
        return attribute(model, data, rows, how, target, ask=ask)

    def cancel(self, answer):
        self.cancelled.append(answer)


class Answer:
    def __init__(self, given):
        self.given = given


@pytest.fixture(scope="module")
def asked():
    data = make_sample("digits")
    kind = methods()["classifier"]
    _, made = fit_and_apply(kind, check_params(kind, {"epochs": 1}), data, Run(device="cpu"))
    model = open_model(next(a for a in made if isinstance(a, Model)), "cpu")
    return model, data, data.rows[:700], Question()


def shared(monkeypatch, asked, room, target, stop=lambda: False, how="gradient_x_input"):
    ray = Inline(asked, room)
    ray.options = lambda **needs: type("Task", (), {"remote": lambda _, *given: Answer(given)})()
    monkeypatch.setattr(sharing, "_connect", lambda: ray)
    ws = type("Here", (), {"home": "nowhere"})()
    told = []
    made = sharing.attribute_shared(ws, "x", asked, how, target, told.append, stop)
    return made, ray, told


@pytest.mark.parametrize("target", ["class 3", PREDICTED])
@pytest.mark.parametrize("room", [0, 1, 99])
def test_shared_out_it_has_the_same_bits(monkeypatch, asked, room, target):
    pytest.importorskip("ray", reason="Ray is not installed")
    model, data, rows, ask = asked
    alone = attribute(model, data, rows, "gradient_x_input", target, ask=ask)
    made, ray, told = shared(monkeypatch, asked, room, target)
    for name in ("rows", "value", "output"):
        assert np.array_equal(getattr(made, name), getattr(alone, name)), name
    assert (made.target, made.how, made.baseline) == (alone.target, alone.how, alone.baseline)
    assert bool(ray.done_there) == bool(room)
    assert bool(ray.cancelled) == (room < 99)
    assert told[-1] == 1.0


def test_a_stop_is_heard(monkeypatch, asked):
    with pytest.raises(Cancelled):
        shared(monkeypatch, asked, 1, "class 3", stop=lambda: True)


def test_few_cases_and_a_job_on_no_cluster_are_done_alone(monkeypatch, asked):
    model, data, rows, ask = asked
    monkeypatch.delenv(sharing.CLUSTER_AT, raising=False)
    assert sharing._connect() is None
    monkeypatch.setattr(sharing, "_connect", lambda: pytest.fail("few are not worth it"))
    few = model, data, rows[: sharing.LEAST - 1], ask
    ws = type("Here", (), {"home": "nowhere"})()
    made = sharing.attribute_shared(
        ws, "x", few, "gradient_x_input", "class 3", lambda share: None, lambda: False
    )
    assert len(made.rows) == sharing.LEAST - 1


def test_parts_are_whole_batches_of_one_target_and_hold_every_case_once():
    targets = ["a"] * 300 + ["b"] * 5 + ["a"] * 40
    parts = sharing.cut(targets)
    assert sorted(np.concatenate([at for at, _ in parts])) == list(range(345))
    for at, target in parts:
        assert {targets[i] for i in at} == {target}
    for one in "ab":
        sizes = [len(at) for at, target in parts if target == one]
        assert set(sizes[:-1]) <= {sharing.PART}
