"""The Anomalies page on pictures with classes: heat as lines, the reconstruction slider, failures,
nearest normal cases and hot areas.
"""

import numpy as np
import pandas as pd
import pytest

from app.panels import failures, heat, nearest_normal, threshold
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.explain.marked_places import Level
from core.jobs import queue
from core.workspace import notes
from core.workspace.workspace import Workspace
from tests.app import unexplained
from tests.app.test_pages import opened

N = 120


def pictures(normal: str = "normal") -> Dataset:
    """Faint gradients; every third case has a bright square and is ill, those of site B a fainter
    one.
    """
    rng = np.random.default_rng(0)
    ill, site = np.arange(N) % 3 == 0, np.arange(N) % 2
    x = rng.normal(0.3, 0.02, (N, 1, 16, 16)) + 0.1 * np.linspace(0, 1, 16)
    x[ill, :, 4:8, 5:9] += np.where(site[ill] == 1, 0.01, 0.5)[:, None, None, None]
    table = pd.DataFrame(
        {
            "name": [f"case{i}.png" for i in range(N)],
            "finding": np.where(ill, "ill", "normal"),
            "site": np.array(["A", "B"])[site],
            "patient": [f"P{i // 2}" for i in range(N)],
            "split": np.array(["train", "train", "val", "test", "test", "test"])[
                np.arange(N) // 2 % 6
            ],
        }
    )
    roles = {"file": "name", "label": "finding", "group": "patient", "split": "split"}
    card = {"normal": normal} if normal else {}
    return Dataset("squares", "image", table, x.astype("f4"), None, roles, (), (0.0, 1.0), card)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("squares")))
        ws = Workspace()
        ws.add(pictures())
        job = queue.wait(
            ws,
            queue.train(ws, "squares", "pca", {"dimensions": 2}, only_normal=True).id,
            timeout=300,
        )
        assert job.status == "done", job.error
        scores = next(a for a in ws.artifacts(job.id).values() if isinstance(a, AnomalyMaps))
        data = ws.dataset("squares")
        easy = (data.labels == data.classes.index("ill")) & (data.table["site"] == "A").to_numpy()
        cut = float(scores.score[scores.at(data.rows[easy])].min()) * 0.99
        notes.set_threshold(ws, job.id, cut, on="val")
        yield ws, job, scores


def words(at) -> str:
    return unexplained(" ".join(e.value for e in [*at.markdown, *at.caption]))


def context_of(ws, job):
    from types import SimpleNamespace

    data = ws.dataset("squares")
    return SimpleNamespace(
        ws=ws, data=data, job=job, columns={}, key=lambda name: f"{name}-{job.id}"
    )


def test_failures_are_the_wrong_ones_and_the_most_confident_come_first(home):
    ws, job, scores = home
    context = context_of(ws, job)
    at = threshold.threshold_of(scores, context)
    missed, found, part = failures.find(scores, context, "missed", at)
    data = ws.dataset("squares")
    assert part == "test"
    assert set(data.of(np.sort(missed)).splits) == {"test"}
    assert set(data.of(np.sort(missed)).labels) == {data.classes.index("ill")}
    assert set(data.of(np.sort(missed)).frame["site"]) == {"B"}
    assert set(data.of(found).frame["site"]) == {"A"}
    assert (np.diff(scores.score[scores.at(missed)]) >= 0).all(), "furthest below first"
    alarms, _, _ = failures.find(scores, context, "false alarms", -1.0)
    assert (np.diff(scores.score[scores.at(alarms)]) <= 0).all(), "furthest above first"
    assert set(data.of(np.sort(alarms)).labels) == {data.classes.index("normal")}


def test_the_page_says_what_missed_cases_have_in_common(home):
    _ws, job, _ = home
    at = opened("anomalies", run=job.id)
    kind = next(c for c in at.segmented_control if c.label == "Kind of error")
    kind.set_value("missed").run()
    assert not at.exception
    assert "Set beside the 10 abnormal cases that are found" in words(at)
    assert "**site** is “A” in 0 % of the group, 100 % elsewhere" in words(at)
    assert "patients, of whom each counts with all its cases" in words(at)


def test_heat_is_drawn_as_lines_on_the_same_scale(home):
    _ws, job, _ = home
    at = opened("anomalies", run=job.id)
    assert at.slider(key=f"opacity-{job.id}").value == heat.OPACITY == 0.4
    box = at.selectbox(key=f"heat-{job.id}")
    assert box.value == "overlay"
    box.set_value("contour").run()
    assert not at.exception
    assert "no line below a quarter of it" in words(at)
    assert at.slider(key=f"opacity-{job.id}").disabled


def test_a_line_lies_at_the_threshold_and_is_told_in_words(home, monkeypatch):
    ws, job, scores = home
    context = context_of(ws, job)
    some = scores.rows[np.argsort(-np.asarray(scores.score))[:4]]
    at = opened("anomalies", run=job.id)
    at.selectbox(key=f"heat-{job.id}").set_value("threshold").run()
    assert not at.exception
    scale = heat.reach(str(ws.home), job.id, scores.slug)
    level = heat.find_level(scores, threshold.threshold_of(scores, context), scale)
    assert "Orange line: what lies above" in words(at)
    assert heat.describe_level(level, scores) in words(at)
    monkeypatch.setattr(heat.state, "context_of", lambda run: context)
    drawn = {}
    for above in (level.value, 1e9):
        monkeypatch.setattr(heat, "level", lambda *_, above=above: Level(above, "cases"))
        given = (str(ws.home), "", "", job.id, scores.slug, tuple(some.tolist()), 0.4)
        drawn[above] = heat._drawn.__wrapped__(*given, "threshold", 0.0, True, 64, "", "")
    plain = heat._drawn.__wrapped__(*given, "none", None, True, 64, "", "")
    assert (drawn[1e9] == plain).all(), "nothing lies above it"
    assert (drawn[level.value] != plain).any()


def test_the_line_follows_the_slider_but_in_the_reading_room_what_is_kept(home, monkeypatch):
    ws, job, scores = home
    context = context_of(ws, job)
    asked = []
    monkeypatch.setattr(heat, "level", lambda home, run, slug, at: asked.append(at))
    monkeypatch.setattr(heat.state, "value", lambda key, default: 123.0)
    heat.level_in_use(scores, context)
    heat.level_in_use(scores, context, moved=False)
    assert asked == [123.0, threshold.threshold_of(scores, context)]
    assert heat.level_in_use(None, context) is None


def test_the_inspector_fades_from_the_case_to_its_reconstruction_and_the_difference(home):
    _ws, job, scores = home
    at = opened("anomalies", run=job.id)
    row = int(scores.rows[np.argmax(scores.score)])
    from app.state import Selection

    at.session_state["selection"] = Selection(primary=row)
    at.run()
    assert not at.exception
    slide = next(s for s in at.slider if s.label.startswith("Original"))
    assert "Shown: the case." in words(at)
    slide.set_value(2.0).run()
    assert not at.exception
    assert "Shown: the difference of the two." in words(at)
    assert "Nearest normal, among 79 known normal cases of other patients" in words(at)
    assert any(e.label.startswith("Hot areas: ") for e in at.expander)
    assert "half of the heat scale" in words(at)


def test_normal_cases_are_the_known_ones_else_training_cases_below_the_threshold(home, monkeypatch):
    ws, job, scores = home
    context = context_of(ws, job)
    rows, said = nearest_normal.normal_rows(scores, context, 0.0)
    data = ws.dataset("squares")
    assert said == "known normal"
    assert rows.tolist() == data.rows[data.labels == data.classes.index("normal")].tolist()
    monkeypatch.setattr(threshold, "known", lambda context: (None, "not known"))
    at = float(np.median(scores.score))
    rows, said = nearest_normal.normal_rows(scores, context, at)
    assert said.startswith("training cases below the threshold")
    assert set(data.of(rows).splits) == {"train"}
    assert (scores.score[scores.at(rows)] <= at).all()


def test_all_of_the_page_tells_of_a_threshold_as_soon_as_it_is_kept(home):
    ws, job, _ = home
    before = notes.load_threshold(ws, job.id)
    at = opened("anomalies", run=job.id)
    next(b for b in at.button if b.label == "95 % of normals").click().run()
    at.text_input(key=f"author-{job.id}").set_value("Dr Ada").run()
    next(b for b in at.button if b.label == "Keep this threshold").click().run()
    assert not at.exception
    kept = notes.load_threshold(ws, job.id)
    assert kept["author"] == "Dr Ada"
    assert kept["value"] != before["value"]
    assert "lie above the threshold set for this run by Dr Ada" in words(at)
    assert f"test cases at the kept threshold, {kept['value']:.4g}" in words(at)
    notes.set_threshold(ws, job.id, before["value"], on="val")


def test_one_class_or_site_is_looked_at_alone_and_each_has_its_figures(home):
    ws, job, _ = home
    data = ws.dataset("squares")
    at = opened("anomalies", run=job.id)
    look = at.selectbox(key=f"look-at-{job.id}")
    assert look.options == ["all cases", "finding: ill", "finding: normal", "site: A", "site: B"]
    look.set_value("site: B").run()
    assert not at.exception
    shown = [int(b.key.rsplit("-", 1)[1]) for b in at.button if (b.key or "").startswith("ranked-")]
    assert shown
    assert set(data.of(np.array(shown)).frame["site"]) == {"B"}
    table = next(d.value for d in at.dataframe if "normal (train)" in d.value)
    assert table["finding"].tolist() == ["ill", "normal"]
    assert table["note"][0].startswith("against all normal cases")
    at.selectbox(key=f"by-value-{job.id}").set_value("site").run()
    assert not at.exception
    table = next(d.value for d in at.dataframe if "normal (train)" in d.value)
    assert table["site"].tolist() == ["A", "B"]
    train = data.part("train")
    normal = train.labels == data.classes.index("normal")
    counts = train.frame["site"][normal].value_counts()
    assert table["normal (train)"].tolist() == [counts["A"], counts["B"]]
    assert table["case AUROC"][0].startswith("1.00")


@pytest.fixture(scope="module")
def plain(home):
    """A run without a latent space on the same pictures, and a threshold that errs."""
    ws, _, _ = home
    job = queue.train(ws, "squares", "brightness", only_normal=True)
    job = queue.wait(ws, job.id, timeout=300)
    assert job.status == "done", job.error
    scores = next(a for a in ws.artifacts(job.id).values() if isinstance(a, AnomalyMaps))
    notes.set_threshold(ws, job.id, float(np.quantile(scores.score, 0.9)), on="val")
    return ws, job, scores


def test_without_a_latent_space_the_nearest_normal_is_by_grey_levels(plain):
    from app.state import Selection

    _ws, job, scores = plain
    at = opened("anomalies", run=job.id)
    at.session_state["selection"] = Selection(primary=int(scores.rows[np.argmax(scores.score)]))
    at.run()
    assert not at.exception
    said = "Nearest normal by grey levels in 16 × 16 places, among 79 known normal cases"
    assert said in words(at)
    assert "This run has no latent space" in next(
        c.proto.help for c in at.caption if c.value.startswith("Nearest normal")
    )


@pytest.mark.parametrize("method", ["home", "plain"])
def test_failures_stand_above_their_nearest_normal_case(method, request):
    _ws, job, _ = request.getfixturevalue(method)
    at = opened("anomalies", run=job.id)
    kind = next(c for c in at.segmented_control if c.label == "Kind of error")
    kind.set_value("missed").run()
    beside = next(t for t in at.toggle if t.label.startswith("Each with the nearest normal"))
    beside.set_value(True).run()
    assert not at.exception
    by = "in the latent space of the run" if method == "home" else "by grey levels"
    assert f"Below: the nearest normal one {by}" in words(at)
    assert "among known normal cases" in words(at)


def test_a_model_applied_to_other_data_is_not_said_to_have_learned_from_these():
    from streamlit.testing.v1 import AppTest

    def page() -> None:
        from types import SimpleNamespace

        from app.panels import by_value
        from core.artifacts import Metric
        from core.explain.anomaly_by_value import ValueFigures

        figure = Metric("case AUROC", 0.7, split="test", n=9)
        data = SimpleNamespace(groups=None)
        context = SimpleNamespace(data=data, key=lambda name: name)
        by_value._draw([ValueFigures("A", 0, 5, 4, figure, figure)], "site", 0.5, context)

    at = AppTest.from_function(page, default_timeout=60).run()
    assert not at.exception
    assert "normal (train)" not in at.dataframe[0].value
    assert "training cases" not in words(at)
