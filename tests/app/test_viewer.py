"""The Python half of the viewer: what is sent, how much, and what the user's choices change."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from app.components import viewer as component
from app.panels import viewer
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.geometry import Geometry
from core.data.samples.catalogue import make_sample
from core.explain.marked_places import Level
from core.imaging.windowing import Window
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.app.test_pages import opened


def unpacked(message):
    size = int.from_bytes(message[:4], "little")
    head = json.loads(message[4 : 4 + size])
    start = 4 + size + -(4 + size) % 8
    whole = zlib.decompress(message[start : start + head["packed"]])
    parts, at = [], 0
    for n in head["sizes"]:
        parts.append(whole[at : at + n])
        at += n
    return head, parts


def sent(pixels, **more):
    given = {
        "geometry": Geometry(),
        "presets": {"auto": Window(0, 1)},
        "usual": "auto",
        "title": "t",
        "id": "i",
        "height": 300,
    }
    return unpacked(component.message(pixels, **given | more))


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "u2", "i4"])
def test_values_arrive_as_they_are_stored(dtype):
    rng = np.random.default_rng(0)
    values = (
        rng.normal(0, 50, (5, 6, 7)) + 100 if dtype[0] == "f" else rng.integers(0, 250, (5, 6, 7))
    )
    values = values.astype(dtype)
    head, (raw,) = sent(values, geometry=Geometry("HAR"))
    got = (
        np.frombuffer(raw, head["kind"]).reshape(head["dims"]).astype(float) * head["slope"]
        + head["intercept"]
    )
    np.testing.assert_allclose(got, values, atol=float(np.ptp(values)) / 65535)
    assert (head["steps"] == "") == (dtype[0] != "f")
    assert [p["plane"] for p in head["planes"]["radiological"]] == ["axial", "coronal", "sagittal"]


def test_values_beyond_sixteen_bits_are_said_to_be_in_steps():
    assert "65,536 steps" in sent(np.array([[0, 70_000], [1, 2]], np.int32))[0]["steps"]


def test_heat_is_clear_at_the_low_end_of_its_scale_and_full_at_the_high_one():
    heat = np.array([[0.0, 0.2], [0.6, 5.0]], np.float32)
    _, (_, share, colours) = sent(
        np.zeros((2, 2), np.uint8),
        heat=heat,
        heat_range=(0.2, 1.0),
        colours=np.zeros((256, 3), np.uint8),
    )
    assert list(share) == [0, 0, 128, 255]
    assert len(colours) == 768


def dataset(samples, **table):
    return Dataset(
        "x",
        "volume" if samples.ndim == 5 else "image",
        pd.DataFrame({"file": [f"{i}" for i in range(len(samples))], **table}),
        samples,
        roles={"file": "file"},
        input_range=(0.0, 255.0),
    )


def test_a_volume_of_128_with_heat_stays_below_the_limit_of_a_message():
    rng = np.random.default_rng(0)
    data = dataset(
        rng.integers(-1000, 2000, (1, 1, 128, 128, 128)).astype(np.int16),
        axes="HAR",
        mm_slice=1.0,
        mm_down=1.0,
        mm_across=1.0,
    )
    heat = np.maximum(0, rng.normal(0, 1, (1, 128, 128, 128)).astype(np.float32))
    artifact = AnomalyMaps(rows=np.array([0]), score=np.zeros(1, np.float32), map=heat)
    made = viewer.built(data, 0, 400, artifact)
    assert len(made) <= component.MOST_BYTES
    head, _ = unpacked(made)
    assert head["dims"] == [128, 128, 128] or "every 2. point" in head["note"]


def test_of_a_long_stack_the_part_around_the_case_is_sent_and_the_whole_is_counted():
    samples = np.random.default_rng(0).integers(0, 4000, (60, 1, 256, 256)).astype(np.int16)
    data = dataset(samples, series="series 1", position_mm=np.arange(60.0))
    head, (raw,) = unpacked(viewer.built(data, 50, 400))
    assert head["total"] == 60
    assert head["before"] + head["first"] == 50
    assert head["dims"][0] < 60
    shown = np.frombuffer(raw, head["kind"]).reshape(head["dims"])[head["first"]]
    np.testing.assert_array_equal(shown, samples[50, 0])


def test_colour_stays_colour_and_two_channels_are_named():
    colour = np.random.default_rng(0).integers(0, 255, (2, 3, 5, 6), dtype=np.uint8)
    head, (raw,) = unpacked(viewer.built(dataset(colour), 1, 400))
    assert head["colour"]
    np.testing.assert_array_equal(
        np.frombuffer(raw, np.uint8).reshape(5, 6, 3), colour[1].transpose(1, 2, 0)
    )
    assert unpacked(viewer.built(dataset(colour[:, :2]), 1, 400))[0]["note"] == "channel 1 of 2"


def test_levels_of_deep_pictures_are_told_in_the_values_of_their_files():
    data = dataset(np.zeros((4, 1, 16, 16), np.uint8))
    assert viewer.stored_levels(data) == ""
    data.card["grey range"] = [-1000.0, 959.0]
    head, _ = unpacked(viewer.built(data, 1, 400))
    assert head["note"] == "stored in 256 levels from -1000 to 959"
    assert head["unit"] == ""
    # the browser shows a stored value v as slope v + intercept
    assert 255 * head["slope"] + head["intercept"] == pytest.approx(959)
    full = next(p for p in head["presets"] if p["id"] == "range")
    assert (full["level"], full["width"]) == pytest.approx((-20.5, 1959))


# -- the pages -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def home(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("viewer"))
    ws.add(make_sample("head-phantom"), sample=True)
    assert (
        queue.wait(
            ws, queue.train(ws, "head-phantom", "pca", {"dimensions": 4}).id, timeout=200
        ).status
        == "done"
    )
    return ws.home


@pytest.mark.parametrize("page", ["results", "anomalies", "data"])
def test_a_case_is_looked_at_in_the_viewer(page, home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    at = opened(page)
    assert not at.exception
    if page == "results":  # opens on the model's facts
        views = next(p for p in at.pills if p.label == "What it gave")
        views.set_value(next(i for i, o in enumerate(views.options) if o == "Unusual cases")).run()
    if page != "data":
        next(b for b in at.main.button if "ranked" in (b.key or "")).click().run()
    assert not at.exception
    if page == "anomalies":
        at.button(key="inspect-closer").click().run()
        assert not at.exception


def test_the_window_of_the_url_is_taken_and_what_is_none_is_not(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    at = opened("results", window="100,50", side="neurological")
    assert at.session_state["windows"] == {"head-phantom": "100,50"}
    assert next(n for n in at.number_input if n.key.startswith("w-window-level")).value == 100
    assert at.radio(key="w-side").value == "neurological"
    next(r for r in at.radio if r.key.startswith("w-window-word")).set_value("auto").run()
    assert at.query_params["window"] in ("auto", ["auto"])
    at = opened("results", window="<b>", side="x")
    assert at.session_state["windows"] == {"head-phantom": ""}
    assert not at.exception
    assert "side" not in at.query_params


def test_numbers_of_one_data_do_not_blacken_another(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    Workspace(home).add(make_sample("digits"), sample=True)
    at = opened("results", dataset="head-phantom", window="100,50")
    at.selectbox(key="w-open-dataset").set_value("digits").run()
    assert "window" not in at.query_params
    assert not at.exception
    at.selectbox(key="w-open-dataset").set_value("head-phantom").run()
    assert at.query_params["window"] in ("100,50", ["100,50"])  # as it was left


def test_what_a_viewer_sends_late_is_kept_for_its_own_data():
    from streamlit.testing.v1 import AppTest

    def page():
        import streamlit as st

        from app import state

        st.session_state.setdefault("dataset", "digits")
        state.set_window("127.5,255", "head-phantom")
        st.write(state.look().window or "usual")

    at = AppTest.from_function(page).run()
    assert at.markdown[0].value == "usual"


def test_a_volume_opens_at_the_slice_asked_for_else_where_it_is_hot_else_in_its_middle():
    data = make_sample("stacks")
    assert unpacked(viewer.built(data, 5, 400))[0]["start"] is None
    heat = np.zeros((len(data), *data.shape[1:]), np.float32)
    heat[:, 4] = 0.2  # a whole warm slice
    heat[:, 8, 3:6, 3:6] = 1.0  # a small hot spot
    scores = AnomalyMaps(rows=data.rows, score=np.zeros(len(data), "f4"), map=heat)
    assert unpacked(viewer.built(data, 5, 400, scores))[0]["start"] == [0, 8]
    assert unpacked(viewer.built(data, 5, 400, scores, place=2))[0]["start"] == [0, 2]
    # stored slices are sagittal: the axial one is opened
    across = replace(data, table=data.table.assign(axes="LHP"))
    assert unpacked(viewer.built(across, 5, 400, scores))[0]["start"][0] == 1


def test_the_line_at_the_threshold_is_sent_with_its_words_where_there_is_one():
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 255, (12, 1, 16, 16)).astype(np.uint8)
    data = dataset(samples, series="series 1", position_mm=np.arange(12.0))
    heat = rng.random((12, 16, 16)).astype("f4")
    scores = AnomalyMaps(rows=data.rows, score=heat.max((1, 2)), map=heat, unit="edge difference")
    level = Level(0.9, "cases")
    head, parts = unpacked(viewer.built(data, 5, 400, scores, level=level))
    assert head["marked"] == {"words": "above 0.90 edge difference, the threshold in use"}
    assert parts[-1] == (heat > 0.9).astype(np.uint8).tobytes(), "of each slice of the stack"
    assert unpacked(viewer.built(data, 5, 400, scores))[0]["marked"] is None
    assert unpacked(viewer.built(data, 5, 400, level=level))[0]["marked"] is None, "no heat"


def test_of_a_large_volume_line_and_heat_are_thinned_alike(monkeypatch):
    monkeypatch.setattr(component, "MOST_BYTES", 40_000)
    rng = np.random.default_rng(0)
    data = dataset(rng.integers(0, 2000, (1, 1, 32, 32, 32)).astype(np.int16))
    heat = rng.random((1, 32, 32, 32)).astype("f4")
    scores = AnomalyMaps(rows=np.array([0]), score=np.zeros(1, "f4"), map=heat)
    head, parts = unpacked(viewer.built(data, 0, 400, scores, level=Level(0.5, "half the scale")))
    step = 32 // head["dims"][0]
    assert step > 1
    assert parts[-1] == (heat[0, ::step, ::step, ::step] > 0.5).astype(np.uint8).tobytes()
    assert head["marked"]["words"].endswith("half of the heat scale")
