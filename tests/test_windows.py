"""Windows, planes and letters: phantoms whose right, front and head are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from core.data.dataset import Dataset
from core.data.geometry import OPPOSITE, Geometry
from core.imaging import orientation, render, stacks, windowing
from core.imaging.windowing import DisplaySettings, Window

AXES = [a + b + c for a in "HF" for b in "AP" for c in "RL"] + ["RAH", "LPF", "ALH", "PRF"]


def dataset(samples, axes="", unit="", mm=(), **card):
    shape = samples.shape
    table = pd.DataFrame({"file": [f"{i}.nii" for i in range(len(samples))]})
    if axes:
        table["axes"] = axes
    for name, v in zip(("mm_slice", "mm_down", "mm_across")[-len(mm) :] if mm else (), mm):
        table[name] = v
    low, high = float(samples.min()), float(max(samples.max(), samples.min() + 1))
    kind = "volume" if len(shape) == 5 else "image"
    return Dataset(
        "x",
        kind,
        table,
        samples,
        roles={"file": "file"},
        input_range=(low, high),
        card={"unit": unit} | card,
    )


def phantom(axes):
    """A volume stored along `axes` (each letter: the side toward which that axis grows) in which
    the block at the patient's right, front and head is bright: sizes differ by pair, so that no two
    axes can be mistaken for each other.
    """
    n = {"R": 8, "L": 8, "A": 10, "P": 10, "H": 12, "F": 12}
    volume = np.zeros([n[a] for a in axes], np.int16)
    volume[tuple(slice(n[a] - 3, None) if a in "RAH" else slice(0, 3) for a in axes)] = 1000
    return volume


@pytest.mark.parametrize("axes", AXES)
def test_the_block_at_right_front_and_head_hangs_where_a_radiologist_expects_it(axes):
    volume = phantom(axes)
    at = {h.plane: h for h in orientation.display_planes(Geometry(axes), 3)}
    for plane, place, edges in (
        (
            "axial",
            (slice(0, 3), slice(0, 3)),
            {"left": "R", "right": "L", "top": "A", "bottom": "P"},
        ),
        (
            "coronal",
            (slice(0, 3), slice(0, 3)),
            {"left": "R", "right": "L", "top": "H", "bottom": "F"},
        ),
        (
            "sagittal",
            (slice(0, 3), slice(0, 3)),
            {"left": "A", "right": "P", "top": "H", "bottom": "F"},
        ),
    ):
        h = at[plane]
        through = {"axial": "H", "coronal": "A", "sagittal": "R"}[plane]
        inside = volume.shape[h.order[0]] - 2 if h.through[1] == through else 1
        shown = orientation.orient_slice(volume, h, inside)
        assert h.edges == edges
        assert (shown[place] == 1000).all()
        assert (shown == 1000).sum() == 9
        assert not orientation.orient_slice(volume, h, volume.shape[h.order[0]] - 1 - inside).any()


@pytest.mark.parametrize("axes", AXES)
def test_neurological_display_turns_right_and_left_only(axes):
    volume = phantom(axes)
    for here, there in zip(
        orientation.display_planes(Geometry(axes), 3),
        orientation.display_planes(Geometry(axes), 3, "neurological"),
    ):
        a, b = orientation.orient_slice(volume, here, 1), orientation.orient_slice(volume, there, 1)
        np.testing.assert_array_equal(b, a if here.plane == "sagittal" else a[:, ::-1])
        assert there.edges["left"] == (
            here.edges["left"] if here.plane == "sagittal" else OPPOSITE[here.edges["left"]]
        )
        assert there.edges["top"] == here.edges["top"]


@pytest.mark.parametrize(
    ("axes", "top", "left"),
    [
        ("PL", "A", "R"),
        ("AR", "A", "R"),
        ("LP", "A", "R"),
        ("FL", "H", "R"),
        ("HR", "H", "R"),
        ("FP", "H", "A"),
        ("AH", "H", "A"),
    ],
)
def test_a_single_picture_hangs_by_its_two_letters(axes, top, left):
    picture = np.zeros((6, 7), np.uint8)
    corner = tuple(-1 if a in (top, left) else 0 for a in axes)
    picture[corner] = 255
    (at,) = orientation.display_planes(Geometry(axes), 2)
    shown = orientation.orient(picture, at)
    assert (at.edges["top"], at.edges["left"]) == (top, left)
    assert shown[0, 0] == 255
    assert shown.sum() == 255


@pytest.mark.parametrize("axes", ["", "P", "RL", "PP", "HAX", "XY"])
def test_unknown_axes_turn_nothing_and_name_nothing(axes):
    picture = np.arange(12).reshape(3, 4)
    (at,) = orientation.display_planes(Geometry(axes), 2, "neurological")
    assert not at.known
    np.testing.assert_array_equal(orientation.orient(picture, at), picture)


def test_spacing_follows_its_axis_and_makes_pixels_square():
    at = {h.plane: h for h in orientation.display_planes(Geometry("HAR", (5.0, 1.0, 2.0)), 3)}
    assert at["axial"].mm == (5.0, 1.0, 2.0)
    assert at["coronal"].mm == (1.0, 5.0, 2.0)
    assert at["sagittal"].mm == (2.0, 5.0, 1.0)
    shown = orientation.orient_slice(np.zeros((10, 20, 30), np.uint8), at["coronal"], 0)
    assert orientation.make_pixels_square(
        np.repeat(shown[..., None], 3, 2), at["coronal"]
    ).shape == (25, 30, 3)


@pytest.mark.parametrize(
    ("mm", "pixels", "long", "words"),
    [
        (1, 512, 100, "10 cm"),
        (0.5, 300, 20, "2 cm"),
        (0.1, 200, 5, "5 mm"),
        (0.02, 100, 0.5, "0.5 mm"),
        (1, 100 / 3 * 5, 50, "5 cm"),
    ],
)
def test_the_scale_bar_is_a_round_length_that_fits(mm, pixels, long, words):
    assert orientation.scale_bar(mm, pixels) == (pytest.approx(long), words)


def test_a_window_draws_its_ends_black_and_white():
    np.testing.assert_allclose(
        windowing.apply_window(np.array([-2000, -1350, -600, 150, 3000]), windowing.HU["lung"]),
        [0, 0, 0.5, 1, 1],
        atol=1e-6,
    )


def test_presets_of_ct_need_hounsfield_units():
    ct = dataset(np.zeros((2, 1, 4, 4), np.int16), unit="HU")
    mr = dataset(np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4))
    assert windowing.offered_windows(ct) == ["lung", "bone", "brain", "soft", "auto", "range"]
    assert windowing.offered_windows(mr) == ["auto", "range"]
    assert (windowing.default_window(ct), windowing.default_window(mr)) == ("soft", "auto")
    assert windowing.default_window(dataset(np.zeros((2, 1, 4, 4), np.uint8))) == "range"
    assert windowing.choose_window(mr, "lung") == "auto"
    assert windowing.find_window(ct, "lung", ct.raw()) == Window(-600, 1500)
    own = dataset(np.zeros((2, 1, 4, 4), np.int16), unit="HU", window=[35.0, 80.0])
    assert windowing.find_window(own, "", own.raw()) == Window(35, 80)
    # a CT whose file names no unit: offered, not assumed
    nifti = dataset(np.linspace(-1024, 900, 32, dtype=np.float32).reshape(2, 1, 4, 4))
    assert windowing.offered_windows(nifti)[0] == "lung"
    assert windowing.default_window(nifti) == "auto"
    assert (
        windowing.default_window(dataset(np.full((2, 1, 4, 4), 5, np.int16), window=[35.0, 0.0]))
        == "auto"
    )


def test_percentiles_stand_outliers_and_one_value():
    values = np.concatenate([np.linspace(0, 100, 10_001), [1e6]])
    assert windowing.percentile_window(values).low == pytest.approx(1, abs=0.1)
    assert windowing.percentile_window(values).width == pytest.approx(98, abs=0.1)
    assert windowing.percentile_window(np.full(9, 7.0)).width > 0
    assert windowing.percentile_window(np.array([np.nan, np.inf])).width > 0


@pytest.mark.parametrize(
    "words",
    ["", None, "x", "1", "1,0", "1,-5", "nan,5", "1,inf", "1,2,3", "<script>", "patient 12"],
)
def test_what_is_no_window_in_a_url_means_the_usual_one(words):
    assert windowing.parse_window(words) == ""


def test_a_window_survives_being_written():
    assert windowing.parse_window("lung") == "lung"
    assert windowing.parse_window("-600,1500") == "-600,1500"
    assert windowing.find_window(
        dataset(np.zeros((1, 1, 4, 4), np.uint8)), "-600,1500", np.zeros(1)
    ) == Window(-600, 1500)


def test_a_window_changes_pictures_and_never_the_models_input():
    data = dataset(
        np.linspace(-1000, 1000, 2 * 64).reshape(2, 1, 8, 8).astype(np.int16),
        "PL",
        "HU",
        (1.0, 1.0),
    )
    before = data.inputs().copy()
    lung, bone = (
        render.draw_thumbnails(data, data.rows, 16, DisplaySettings(w)) for w in ("lung", "bone")
    )
    assert lung.mean() > bone.mean() + 20
    np.testing.assert_array_equal(data.inputs(), before)
    np.testing.assert_array_equal(
        render.draw_case(data, 0, 8, DisplaySettings("range")), render.input_to_rgb(before[0])
    )


def test_a_volume_hangs_in_the_gallery_as_in_the_viewer_with_its_heat_on_the_right_slice():
    volume = phantom("HAR")
    data = dataset(volume[None, None], "HAR", mm=(1.0, 1.0, 1.0))
    heat = np.zeros(volume.shape, np.float32)
    heat[-2, -2, -2] = 1  # at the patient's head, front and right
    (made,) = render.draw_heat_maps(data, heat[None], data.rows, (0.0, 0.5), 1.0, 0)
    plain = render.draw_oriented(data, 0, data.raw()[0], DisplaySettings(), 10)
    changed = np.argwhere((made != plain).any(2))
    assert changed.tolist() == [[1, 1]]


def test_what_must_travel_with_a_picture_is_written_into_its_pixels():
    data = dataset(np.zeros((1, 1, 60, 60), np.int16), "PL", "HU", (1.0, 1.0))
    shown = render.draw_for_report(data, 0, 240, DisplaySettings("lung"))
    plain = render.draw_case(data, 0, 240, DisplaySettings("lung"))
    changed = (shown != plain).any(2)
    for y, x in (
        (slice(100, 140), slice(0, 20)),
        (slice(100, 140), slice(-20, None)),
        (slice(0, 20), slice(100, 140)),
        (slice(-20, None), slice(100, 140)),
    ):
        assert changed[y, x].any()
    ends = np.flatnonzero((shown[-13:-11] == 255).all(2).any(0)[130:]) + 130
    # 1 cm at 4 picture pixels a millimetre
    assert ends.max() - ends.min() == pytest.approx(40, abs=2)
    unknown = dataset(np.zeros((1, 1, 60, 60), np.int16))
    assert (
        render.describe_orientation(unknown, 0, DisplaySettings())
        == "orientation unknown, scale unknown"
    )
    assert (
        render.describe_orientation(data, 0, DisplaySettings("", "neurological"))
        == "neurological display"
    )


def test_rows_that_are_slices_make_a_stack_of_their_own_patient():
    data = dataset(np.zeros((6, 1, 4, 4), np.uint8))
    table = data.table.assign(
        series=["series 1"] * 6, patient=["a", "b"] * 3, position_mm=[9.0, 1, 3, 2, 6, 0]
    )
    data = dataclasses.replace(data, table=table)
    rows, word = stacks.find_stack(data, 0)
    assert rows.tolist() == [2, 4, 0]
    assert word == "slice"
    assert stacks.find_stack(data.of(np.array([0, 2])), 0)[0].tolist() == [2, 0]
    assert stacks.find_stack(dataset(np.zeros((2, 1, 4, 4), np.uint8)), 1)[0].tolist() == [1]
    assert stacks.crop_stack(np.arange(10), 9, 4) == slice(6, 10)
    assert stacks.crop_stack(np.arange(10), 0, 4) == slice(0, 4)
    assert stacks.crop_stack(np.arange(3), 1, 9) == slice(0, 3)


def test_numbers_of_a_window_are_values_of_the_files():
    """16-bit pictures are stored in 256 levels: W and L are not in these."""
    data = Dataset("deep", "image", pd.DataFrame({"a": [0, 1]}), np.zeros((2, 1, 8, 8), np.uint8))
    data.card["grey range"] = [0.0, 65280.0]
    at = windowing.find_window(data, "12800,2560", np.zeros((1, 8, 8), np.uint8))
    assert (at.level, at.width, at.low) == (50, 10, 45)
    assert windowing.in_file_units(at, data).words == "W 2560 L 12800"
    data.card.clear()
    assert windowing.find_window(data, "128,64", np.zeros((1, 8, 8), np.uint8)).low == 96
