"""Choosing a method: the question first, and the best measured one on top."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.panels import method_choice
from core.data.samples.catalogue import make_sample
from core.evidence import count_wins
from core.registry import families, methods, questions
from core.training.recommend import Standing
from core.workspace.workspace import Workspace
from tests.app import unexplained

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    Workspace(tmp_path).add(make_sample("breast-cancer"))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    return at.switch_page("../pages/train.py").run()


def headings(at):
    """Of the method that is chosen; a term in it is a link to its meaning."""
    found = [m.value for m in at.main.markdown if m.value.startswith("### ")]
    return [unexplained(heading) for heading in found]


def test_a_question_leads_to_its_best_method_and_a_search_to_any(page):
    assert headings(page) == ["### Principal components"]
    box = page.main.selectbox(key="w-question")
    assert box.options[0] == questions()["decomposition"]
    page = box.select(questions()["anomaly"]).run()
    assert headings(page) == [f"### {methods()['table_anomaly'].title}"]
    page = page.main.text_input(key="find-method").input("pRincipal").run()
    found = [b for b in page.main.button if str(b.key).startswith("find-")]
    assert [b.key for b in found] == ["find-pca"]
    page = found[0].click().run()
    assert headings(page) == ["### Principal components"]
    assert page.main.selectbox(key="w-question").value == questions()["decomposition"]
    assert not page.exception


def test_what_does_not_fit_says_why(page):
    folded = next(e for e in page.main.expander if e.label.startswith("What does not fit"))
    said = " ".join(m.value for m in folded.markdown)
    assert methods()["swav"].title in said
    assert "Builds on an earlier run that gives" in said


def test_every_family_asks_a_question_of_its_own():
    assert list(questions()) == list(families())
    assert all(q.endswith("?") for q in questions().values())
    assert len(set(questions().values())) == len(questions())


def test_methods_are_ranked_by_what_was_measured(page, monkeypatch):
    stands = {
        "dirichlet_vae": Standing(0, 0.25),
        "gaussian_vae": Standing(0, 0.75),
        "strega": Standing(-1, 0.9),
        "swav": Standing(0, 0.0),
        "pca": Standing(0, 0.0),
        "ear": Standing(1, 0.1),
    }
    monkeypatch.setattr(method_choice, "measure_standing", lambda kind, like: stands[kind.id])
    monkeypatch.setattr(method_choice, "measured_like", lambda data: "")
    monkeypatch.setattr(method_choice, "_seconds", lambda kind, data: 1.0 + (kind.id == "swav"))
    for kind in methods().values():
        monkeypatch.setattr(kind, "suggested_for", {})
    data = make_sample("breast-cancer")
    wanted = ["ear", "gaussian_vae", "dirichlet_vae", "pca", "swav", "strega"]
    assert method_choice.rank(list(stands), data) == wanted


def test_wins_are_counted_against_the_best_rival(monkeypatch):
    rows = [{"name": "own", "value": 0.8}, {"name": "a", "value": 0.7}, {"name": "b", "value": 0.9}]
    tables = [
        {"higher_is_better": True, "rows": rows},
        {"higher_is_better": False, "rows": rows},
        {"higher_is_better": True, "rows": rows[:2]},
        {"higher_is_better": True, "rows": rows[:1]},
    ]
    monkeypatch.setattr("core.evidence.load_evidence", lambda id: {"tables": tables})
    assert count_wins("x") == (1, 3)
    monkeypatch.setattr("core.evidence.load_evidence", lambda id: None)
    assert count_wins("x") == (0, 0)
