"""Series from import to screen: the command line, and every page of a run on them."""

import numpy as np
import pytest
from PIL import Image

from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.app.test_cli import told
from tests.app.test_pages import PAGES, opened

TINY = {"epochs": 12, "latent": 4, "shuffles": 4, "symbol_steps": 100, "width": 8}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Generated beats and a small run on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("series")))
        ws = Workspace()
        ws.add(make_sample("beats"), sample=True)
        job = queue.train(ws, "beats", "beta_vae_scan", TINY)
        assert queue.wait(ws, job.id, timeout=200).status == "done"
        yield ws, job.id


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_a_run_of_series(page, home):
    at = opened(page, dataset="beats", run=home[1])
    assert not at.exception
    if page in ("traversal", "data"):
        assert at.get("image"), "traces are shown"


def test_the_map_shows_traces_when_a_point_is_pointed_at(home):
    from streamlit.testing.v1 import AppTest

    def script():
        import streamlit as st

        from app import state
        from app.panels.map_sprites import sprites

        data = state.workspace().dataset("beats")
        png, tile, _, index = sprites(data, data.rows)
        st.text(f"{png[:4]!r} {tile} {len(index)} {int(index.min())}")

    at = AppTest.from_function(script, default_timeout=300).run()
    assert not at.exception
    assert at.text[0].value.endswith(" 40 480 0")


@pytest.mark.parametrize("way", ["Between two cases", "Towards a class"])
def test_the_other_ways_of_traversal_work(way, home):
    at = opened("traversal", dataset="beats", run=home[1])
    at.segmented_control(key="traversal-how").set_value(way).run()
    assert not at.exception
    assert at.get("image")


def test_frames_of_a_path_are_written_marked(home, tmp_path):
    found = told(
        "traverse",
        home[1],
        "--row",
        "5",
        "--label",
        "V",
        "--steps",
        "4",
        "--to-dir",
        tmp_path / "v",
    )
    frame = np.asarray(Image.open(next(f for f in found["frames"] if f.endswith("frame_03.png"))))
    assert frame.shape[1] == 240
    assert (tmp_path / "v" / "traversal.gif").exists()
    # the word GENERATED
    assert (np.abs(frame[-20:].astype(int) - (230, 159, 0)).sum(2) < 60).sum() > 50


def test_every_view_of_the_run_draws_it(home):
    from streamlit.testing.v1 import AppTest

    def script(slug):
        from app import state
        from app.views import views_of

        state.adopt_url()
        context = state.context()
        artifact = context.ws.artifact(context.job.id, slug)
        for view in views_of(artifact, context.data):
            view.show(artifact, context)

    for slug in home[0].slugs(home[1]):
        at = AppTest.from_function(script, args=(slug,), default_timeout=300)
        at.query_params["dataset"], at.query_params["run"] = "beats", home[1]
        assert not at.run().exception, slug


def test_it_can_be_asked_why_and_shown_to_others(home, tmp_path):
    from core.report import figures

    data = home[0].dataset("beats")
    found = told("explain", home[1], "--rows", "0,1,2", "--how", "occlusion")
    artifact = home[0].artifact(found["explain"], home[0].slugs(found["explain"])[0])
    assert artifact.value.shape == (3, 2, 128)
    assert figures.attribution_figure(data, artifact, artifact.rows)[:4] == b"\x89PNG"
    told("report", home[1], "--to", tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size > 20_000


def test_a_record_folder_comes_in_by_the_command_line(home, tmp_path):
    pytest.importorskip("wfdb")
    from tests.data.test_series import record

    record(tmp_path, "r1", minutes=3)
    found = told("data", "add", tmp_path, "--name", "rec")
    assert found["modality"] == "series"
    assert found["labels"].keys() == {"A", "N"}
    assert (
        told(
            "train",
            "rec",
            "beta_vae_scan",
            *(w for k, v in TINY.items() for w in ("-p", f"{k}={v}")),
        )["status"]
        == "done"
    )


def test_a_burst_in_a_recording_is_found_as_the_most_unusual_window(home, tmp_path):
    """From an EDF file with one burst that only the test part holds, through the command line, to
    the top of the ranking and the pages.
    """
    pytest.importorskip("edfio")
    from tests.data.make import CANARIES, edf, eeg

    (tmp_path / "night.edf").write_bytes(edf(eeg(900, burst=833), marks=[(833, 3, "burst")]))
    found = told("data", "add", tmp_path / "night.edf", "--name", "night")
    assert found["modality"] == "series"
    assert not any(word in str(found) for word in CANARIES.values())
    run = told("train", "night", "pca", "-p", "dimensions=8")["run"]
    scores = next(a for a in home[0].artifacts(run).values() if type(a).__name__ == "AnomalyMaps")
    order = np.argsort(-scores.score)
    data = home[0].dataset("night")
    assert data.frame["event"].iloc[order[0]] == "burst"
    assert scores.score[order[0]] > 3 * scores.score[order[1]]
    for page in ("data", "anomalies", "latent"):
        at = opened(page, dataset="night", run=run)
        assert not at.exception
