"""Runs on some cases, on an earlier run, and a card's evidence: from the command line and from the
training form.
"""

import numpy as np
import pytest

from core.artifacts import Predictions
from core.registry import methods
from core.workspace import notes
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox, refused, told


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("cases")))
        ws = Workspace()
        from core.data.samples.catalogue import make_sample

        ws.add(make_sample("two-sites"), True)
        ws.add(make_sample("digits"), True)
        yield ws


def test_a_run_on_one_site_holds_that_sites_cases_alone(home):
    run = told("train", "two-sites", "pca", "-p", "dimensions=4", "--only", "site=A")
    assert run["only"] == "site=A"
    data = home.dataset("two-sites")
    embedding = home.artifact(run["run"], "embedding-latent")
    assert np.array_equal(embedding.rows, data.rows[data.domains == "A"])


def test_a_run_on_a_saved_group_keeps_its_cases_when_the_group_changes(home):
    notes.save_group(home, "two-sites", "mine", np.arange(100))
    run = told("train", "two-sites", "pca", "-p", "dimensions=4", "--only", "mine")
    notes.save_group(home, "two-sites", "mine", np.arange(50))
    assert len(home.artifact(run["run"], "embedding-latent").rows) == 100


@pytest.mark.parametrize("words", ["site=Q", "nowhere=1", "no such group"])
def test_cases_that_are_not_there_are_refused_in_words(home, words):
    said = refused("train", "two-sites", "pca", "--only", words)
    assert "there are" in said or "none is saved" in said


def test_an_earlier_run_that_does_not_fit_is_refused_before_anything_is_queued(home):
    run = told("train", "two-sites", "pca", "-p", "dimensions=4", "--only", "site=A")["run"]
    before = len(home.runs())
    assert "another dataset" in refused("train", "digits", "kmeans", "--from-run", run)
    assert "builds on an earlier run" in refused("train", "digits", "kmeans")
    groups = told("train", "two-sites", "kmeans", "-p", "k=3", "--from-run", run)["run"]
    assert "gives no Embedding" in refused("train", "two-sites", "kmeans", "--from-run", groups)
    assert len(home.runs()) == before + 1


def test_the_training_form_offers_the_cases(home):
    from streamlit.testing.v1 import AppTest

    def page():
        from app import state
        from app.panels import cases
        from core.registry import methods

        data = state.workspace().dataset("two-sites")
        print(cases.cases(methods()["pca"], data))

    at = AppTest.from_function(page).run(timeout=30)
    assert not at.exception
    assert any("site = A" in o for o in at.selectbox[0].options)


def test_a_setting_that_starts_empty_stays_empty_in_the_form(home):
    from streamlit.testing.v1 import AppTest

    def page():
        from app import form, state
        from core.registry import methods

        data = state.workspace().dataset("two-sites")
        for id in ("skada_bench", "cine_tracker"):
            form.form(methods()[id], {}, id, data)

    at = AppTest.from_function(page).run(timeout=60)
    assert not at.exception
    assert [t.value for t in at.text_input] == ["", ""]


def test_a_stored_benchmark_is_printed_and_an_unknown_one_refused():
    found = told("benchmark", "pca", "--stored")
    assert found["method"] == "pca"
    assert all(
        {"title", "measure", "n", "seeds", "rows", "verdict"} <= t.keys() for t in found["tables"]
    )
    assert lightbox("benchmark", "pca", "--stored")[0] == 0
    assert told("benchmark", "pyod_table", "--stored")["method"] == "pyod_table"
    assert "no method" in refused("benchmark", "alchemy")


@pytest.mark.parametrize("id", [*methods(), "robustness_index", "class_separability"])
def test_every_method_has_a_benchmark_and_its_stored_result(id):
    from core.evidence import load_evidence
    from core.jobs.evidence_jobs import find_benchmarks

    assert id in find_benchmarks()
    found = load_evidence(id)
    assert found is not None
    assert found["tables"]
    assert all(t["rows"] and t["n"] > 0 and t["verdict"] for t in found["tables"])
    assert any(len(t["rows"]) > 1 for t in found["tables"]), "a figure without a rival says nothing"


def test_the_plain_classifier_predicts_held_out_digits(home):
    run = told("train", "digits", "classifier", "-p", "epochs=6")["run"]
    found, data = home.artifact(run, "predictions"), home.dataset("digits")
    assert isinstance(found, Predictions)
    test = data.splits == "test"
    assert (found.prob[test].argmax(1) == data.labels[test]).mean() > 0.9


def test_what_a_method_measures_itself_stands_in_the_run_beside_the_measures(home):
    base = told("train", "digits", "classifier", "-p", "epochs=2")["run"]
    run = told(
        "train",
        "digits",
        "label_agnostic_forgetting",
        "--from-run",
        base,
        "--rows",
        "digit=3",
        "-p",
        "epochs=1",
        "-p",
        "compare=false",
        "-p",
        "model_epochs=1",
    )["run"]
    found = {(m.name, m.group) for m in home.artifact(run, "metrics")}
    assert ("accuracy, cases to forget", "unlearned") in found
    assert any(name == "predicted class accuracy" for name, _ in found)


def test_the_command_in_a_report_names_the_cases(home):
    from core.report.html import _commands

    run = told("train", "two-sites", "pca", "-p", "dimensions=4", "--only", "site=A")["run"]
    assert "--only site=A" in _commands(home, home.job(run))[-1]
