"""Work that is shared out among a cluster has the bits of the unshared one. A cluster of two nodes
on this machine, and one made up, which has as much room as a test wants.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.artifacts import Model
from core.data.samples.catalogue import make_sample
from core.errors import Cancelled
from core.explain.attribution import BATCH, PREDICTED, Question, attribute
from core.io.shared_work import Work, do, helped_by
from core.jobs import attributing, sharing
from core.method import check_params
from core.registry import methods, open_model
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.clusters import two_nodes

ALIKE = ("pca", "gaussian_vae", "ear", "strega", "neighbours", "measures")


# -- a cluster of two nodes ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, dict[str, Any]]]:
    """What `tests.sharing_cases` says of each case; the node is lost last."""
    with two_nodes() as nodes:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.sharing_cases", nodes.address),
                *(*ALIKE, "cancel", "order", "fails", "lost"),
            ],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        yield {line["case"]: line for line in lines}


@pytest.mark.processes
@pytest.mark.parametrize("case", ALIKE)
def test_on_a_cluster_it_has_the_same_bits(told, case):
    assert told[case]["shared"] > 0
    assert told[case]["other"] == []


@pytest.mark.processes
def test_what_a_lost_node_had_is_done_again(told):
    assert told["lost"]["killed"]
    assert told["lost"]["right"]
    assert told["lost"]["shared"] + told["lost"]["here"] == 200


@pytest.mark.processes
def test_cancelled_it_leaves_the_cluster_free(told):
    assert told["cancel"]["cancelled"]
    assert told["cancel"]["seconds"] < 15


@pytest.mark.processes
def test_what_draws_random_numbers_is_done_in_order_here(told):
    assert told["order"]["shared"] == 0
    assert told["order"]["other"] == []


@pytest.mark.processes
def test_what_fails_there_is_done_here(told):
    assert told["fails"]["shared"] == 0
    assert told["fails"]["right"]


# -- a cluster made up -----------------------------------------------------------------------------
class Inline:
    """What is used of Ray: a task is done when it is asked for, unless it is behind the first
    `room` of those sent; every fourth one fails.
    """

    def __init__(self, room: int) -> None:
        self.room, self.there, self.cancelled, self.sent = room, 0, 0, 0

    def available_resources(self):
        return {"CPU": float(self.room)}

    def remote(self, task):
        assert task is sharing.do_part
        return self

    def options(self, **needs):
        assert needs["num_cpus"] == sharing.threads()
        return type("Task", (), {"remote": lambda _, *given: self.send(given)})()

    def send(self, given):
        self.sent += 1
        return Answer(given)

    def put(self, common):
        return common

    def wait(self, answers, num_returns, timeout):
        assert num_returns == len(answers)
        return answers[: self.room], answers[self.room :]

    def get(self, answer):
        from ray.exceptions import RayError

        if not isinstance(answer, Answer):
            return answer
        self.there += 1
        if self.there % 4 == 0:
            raise RayError
        _, _, common, open_, there, sent = answer.given
        return [there(open_(common[0]), sent)]

    def cancel(self, answer):
        self.cancelled += 1


class Answer:
    def __init__(self, given):
        self.given = given


@pytest.fixture
def cluster(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr(sharing, "START", 0.0)
    monkeypatch.setattr(sharing, "PART", 1e-6)

    def made(room):
        ray = Inline(room)
        monkeypatch.setattr(sharing, "connect", lambda: ray)
        return ray

    return made


@pytest.fixture(scope="module")
def asked():
    data = make_sample("digits")
    kind = methods()["classifier"]
    _, made = fit_and_apply(kind, check_params(kind, {"epochs": 1}), data, Run(device="cpu"))
    model = open_model(next(a for a in made if isinstance(a, Model)), "cpu")
    return model, data, data.rows[:700], Question()


def attributions(asked, target, stop=lambda: False):
    ws = type("Here", (), {"home": "nowhere"})()
    told = []
    with helped_by(sharing.Sharing()):
        made = attributing.attribute_shared(
            ws, "x", asked, "gradient_x_input", target, told.append, stop
        )
    return made, told


@pytest.mark.parametrize("target", ["class 3", PREDICTED])
@pytest.mark.parametrize("room", [0, 1, 99])
def test_explained_by_several_it_has_the_same_bits(cluster, monkeypatch, asked, room, target):
    model, data, rows, ask = asked
    alone = attribute(model, data, rows, "gradient_x_input", target, ask=ask)
    monkeypatch.setattr(attributing, "open_asked", lambda common: (model, data, ask, common[2]))
    ray = cluster(room)
    made, told = attributions(asked, target)
    for name in ("rows", "value", "output"):
        assert np.array_equal(getattr(made, name), getattr(alone, name)), name
    assert (made.target, made.how, made.baseline) == (alone.target, alone.how, alone.baseline)
    assert bool(ray.there) == bool(room)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_stop_is_heard(cluster, asked):
    cluster(1)
    with pytest.raises(Cancelled):
        attributions(asked, "class 3", stop=lambda: True)


def test_units_are_whole_batches_of_one_target_and_hold_every_case_once():
    targets = ["a"] * 300 + ["b"] * 5 + ["a"] * 40
    units = attributing.cut(targets)
    assert sorted(np.concatenate([at for at, _ in units])) == list(range(345))
    for at, target in units:
        assert {targets[i] for i in at} == {target}
    for one in "ab":
        sizes = [len(at) for at, target in units if target == one]
        assert set(sizes[:-1]) <= {BATCH}


# -- what is worth it ------------------------------------------------------------------------------
def squares(units, clock, seconds, sent=0, found=None):
    """Work whose units take `seconds` each, by the clock `clock`."""

    def here(part):
        clock[0] += seconds * len(part)
        return [i * i for i in part]

    def keep(part, made):
        (found if found is not None else {}).update(zip(part, made))

    return Work(
        units=units,
        here=here,
        keep=keep,
        common=lambda: b"x" * sent,
        send=lambda part: part,
        open=lambda common: None,
        there=lambda opened, part: [i * i for i in part],
        unit_bytes=0,
    )


@pytest.mark.parametrize(
    ("units", "seconds", "sent", "shared"),
    [
        (1000, 0.001, 0, False),  # a second of work: over before anybody could help
        (1000, 0.1, 0, True),  # a hundred seconds
        (40, 2.5, 0, True),  # as long, and few cases
        (200, 0.1, 200_000_000, True),  # 20 s, and 2 s to send
        (200, 0.1, 900_000_000, False),  # 20 s, of which helpers save half, and 9 s to send
    ],
)
def test_it_is_shared_where_what_is_saved_is_more_than_sending_costs(
    monkeypatch, units, seconds, sent, shared
):
    pytest.importorskip("ray", reason="Ray is not installed")
    clock, found, ray = [0.0], {}, Inline(1)
    monkeypatch.setattr(sharing.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sharing, "connect", lambda: ray)
    with helped_by(sharing.Sharing()):
        do(squares(units, clock, seconds, sent, found), lambda: None, lambda done: None)
    assert found == {i: i * i for i in range(units)}
    assert bool(ray.sent) == shared


def test_a_job_on_no_cluster_has_no_helpers(monkeypatch):
    monkeypatch.delenv(sharing.CLUSTER_AT, raising=False)
    assert sharing.connect() is None
    with sharing.sharing_out():
        from core.io.shared_work import helpers

        assert helpers() is None


def test_another_kind_of_machine_gives_nothing(monkeypatch):
    monkeypatch.setattr(sharing.time, "sleep", lambda seconds: None)
    given = ((1, ("other",), {}), "x", [None], lambda common: None, lambda opened, sent: sent, 3)
    assert sharing.do_part(*given) is None


def test_nothing_more_is_sent_while_a_job_of_anybody_waits(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    clock, found, ray, waits = [0.0], {}, Inline(1), [False]
    monkeypatch.setattr(sharing.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sharing, "connect", lambda: ray)
    monkeypatch.setattr(sharing, "somebody_waits", lambda ray: waits[0])
    sent = []

    def report(done):
        waits[0] = 0.1 <= done < 0.6
        if waits[0]:
            sent.append(ray.sent)

    with helped_by(sharing.Sharing()):
        do(squares(400, clock, 0.3, 0, found), lambda: None, report)
    assert found == {i: i * i for i in range(400)}
    assert sent[2] == sent[-1] > 0
    assert ray.sent > sent[-1], "and on it goes once nobody waits"
