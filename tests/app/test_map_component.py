"""The Python half of the latent map: what is sent, and which cases a lasso holds."""

import io
import json
import zlib

import numpy as np
from PIL import Image

from app.components import latent_map as component


def unpacked(message):
    size = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + size]), message


def test_a_lasso_holds_what_lies_inside_it():
    xy = np.random.default_rng(0).uniform(-1, 1, (5000, 2)).astype("f4")
    triangle = [[-0.5, -0.5], [0.5, -0.5], [0.0, 0.6]]
    x, y = xy.T
    by_hand = (y > -0.5) & (y < -0.5 + 2.2 * (x + 0.5)) & (y < -0.5 + 2.2 * (0.5 - x))
    assert np.array_equal(component.inside(xy, triangle), by_hand)


def test_the_hole_of_a_ring_is_outside():
    ring = [
        [-1, -1],
        [1, -1],
        [1, 1],
        [-1, 1],
        [-1, -1],
        [-0.5, -0.5],
        [-0.5, 0.5],
        [0.5, 0.5],
        [0.5, -0.5],
        [-0.5, -0.5],
    ]
    assert component.inside(np.array([[0.75, 0.0], [0.0, 0.0]]), ring).tolist() == [True, False]


def test_the_map_fits_and_keeps_its_shape():
    xy = np.array([[10, 0], [30, 0], [20, 5]], float)
    unit = component.unit(xy)
    assert np.abs(unit).max() <= 0.95 + 1e-6
    before, after = (
        np.linalg.norm(xy[0] - xy[1]) / np.linalg.norm(xy[0] - xy[2]),
        np.linalg.norm(unit[0] - unit[1]) / np.linalg.norm(unit[0] - unit[2]),
    )
    assert np.isclose(before, after)
    assert np.isfinite(component.unit(np.zeros((4, 2)))).all()


def test_the_sprite_sheet_holds_each_thumbnail_in_its_place():
    thumbs = np.random.default_rng(1).integers(0, 255, (7, 8, 8, 3), dtype=np.uint8)
    png, columns = component.sprite_sheet(thumbs)
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    for i in range(7):
        y, x = divmod(i, columns)
        assert np.array_equal(sheet[y * 8 : y * 8 + 8, x * 8 : x * 8 + 8], thumbs[i])


def test_the_message_counts_classes_and_aligns_its_arrays():
    xy = np.random.default_rng(2).uniform(-1, 1, (10, 2)).astype("f4")
    code = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2], float)
    made = component.message(
        xy,
        code,
        kind="category",
        names=["a", "b", "c"],
        palette=["#000"] * 3,
        key="k",
        height=300,
        title="t",
        words=None,
        sprite=None,
    )
    head, raw = unpacked(made)
    assert head["counts"] == [3, 2, 5]
    start = 4 + int.from_bytes(raw[:4], "little")
    start += -start % 8
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4", 10, start), xy[:, 0])


def test_missing_amounts_do_not_break_the_scale():
    xy = np.zeros((4, 2), "f4")
    head, _ = unpacked(
        component.message(
            xy,
            np.array([1.0, np.nan, 3.0, 2.0]),
            kind="amount",
            names=[],
            palette=[],
            key="k",
            height=1,
            title="t",
            words=None,
            sprite=None,
        )
    )
    assert (head["low"], head["high"]) == ("1", "2.99")


def test_what_is_selected_is_a_bit_a_point_and_the_points_stay_as_they_are():
    chosen = np.random.default_rng(3).random(100_000) < 0.3
    head, raw = unpacked(component.selection_message(chosen, "k", "s"))
    assert (head["key"], head["n"], head["stamp"]) == ("k", 100_000, "s")
    start = 4 + int.from_bytes(raw[:4], "little")
    bits = np.frombuffer(zlib.decompress(raw[start + -start % 8 :]), np.uint8)
    np.testing.assert_array_equal(np.unpackbits(bits)[:100_000].astype(bool), chosen)
    assert len(raw) < 20_000


def test_each_amount_is_in_the_bar_that_names_its_range():
    amounts = np.array([0.0, 0.1, 5.0, np.nan, 9.9, *np.linspace(0, 10, 400)])
    at = component.bar_of(amounts)
    assert at[3] == -1
    assert (at[0], at[4]) == (0, component.BARS - 1)
    low, high = component.limits(amounts)
    edges = np.linspace(low, high, component.BARS + 1)
    assert edges[at[2]] <= 5.0 <= edges[at[2] + 1]
    head, _ = unpacked(
        component.message(
            np.zeros((len(amounts), 2), "f4"), amounts, kind="amount", names=[], palette=[],
            key="k", height=1, title="t", words=None, sprite=None,
        )
    )  # fmt: skip
    assert sum(b["n"] for b in head["bars"]) == len(amounts) - 1
    assert head["bars"][-1]["words"].endswith("or more")


def test_an_amount_far_above_the_scale_is_in_the_last_bar():
    amounts = np.array([*np.zeros(999), 1e9])  # the scale ends at 0: the 99.5th percentile
    at = component.bar_of(amounts)
    assert (at[:-1] == 0).all()
    assert at[-1] == component.BARS - 1
