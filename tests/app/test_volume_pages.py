"""A run on volumes on screen: every page, the map of volumes or of slices, the slice a click
opens.
"""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.state import Selection
from core.artifacts import Map
from core.columns import map_points, slice_columns, table_columns
from core.data.samples.generated import stacks
from core.errors import UserError
from core.jobs import queue
from core.maps.make import of_slices
from core.workspace.workspace import Workspace
from tests.app.test_cli import told
from tests.app.test_pages import PAGES, opened

TINY = {"epochs": 2, "latent": 4, "width": 4, "batch_size": 16}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Generated volumes, a run slice by slice, and a map of volumes and one of slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("volumes")))
        ws = Workspace()
        ws.add(stacks(n=24), sample=True)
        job = queue.wait(ws, queue.train(ws, "stacks", "gaussian_vae", TINY).id, timeout=300)
        assert job.status == "done"
        plain = {"how": "auto", "dims": 2}
        made = [
            queue.wait(ws, queue.derive(ws, "map", job.id, spec).id, timeout=300)
            for spec in (plain, plain | of_slices(ws, job))
        ]
        assert [j.status for j in made] == ["done", "done"]
        yield ws, job, [ws.artifact(j.id, "map") for j in made]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_a_run_of_volumes(page, home):
    assert not opened(page).exception


def test_how_volumes_are_taken_is_asked_of_volumes(home):
    assert "volumes" in [box.label for box in opened("train").main.selectbox]


def test_the_map_is_of_volumes_or_of_slices(home):
    _, _, (volumes, slices) = home
    assert volumes.place is None
    assert len(volumes.rows) == 24
    assert len(slices.rows) == 24 * 10  # the outermost two of twelve are empty
    assert (slices.place.min(), slices.place.max()) == (1, 10)


def test_the_user_chooses_and_colours_slices(home):
    at = opened("latent")
    assert "of 24 cases shown" in " ".join(c.value for c in at.caption)
    at.segmented_control(key="w-map-points").set_value("Slices").run()
    assert not at.exception
    assert "of 240 slices shown" in " ".join(c.value for c in at.caption)
    for name in ("slice number", "anomaly score of the slice", "predicted for the slice"):
        at.segmented_control(key="w-map-slices-by").set_value(name).run()
        assert not at.exception


def test_what_is_known_of_a_slice_stands_at_its_point(home):
    ws, job, (_, made) = home
    data = ws.dataset("stacks")
    found = slice_columns(ws, data, job, made)
    scores = ws.artifact(job.id, "anomalymaps-slices")
    i = 77
    where = np.flatnonzero((scores.rows == made.rows[i]) & (scores.place == made.place[i]))
    assert found["anomaly score of the slice"].values[i] == pytest.approx(scores.score[where[0]])
    assert found["slice number"].values[i] == made.place[i] + 1
    label = table_columns(data)[0]
    assert label.values[map_points(label, data, made)[i]] == data.table["finding"][made.rows[i]]


def looked(event):
    """(primary, place, selected rows) after an event on a map of six slices of two volumes."""

    def script(event):
        import numpy as np
        import streamlit as st

        from app import state
        from app.panels import map, map_figure
        from core.artifacts import Map

        state.adopt_url()
        made = Map(
            rows=np.array([4, 4, 4, 9, 9, 9]),
            place=np.array([1, 2, 3, 1, 2, 3]),
            xy=np.zeros((6, 2), "f4"),
        )
        xy = np.stack([np.linspace(-0.9, 0.9, 6), np.zeros(6)], 1)
        map._act(event, made, xy, np.array([0, 0, 1, 1, 1, 1]), ["ball", "none"])
        now = state.selection()
        st.text(repr((now.primary, now.place, now.rows.tolist())))
        st.text(" / ".join(map_figure.name_points(made, state.workspace().dataset("stacks"))))

    at = AppTest.from_function(script, default_timeout=300, args=(event,)).run()
    assert not at.exception
    return eval(at.text[0].value), at.text[1].value


def test_a_click_opens_that_volume_at_that_slice_and_a_lasso_selects_volumes(home):
    found, words = looked({"kind": "click", "index": 4})
    assert found == (9, 2, [])
    assert words.split(" / ")[4] == "stack09.nii, slice 3/12"
    assert looked({"kind": "lasso", "polygon": [[-1, -1], [0.1, -1], [0.1, 1], [-1, 1]]})[0] == (
        None,
        None,
        [4],
    )
    assert looked({"kind": "category", "code": 1})[0] == (None, None, [4, 9])


def test_thumbnails_on_a_map_of_slices_are_of_the_slices(home):
    def script():
        import numpy as np
        import streamlit as st
        from PIL import Image

        from app import state
        from app.panels.map_sprites import sprites

        data = state.workspace().dataset("stacks")
        import io

        png, tile, _, index = sprites(data, np.array([3, 3]), np.array([0, 6]))
        sheet = np.asarray(Image.open(io.BytesIO(png)))
        st.text(
            f"{sheet[:tile, :tile].max()} {sheet[:tile, tile : 2 * tile].max()} {index.tolist()}"
        )

    at = AppTest.from_function(script, default_timeout=300).run()
    assert not at.exception
    empty, full, *_ = at.text[0].value.split()
    assert (int(empty), int(full) > 100) == (0, True)


def test_a_run_that_knows_no_slices_says_so_and_shows_no_choice(home):
    ws, job, _ = home
    whole = queue.wait(ws, queue.train(ws, "stacks", "pca", {"dimensions": 4}).id, timeout=300)
    with pytest.raises(UserError, match="knows no slices"):
        of_slices(ws, whole)
    built = queue.wait(ws, queue.train(ws, "stacks", "kmeans", {"k": 2}, on=job.id).id, timeout=300)
    assert of_slices(ws, built)["artifact"] == "embedding-latent-slices"
    for run in (built, whole):  # pages open on the newest run
        ws.remove_run(run.id)


def test_the_command_line_maps_slices(home, capsys):
    _, job, _ = home
    assert told("map", job.id, "--slices")["n"] == 240


def test_a_map_of_slices_keeps_place_of_the_sample_it_shows():
    from core.artifacts import Embedding
    from core.maps.make import make_map

    z = np.random.default_rng(0).normal(size=(60, 3)).astype("f4")
    made = make_map(
        Embedding(rows=np.repeat(np.arange(6), 10), place=np.tile(np.arange(10), 6), z=z),
        "pca",
        limit=20,
    )
    assert isinstance(made, Map)
    assert (len(made.place), made.total) == (20, 60)


@pytest.mark.parametrize("page", ["traversal", "anomalies", "latent", "results", "rationales"])
def test_pages_open_with_a_volume_under_the_eye(page, home):
    at = opened(page)
    at.session_state["selection"] = Selection(np.array([3, 4]), 4, "", 6)
    assert not at.run().exception
