"""Excluded cases on screen and on the command line: named nowhere, counted nowhere, and the run
that knew them says so.
"""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import queue
from core.workspace import notes, review
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox, told
from tests.app.test_pages import PAGES, opened
from tests.store.test_review import GONE, named

KNOWN = "canary"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A workspace whose run, groups, map, explanation and saved group knew the cases that are
    excluded now.
    """
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("review")
        patch.setenv("LIGHTBOX_HOME", str(home))
        ws = Workspace()
        ws.add(named())
        run = queue.wait(ws, queue.train(ws, "films", "pca", {"dimensions": 4}).id, timeout=120).id
        jobs = [
            queue.train(ws, "films", "kmeans", {"k": 2}, on=run),
            queue.derive(ws, "map", run, {"how": "auto", "dims": 2}),
            queue.derive(
                ws, "explain", run, {"how": "occlusion", "target": "axis 1", "rows": [*GONE, 3, 5]}
            ),
        ]
        assert {queue.wait(ws, j.id, timeout=180).status for j in jobs} == {"done"}
        notes.save_group(ws, "films", "mine", np.array([*GONE, 3, 5, 7, 9]))
        ws.run = run
        yield ws


def words(at: AppTest) -> str:
    """Everything the server sent to the browser in this run, as text."""
    return " ".join(str(getattr(e, "proto", "")) for e in at._tree).replace("\\", "")


@pytest.mark.parametrize("page", PAGES)
def test_an_excluded_case_is_named_on_no_page(page, full):
    from app.state import Selection

    at = opened(page)
    at.session_state["run"] = full.run
    at.session_state["selection"] = Selection(np.array([*GONE, 3]), 4, "by hand")
    seen = KNOWN in words(at.run())
    of_no_case = ("home", "library", "people", "present", "runs", "train", "rationales", "compare")
    assert seen or page in of_no_case
    decision = review.exclude(full, "films", GONE, "planted")
    try:
        again = at.run()  # a session that was open already
        assert not again.exception
        assert KNOWN not in words(again)
        assert KNOWN not in words(opened(page))
    finally:
        review.undo(full, "films", decision.id)


def test_a_selection_and_the_case_under_the_eye_are_let_go(full):
    def page():
        import numpy as np

        from app import state
        from app.panels.inspector import inspector

        state.adopt_url()
        if "first" not in __import__("streamlit").session_state:
            __import__("streamlit").session_state["first"] = True
            state.select(np.array([3, 4, 17]), "by hand", primary=4)
        inspector(state.context())

    at = AppTest.from_function(page, default_timeout=300).run()
    assert "canary-004" in words(at)
    decision = review.exclude(full, "films", [4], "planted")
    try:
        at.run()
        assert not at.exception
        chosen = at.session_state["selection"]
        assert (chosen.rows.tolist(), chosen.primary) == ([3, 17], None)
        assert "canary-004" not in words(at)
    finally:
        review.undo(full, "films", decision.id)


def test_a_run_that_knew_them_says_so_on_every_exploring_page(full):
    decision = review.exclude(full, "films", GONE, "planted")
    try:
        for page in ("results", "latent", "anomalies"):
            assert any(
                "3 cases were excluded after this run" in m.value for m in opened(page).markdown
            ), page
    finally:
        review.undo(full, "films", decision.id)
    assert not any("excluded after" in m.value for m in opened("latent").markdown)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_with_all_cases_excluded(page, full):
    decision = review.exclude(full, "films", np.arange(60), "all of them")
    try:
        at = opened(page)
        assert not at.exception
        if page in ("train", "latent", "home"):
            assert any(
                "Every case of this data is excluded or hidden pending review" in m.value
                for m in at.markdown
            )
    finally:
        review.undo(full, "films", decision.id)


def test_the_command_line_names_and_counts_no_excluded_case(full, tmp_path):
    decision = review.exclude(full, "films", GONE, "planted")
    try:
        assert told("data", "list")["datasets"][0]["n"] == 57
        assert told("data", "show", "films")["n"] == 57
        for command in (
            ("runs", "show", full.run),
            ("data", "show", "films"),
            ("explain", full.run, "--how", "occlusion", "--target", "axis 1"),
            ("map", full.run, "--how", "umap"),
            ("export", full.run, "--to", tmp_path / "out"),
            ("report", full.run, "--to", tmp_path / "r.html"),
        ):
            code, out, err = lightbox(*command, "--json")
            assert code == 0, err
            assert KNOWN not in out
            assert json.loads(out)
        assert KNOWN not in (tmp_path / "r.html").read_text()
        code, _, err = lightbox("explain", full.run, "--rows", "canary-004.png")
        assert code == 2
        assert "no row" in err
    finally:
        review.undo(full, "films", decision.id)
