"""A trained model applied to other data through the real queue: a run of its own there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.artifacts import AnomalyMaps, Embedding, Map, Metrics, Scope
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.jobs import queue
from core.jobs.apply import load_data_as_seen
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = Workspace(tmp_path_factory.mktemp("home"))
    digits = make_sample("digits")
    for name, at in (("here", np.arange(0, 1200)), ("there", np.arange(1200, 1797))):
        table = digits.table.iloc[at].reset_index(drop=True)
        made.add(replace(digits, name=name, samples=np.asarray(digits.samples[:])[at], table=table))
    return made


@pytest.fixture(scope="module")
def trained(ws):
    job = queue.train(ws, "here", "pca", {"dimensions": 8}, test="there")
    return queue.wait(ws, job.id, timeout=240)


@pytest.fixture(scope="module")
def applied(ws, trained):
    return queue.wait(ws, queue.apply_after(ws, trained).id, timeout=240)


def test_data_held_out_by_name_is_described_once_the_model_is_trained(ws, trained, applied):
    assert applied.status == "done", applied.error
    assert [j.id for j in ws.runs("there")] == [applied.id]
    assert {"embedding-latent", "anomalymaps", "metrics", "scope-distance"} <= set(
        ws.slugs(applied.id)
    )
    embedding = ws.artifact(applied.id, "embedding-latent")
    assert isinstance(embedding, Embedding)
    assert np.array_equal(embedding.rows, ws.dataset("there").rows)


def test_it_is_done_once(ws, trained, applied):
    assert queue.apply(ws, trained.id, "there").id == applied.id


def test_the_threshold_is_the_one_of_the_training(ws, trained, applied):
    old, new = (ws.artifact(run, "anomalymaps") for run in (trained.id, applied.id))
    assert isinstance(old, AnomalyMaps)
    assert isinstance(new, AnomalyMaps)
    assert new.threshold == old.threshold is not None
    assert "of the data the model learned from" in new.rule


def test_figures_are_of_every_new_case(ws, applied):
    table = ws.artifact(applied.id, "metrics")
    assert isinstance(table, Metrics)
    split, n = {(m.split, m.n) for m in table if m.name == "cases within the training data"}.pop()
    assert (split, n) == ("test", len(ws.dataset("there")))
    scope = ws.artifact(applied.id, "scope-distance")
    assert isinstance(scope, Scope)
    assert 0.85 < (scope.levels == 0).mean() < 1


def test_its_map_lies_among_the_training_cases(ws, trained, applied):
    spec = {"how": "pca", "dims": 2}
    job = queue.wait(ws, queue.derive(ws, "map", applied.id, spec).id, timeout=120)
    assert job.status == "done", job.error
    made, own = ws.artifact(job.id, "map"), queue.derive(ws, "map", trained.id, spec)
    assert queue.wait(ws, own.id, timeout=120).status == "done"
    whole = ws.artifact(own.id, "map")
    assert isinstance(made, Map)
    assert isinstance(whole, Map)
    assert np.array_equal(made.rows, ws.dataset("there").rows)
    np.testing.assert_allclose(made.beside, whole.xy, atol=1e-5)


def test_its_model_is_that_of_the_training_for_explanations_and_measures(ws, applied):
    assert set(load_data_as_seen(ws, applied).splits) == {"test"}
    rows = ws.dataset("there").rows[:3].tolist()
    spec = {"how": "occlusion", "target": "score", "rows": rows}
    job = queue.wait(ws, queue.derive(ws, "explain", applied.id, spec).id, timeout=120)
    assert job.status == "done", job.error


def test_what_cannot_be_applied_is_refused_before_anything_starts(ws, trained, applied):
    many = len(ws.catalogue.jobs())
    with pytest.raises(UserError, match="was trained on “here” itself"):
        queue.apply(ws, trained.id, "here")
    with pytest.raises(UserError, match=f"is an application of run {trained.id}"):
        queue.apply(ws, applied.id, "here")
    with pytest.raises(UserError, match="There is no dataset called “nowhere”"):
        queue.train(ws, "here", "pca", test="nowhere")
    assert len(ws.catalogue.jobs()) == many


def opened(page, **chosen):
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    for key, value in chosen.items():
        at.session_state[key] = value
    at = at.run()
    return at if page == "home" else at.switch_page(f"../pages/{page}.py").run()


def test_the_page_opens_what_was_applied_once_it_is_done(ws, trained, applied, monkeypatch):
    """Also when it was done before the page looked again."""
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    at = opened("results", dataset="here", run=trained.id)
    at.session_state["applying"] = (trained.id, applied.id)
    at.session_state[f"apply-{trained.id}"] = True  # the panel is open
    at = at.run()
    assert not at.exception
    assert at.session_state["run"] == applied.id
    assert any("has learned nothing from these cases" in m.value for m in at.main.markdown)


def test_the_first_page_says_how_an_applied_model_did(ws, applied, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    said = " ".join(m.value for m in opened("home", dataset="there", run=applied.id).main.markdown)
    assert "trained on here, applied here" in said
    assert "cases lie where its training cases lie" in said
