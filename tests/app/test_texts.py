"""Texts on the Data page: readable, findable, whole on request, never cut without a word."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import text
from core.artifacts import Metric, Metrics, Rationales
from core.data.readers import read
from core.jobs.run_folder import save_artifacts
from core.methods.text._cut import read_whole
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]
NOTES = [
    f"Note {k}: the patient of ward {k} came with a cough that had lasted for some days; **bold**"
    " <b>x</b> " + "long story " * 100 + f"end{k}"
    for k in range(14)
]


@pytest.fixture
def page(tmp_path, monkeypatch):
    lines = "".join(f'"{n}",{"ab"[k % 2]}\n' for k, n in enumerate(NOTES))
    (tmp_path / "notes.csv").write_text("note,condition_label\n" + lines)
    data = read(tmp_path / "notes.csv")
    assert (data.modality, data.roles["label"]) == ("text", "condition_label")
    Workspace(tmp_path / "home").add(data)
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    return at.switch_page("../pages/data.py").run()


def told(at):
    return " ".join(str(e.value) for e in [*at.text, *at.caption, *at.markdown])


def test_a_list_of_texts_with_their_labels(page):
    assert not page.exception
    words = told(page)
    assert "Note 0: the patient of ward 0" in words
    assert "1 to 6 of 14 texts" in words
    assert "**row 1** · b" in words
    # as written, in an element that formats nothing
    assert "<b>x</b>" in "".join(t.value for t in page.text)
    assert any("14 lines; of each text the first 80 letters" in c.value for c in page.caption)
    assert any(e.label == f"All {len(NOTES[0]):,} letters" for e in page.expander)


def test_words_are_found_and_the_texts_with_them_selected(page):
    field = next(t for t in page.text_input if t.label == "Find words in the texts")
    at = field.input("WARD 1 CAME").run()
    assert not at.exception
    assert "1 to 1 of 1 texts that hold these words, out of 14." in told(at)
    at = next(b for b in at.button if b.label == "Select the 1 text").click().run()
    assert at.session_state["selection"].rows.tolist() == [1]
    at = (
        next(t for t in at.text_input if t.label == "Find words in the texts")
        .input("(not [there")
        .run()
    )
    assert not at.exception
    assert "None of 14 texts holds these words." in told(at)


def test_how_many_texts_were_cut_is_told():
    code = np.array([[1, 2, 3], [1, 2, 0], [1, 0, 0], [1, 5, 6]])
    cut = read_whole(code, 0)
    assert (cut.value, cut.n) == (0.5, 4)
    assert "2 of 4 texts are longer than the 3 tokens" in cut.note
    assert read_whole(code[1:3], 0).note == ""


def test_the_page_of_reasons_tells_the_deletion_test_and_what_was_not_read(
    tmp_path, monkeypatch, page
):
    ws = Workspace(tmp_path / "home")
    (name,) = [d["name"] for d in ws.catalogue.datasets()]
    data = ws.dataset(name)
    words = [
        [
            {
                "text": "cough",
                "weight": 1.0,
                "start": str(t).index("cough"),
                "end": str(t).index("cough") + 5,
            }
        ]
        for t in data.texts
    ]
    falls = [
        Metric(
            "fall of the predicted class without its weightiest words",
            0.51,
            0.45,
            0.57,
            "test",
            n=3,
        ),
        Metric(
            "fall of the predicted class without its random words", 0.06, 0.03, 0.1, "test", n=3
        ),
    ]
    ws.catalogue.add_job(
        Job(
            id="0123456789",
            kind="train",
            dataset=ws.entry(name)["id"],
            method="sufo",
            status="done",
        )
    )
    ws.folder("0123456789").mkdir()
    save_artifacts(
        ws.folder("0123456789"),
        [
            Rationales(rows=data.rows, items=words, kind="spans"),
            Metrics.of([*falls, read_whole(np.array([[1, 2], [1, 0]]), 0)], data.rows),
        ],
    )
    at = (
        AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
        .run()
        .switch_page("../pages/rationales.py")
        .run()
    )
    assert not at.exception
    assert "weightiest 51 points (45 to 57), random 6 points (3 to 10)" in told(at)
    assert "1 of 2 texts are longer than the 2 tokens" in told(at)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.01198, "0.0120"),
        (0.0119, "0.0119"),
        (2.449, "2.45"),
        (12.0, "12.0"),
        (345.6, "346"),
        (1234.5, "1,234"),
        (float("nan"), "not defined"),
    ],
)
def test_scores_below_each_other_have_the_same_digits(value, words):
    assert text.figures(value) == words


def test_shares_and_moments_read_as_people_write_them():
    assert text.percent(0.535) == "54 %"
    assert text.percent(0.0251, 1) == "2.5 %"
    assert text.moment("2026-11-29T12:06:47+00:00") == "2026-11-29 12:06 UTC"
    assert text.moment("2026-11-29T12:06:47") == "2026-11-29 12:06"
    assert text.moment("long ago") == "long ago"
