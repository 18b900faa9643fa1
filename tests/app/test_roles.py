"""What each column is, on screen before the import; which class is normal; learning from normal
cases.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.panels.column_roles import clash, in_order, odd_patients
from core.artifacts import AnomalyMaps
from core.data.ground_truth import find_abnormal
from core.data.readers import read
from core.jobs import queue
from core.workspace.workspace import Workspace


def guess(column: str, role: str, words: str = "sure") -> dict[str, Any]:
    return {
        "column": column,
        "role": role,
        "sure": 0.9,
        "why": "so",
        "asked": False,
        "words": words,
    }


def test_doubtful_guesses_stand_on_top_and_inputs_last() -> None:
    found = in_order(
        [
            guess("a", "input"),
            guess("b", "outcome"),
            guess("c", "input", "a guess"),
            guess("d", "left out"),
        ]
    )
    assert [g["column"] for g in found] == ["c", "b", "d", "a"]


def test_roles_that_only_one_column_can_have() -> None:
    assert clash({"a": "outcome", "b": "input", "c": "input"}) is None
    assert "No column is left to learn from" in clash({"a": "outcome", "b": "left out"})
    assert "“a” and “c” are both the patient" in str(
        clash({"a": "patient", "b": "input", "c": "patient"})
    )


def test_two_patients_are_odd_before_the_import() -> None:
    classes = {"group": ["control", "treatment"], "who": ["a", "b", "c"]}
    assert "two values only, control and treatment" in str(
        odd_patients({"group": "patient"}, classes)
    )
    assert odd_patients({"who": "patient", "group": "input"}, classes) is None


def page(script: Any, **values: Any) -> AppTest:
    at = AppTest.from_function(script, kwargs=values, default_timeout=300).run()
    assert not at.exception, at.exception[0]
    return at


def test_sixty_columns_are_listed_and_the_normal_class_is_asked() -> None:
    def script() -> None:
        import pandas as pd
        import streamlit as st

        from app.panels import column_roles

        names = [f"c{i}" for i in range(60)]
        guesses = [
            {
                "column": c,
                "role": "input",
                "sure": 0.9,
                "why": "numbers",
                "asked": False,
                "words": "sure",
            }
            for c in names
        ]
        guesses[7] |= {"role": "outcome", "words": "a guess"}
        changed, roles, _ = column_roles.choose(
            guesses, pd.DataFrame({c: [1.5, 2.0] for c in names}), "k"
        )
        st.caption(f"changed {len(changed)} of {len(roles)}")
        st.caption(f"normal {column_roles.normal_class(['healthy', 'ill'], 'dx', 'n')!r}")

    at = page(script)
    said = [c.value for c in at.caption]
    assert "changed 0 of 60" in said
    assert any("1 guess in doubt stands on top" in s for s in said)
    assert at.selectbox[0].options == ["healthy (a guess by its word)", "ill", "no class is normal"]
    assert "normal ''" in said
    at.selectbox[0].select("ill").run()
    assert "normal 'ill'" in [c.value for c in at.caption]


def test_a_run_on_normal_cases_scores_all(tmp_path, monkeypatch) -> None:
    """Through the queue: only normal cases are learned from, all are scored, and truth and AUROC
    follow.
    """
    from core.jobs import tasks
    from core.measures.image_anomaly import ImageAnomaly

    rng = np.random.default_rng(0)
    ill = np.arange(120) % 3 == 0
    x = rng.normal(size=(120, 6)) * np.where(ill[:, None], 4, 1)
    pd.DataFrame(x, columns=list("abcdef")).assign(dx=np.where(ill, "ill", "healthy")).to_csv(
        tmp_path / "t.csv", index=False
    )
    ws = Workspace(tmp_path / "home")
    ws.add(read(tmp_path / "t.csv"))
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    job = queue.train(ws, "t", "pca", {"dimensions": 2}, only_normal=True)
    assert job.spec["only_normal"] == "healthy"
    assert job.key != queue.train(ws, "t", "pca", {"dimensions": 2}).key

    class Quiet:
        def __getattr__(self, name: str) -> Any:
            return lambda *a, **k: None

    # slow, and not what is asked here
    monkeypatch.setattr("core.evaluate.measure", lambda data, *rest, **more: [])
    tasks.train(ws, job, Quiet())  # type: ignore[arg-type]
    data = ws.dataset("t")
    found = ws.artifact(job.id, "anomalymaps")
    assert isinstance(found, AnomalyMaps)
    assert len(found.rows) == len(data)
    truth, why = find_abnormal(data)
    assert (truth == (data.frame["dx"] == "ill")).all()
    assert "“healthy”, the normal one (a guess by its word)" in why
    assert ImageAnomaly().compute(data, found, rng=rng)[0].value > 0.7
    model = ws.artifact(job.id, "model")
    assert set(data.of(model.rows).frame["dx"]) == {"healthy"}


def two_classes(tmp_path: Path, well: str, ill: str, n: int = 120) -> Workspace:
    """A workspace with a table `t` of two classes in its column `dx`, every third case of the class
    `ill`.
    """
    rng = np.random.default_rng(0)
    sick = np.arange(n) % 3 == 0
    table = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    table.assign(dx=np.where(sick, ill, well)).to_csv(tmp_path / "t.csv", index=False)
    ws = Workspace(tmp_path / "home")
    ws.add(read(tmp_path / "t.csv"))
    return ws


@pytest.mark.parametrize(
    ("well", "ill", "normal", "words"),
    [
        ("healthy", "ill", "healthy", "Learns from the cases “healthy” only (a guess by its word"),
        (
            "left",
            "right",
            None,
            "Learns from all cases, since it is not said which class is normal",
        ),
    ],
)
def test_find_unusual_cases_learns_from_normal_ones(
    tmp_path, monkeypatch, well, ill, normal, words
):
    def script() -> None:
        from app import state
        from app.panels import quick_start

        state.adopt_url()
        data = state.dataset()
        assert data is not None
        quick_start.ask(data)

    ws = two_classes(tmp_path, well, ill)
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    at = page(script)
    assert any(words in c.value for c in at.caption), [c.value for c in at.caption]
    next(b for b in at.button if "unusual" in b.label).click().run()
    assert not at.exception
    assert ws.runs()[0].spec.get("only_normal") == normal
