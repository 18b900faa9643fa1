"""A kept threshold in the report and in an export: who, why, and what it means on test cases."""

import json

import numpy as np
import pandas as pd
import pytest

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.export import export_run
from core.jobs import queue
from core.report.html import report_html
from core.report.threshold import describe_threshold
from core.workspace import notes
from core.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """240 cases of two numbers, a third of them ill and further out, and a run on them."""
    rng = np.random.default_rng(0)
    ill = np.arange(240) % 3 == 0
    x = rng.normal(size=(240, 2)) + 4 * ill[:, None]
    table = pd.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "label": np.where(ill, "ill", "normal"),
            "split": np.array(["train", "train", "val", "test"])[rng.integers(0, 4, 240)],
        }
    )
    data = Dataset(
        "made",
        "table",
        table,
        x.astype("f4"),
        roles={"label": "label", "split": "split"},
        features=("a", "b"),
        card={"normal": "normal"},
    )
    ws = Workspace(tmp_path_factory.mktemp("threshold"))
    ws.add(data)
    job = queue.wait(ws, queue.train(ws, "made", "table_anomaly", {}).id, timeout=300)
    assert job.status == "done", job.error
    return ws, job


def test_report_and_export_tell_who_set_the_threshold_and_what_it_means(run, tmp_path):
    ws, job = run
    scores = next(a for a in ws.artifacts(job.id).values() if isinstance(a, AnomalyMaps))
    assert describe_threshold(ws, job.id, ws.dataset("made"), scores) is None
    assert "<h3>The threshold</h3>" not in report_html(ws, [job.id])
    at = float(np.quantile(scores.score, 0.7))
    notes.set_threshold(
        ws, job.id, at, "misses cost <more>", "val", "Dr Ada", prevalence=0.05, ratio=20
    )
    page = report_html(ws, [job.id])
    assert "was set by Dr Ada on" in page
    assert "misses cost &lt;more&gt;; picked on validation cases" in page
    assert "One miss was worth 20 false alarms" in page
    found = describe_threshold(ws, job.id, ws.dataset("made"), scores)
    assert found["part"] == "test"
    lines = {line["name"]: line for line in found["table"]}
    data = ws.dataset("made").part("test")
    alarm = scores.score[scores.at(data.rows)] > at
    ill = data.labels == data.classes.index("ill")
    assert lines["Sensitivity"]["value"] == pytest.approx(alarm[ill].mean())
    right, wrong = 0.05 * alarm[ill].mean(), 0.95 * alarm[~ill].mean()
    assert lines["PPV"]["value"] == pytest.approx(right / (right + wrong))
    assert lines["PPV"]["low"] < lines["PPV"]["value"] < lines["PPV"]["high"] + 1e-12
    export_run(ws, job.id, tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "threshold.json").read_text())
    assert kept["author"] == "Dr Ada"
    assert kept["value"] == at


def test_what_people_state_of_a_model_is_in_the_report_escaped(run):
    ws, job = run
    assert report_html(ws, [job.id]).count("not stated") >= 3
    notes.state_model_facts(ws, job.id, {"when to stop": "alarms > 1 in 3"}, "Dr <Ada>")
    page = report_html(ws, [job.id])
    assert "alarms &gt; 1 in 3 (Dr &lt;Ada&gt;)" in page
    notes.state_model_facts(ws, job.id, {"when to stop": ""})


def test_a_threshold_of_earlier_versions_is_still_told(run):
    ws, job = run
    path = ws.folder(job.id) / "threshold.json"
    path.write_text(json.dumps({"value": 1.0, "reason": "", "made": 1e9}))
    page = report_html(ws, [job.id])
    assert "was set by a person on 2001-09-0" in page
    assert "picked with test cases in view" in page
    assert "PPV" not in page[page.index("The threshold") : page.index("How it was made")]
