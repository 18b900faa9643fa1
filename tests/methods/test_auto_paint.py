"""AutoPaint: holes are never read, the loop marks and fills, lesions join."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn import functional as F

from core.artifacts import Lesions
from core.data.dataset import Dataset
from core.errors import UserError
from core.export import _lesion_table
from core.methods.anomaly import _auto_paint_loop as loop
from core.methods.anomaly import _auto_paint_marks as marks
from core.methods.anomaly._residuals import case_score
from core.methods.anomaly._slices import resized
from core.nets.holes import irregular_holes, tilings
from core.nets.losses.inpainting import inpainting
from core.nets.partial_conv import PartialConv, PartialUNet
from core.training.slices_to_volumes import Fold
from core.workspace import notes
from core.workspace.workspace import Workspace
from tests.methods._fit import fit


def discs(n=40, side=32, seed=0):
    """Slices of a bright disc with waves in it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    body = np.hypot(y - side / 2, x - side / 2) < 0.42 * side
    waves = np.stack([np.sin((x + 0.5 * y) / 4 + rng.uniform(0, 6)) for _ in range(n)])
    return ((0.5 + 0.1 * waves + rng.normal(0, 0.01, waves.shape)) * body)[:, None].astype("f4")


def dataset(marked=()):
    split = np.array(["train"] * 24 + ["val"] * 8 + ["test"] * 8)
    table = pd.DataFrame({"split": split, "volume": "a", "slice": np.arange(40)})
    sizes = {"mm_slice": 2.0, "mm_down": 1.0, "mm_across": 1.0}
    masks = np.zeros((40, 32, 32), np.uint8)
    for row in marked:
        masks[row, 10:16, 10:16] = 1
    roles = {"split": "split"}
    return Dataset("discs", "image", table.assign(**sizes), discs(), masks, roles)


@cache
def trained():
    return dataset(), *fit("auto_paint", dataset(), epochs=1, side=32, width=2, rounds=2)


# -- partial convolutions --------------------------------------------------------------------------
def test_with_all_known_a_partial_convolution_is_a_convolution_except_at_the_border():
    torch.manual_seed(0)
    layer, x = PartialConv((2, 1), 4), torch.randn(1, 3, 9, 9)
    out, seen = layer(x, torch.ones(1, 2, 9, 9))
    plain = F.conv2d(x, layer.conv.weight, layer.conv.bias, padding=1)
    assert torch.allclose(out[..., 1:-1, 1:-1], plain[..., 1:-1, 1:-1], atol=1e-6)
    assert seen.all()


def test_a_partial_convolution_divides_by_what_is_known_and_gives_nothing_where_nothing_is():
    layer = PartialConv((1,), 1)
    with torch.no_grad():
        layer.conv.weight.fill_(1 / 9)
        layer.conv.bias.fill_(0.25)
    mask = torch.zeros(1, 1, 7, 7)
    mask[..., 3, 3] = 1
    out, seen = layer(torch.full((1, 1, 7, 7), 3.0), mask)
    near = torch.zeros(7, 7, dtype=torch.bool)
    near[2:5, 2:5] = True
    assert torch.allclose(out[0, 0][near], torch.tensor(3.25))
    assert (out[0, 0][~near] == 0).all()
    assert torch.equal(seen[0, 0] > 0, near)


def test_what_lies_under_a_hole_never_changes_what_is_filled_in():
    torch.manual_seed(0)
    net = PartialUNet(2, 4).eval()
    x, hole = torch.rand(3, 2, 32, 32), irregular_holes(torch.ones(3, 1, 32, 32))
    other = torch.where(hole > 0, 50 * torch.randn_like(x), x)
    with torch.no_grad():
        assert torch.equal(net.filled(x, hole), net.filled(other, hole))
        assert torch.equal(net(x, 1 - hole), net(other, 1 - hole))
        assert torch.equal(
            net.filled(x, hole)[(hole == 0).expand_as(x)], x[(hole == 0).expand_as(x)]
        )


def test_the_encoders_normalisation_can_be_kept_as_it_is():
    net = PartialUNet(1, 2).train()
    x, known = torch.rand(4, 1, 32, 32), torch.ones(4, 1, 32, 32)
    norms = lambda: [d.norm.running_mean.clone() for d in net.down]  # noqa: E731
    net.freeze_norms(True)
    before = norms()
    net(x, known)
    assert all(torch.equal(a, b) for a, b in zip(before, norms()))
    net.freeze_norms(False)
    net(x, known)
    assert not any(torch.equal(a, b) for a, b in zip(before, norms()))


# -- holes and the loss ----------------------------------------------------------------------------
def test_holes_lie_in_the_body_and_take_five_to_forty_per_cent_of_it():
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    body = (torch.hypot(y - 20.0, x - 25.0) < 18).float().expand(100, 1, -1, -1)
    hole = irregular_holes(body)
    share = hole.sum((1, 2, 3)) / body.sum((1, 2, 3))
    assert set(hole.unique().tolist()) == {0.0, 1.0}
    assert not (hole * (1 - body)).any()
    assert share.min() >= 0.05
    assert share.max() <= 0.4
    assert share.std() > 0.05
    assert not irregular_holes(torch.zeros(2, 1, 48, 48)).any()


@pytest.mark.parametrize("patterns", [2, 4])
def test_patterns_cover_every_pixel_once(patterns):
    found = tilings(50, (5, 12), patterns)
    assert found.shape == (2, patterns, 50, 50)
    assert (found.sum(1) == 1).all()


def test_the_loss_is_none_for_the_truth_weighs_holes_and_skips_what_does_not_count():
    flat = torch.full((1, 1, 24, 24), 0.5)
    hole, ones = torch.zeros(1, 1, 24, 24), torch.ones(1, 1, 24, 24)
    hole[..., 4:12, 4:12] = 1
    assert inpainting(flat, flat, hole, ones, 1.0)["loss"] < 1e-5
    wrong = torch.where(hole > 0, flat + 0.1, flat)
    found = inpainting(flat, wrong, hole, ones, 0.0)
    assert found["in holes"] == pytest.approx(0.1)
    assert found["outside"] == 0
    assert 0.6 < found["loss"] < 0.62  # six times the error in holes, and a little smoothness
    assert inpainting(flat, wrong, hole, 1 - hole, 1.0)["loss"] < 1e-5


# -- the loop --------------------------------------------------------------------------------------
def median_fill(x, hole):
    """Fill with the median of what is known of the slice."""
    out = x.copy()
    for i in range(len(x)):
        out[i][:, hole[i]] = np.median(x[i][:, ~hole[i]], axis=1)[:, None]
    return out


def test_every_pixel_is_proposed_from_others_alone():
    rng = np.random.default_rng(0)
    x = rng.random((2, 1, 32, 32), np.float32)
    patterns = tilings(32, (4,))
    found = loop.propose(x, median_fill, patterns)
    for hole in patterns[0]:
        changed = np.where(hole, x + 7, x)
        np.testing.assert_array_equal(
            loop.propose(changed, median_fill, patterns)[..., hole], found[..., hole]
        )


def test_what_stands_out_is_filled_in_as_one_hole_until_nothing_changes():
    x = np.full((2, 1, 32, 32), 0.5, np.float32)
    x[0, 0, 10:18, 12:20] = 0.9
    body = np.ones((2, 32, 32), bool)
    heat = lambda r, inside, hole: np.abs(r[:, 0]) * inside  # noqa: E731
    made = loop.auto_paint(x, body, median_fill, heat, tilings(32, (3, 6)), 0.1, 2, 5)
    assert len(made.holes) <= 2
    assert made.holes[-1][0, 10:18, 12:20].all()
    assert made.holes[-1][0].sum() < 12 * 12 + 1
    assert not made.holes[-1][1].any()
    np.testing.assert_allclose(made.twin, 0.5)
    none = loop.auto_paint(x, body, median_fill, heat, tilings(32, (3, 6)), 0.1, 2, 0)
    np.testing.assert_array_equal(none.twin, none.proposed)


def test_candidates_take_at_most_what_was_learned_of_the_body():
    heat = np.random.default_rng(0).random((1, 32, 32)).astype("f4") + 1
    body = np.ones((1, 32, 32), bool)
    found = loop.candidates(heat, body, 0.5, 2)
    assert 0 < found.mean() <= loop.MOST


@pytest.mark.parametrize("sign", ["both", "brighter", "darker"])
def test_heat_counts_deviations_of_the_wanted_sign_and_joins_channels(sign):
    rng = np.random.default_rng(0)
    own, shared = rng.normal(size=(60, 2, 8, 8)), rng.normal(size=(60, 1, 8, 8))
    body = np.ones((60, 8, 8), bool)
    healthy = (0.1 * (own + 2 * shared)).astype("f4")
    standard = loop.standard_of(healthy, body, sign, 0.0)
    assert np.median(standard.heat(healthy, body)) == pytest.approx(
        1.0 if sign == "both" else 0.4, abs=0.4
    )
    up, down, apart = np.zeros((3, 1, 2, 8, 8), np.float32)
    up[:], down[:], apart[:, 0], apart[:, 1] = 0.5, -0.5, 0.5, -0.5
    one = np.ones((1, 8, 8), bool)
    bright, dark, odd = (float(standard.heat(r, one).mean()) for r in (up, down, apart))
    if sign == "both":
        assert bright == pytest.approx(dark, rel=0.3)
        assert odd > 1.5 * bright  # channels that usually go together
    else:
        assert (bright > 3 * dark) == (sign == "brighter")
    assert not standard.heat(up, ~one).any()


@pytest.mark.parametrize("sign", ["both", "brighter"])
def test_two_channels_find_more_than_one_where_either_shows_it(sign):
    rng = np.random.default_rng(0)
    body, lesion = np.ones((60, 16, 16), bool), np.zeros((60, 16, 16), bool)
    lesion[30:, 4:9, 5:11] = True
    residual = rng.normal(size=(60, 2, 16, 16)).astype("f4")
    residual[30:45, 0, 4:9, 5:11] += 3
    residual[45:, 1, 4:9, 5:11] += 3
    found = []
    for at in (slice(None), slice(0, 1), slice(1, 2)):
        one = residual[:, at]
        heat = loop.standard_of(one[:30], body[:30], sign, 0.0).heat(one, body)
        found.append(average_precision_score(lesion.ravel(), heat.ravel()))
    assert found[0] > max(found[1:]) + 0.1


def test_what_is_deep_in_a_hole_counts_less():
    rng = np.random.default_rng(0)
    hole = np.zeros((30, 16, 16), bool)
    hole[:, 4:12, 4:12] = True
    body = np.ones(hole.shape, bool)
    depth = loop.depth_in(hole, 8)
    assert depth[0, 4, 4] == 1
    assert depth.max() == 4
    assert not depth[~hole].any()
    healthy = rng.normal(size=(30, 1, 16, 16)).astype("f4")
    standard = loop.standard_of(healthy, body, "both", 0.0)
    holed = healthy * (1 + depth[:, None])
    factors = loop.depth_factors(holed, hole, body, standard, 8)
    np.testing.assert_allclose(factors[:5], [1, 2, 3, 4, 5], rtol=0.25)
    assert (np.diff(factors) >= 0).all()


# -- lesions ---------------------------------------------------------------------------------------
def test_lesions_join_over_slices_and_have_volumes():
    data = dataset()
    runs = marks.runs_of_slices(data)
    assert [r.tolist() for r in runs] == [list(range(40))]
    found = np.zeros((40, 32, 32), bool)
    found[3, 5:9, 5:9] = found[4, 9:12, 9:12] = True  # touch at a corner
    found[10, 5:9, 5:9] = True  # in one slice only
    found[20:22, 2, 2] = True  # too small
    numbers = marks.lesions_of(found, runs, marks.pixel_ml(data), 0.01)
    assert set(np.unique(numbers)) == {0, 1}
    heat = np.where(found, 3.0, 0.0).astype("f4")
    heat[4, 10, 11] = 7
    table = marks.lesion_table(numbers, runs, heat, -heat / 10, data)
    assert [len(lines) for lines in table] == [0, 0, 0, 0, 1, *[0] * 35]
    line = table[4][0]
    assert line["ml"] == pytest.approx(25 * 2 / 1000)
    assert (line["place"], line["slices"], line["pixels"]) == ([10, 11], 2, 25)
    assert line["largest"] == 7
    assert line["residual"] == pytest.approx(-0.7)


@pytest.mark.parametrize(("size", "within"), [(32, 0.02), (48, 0.08)])
def test_a_lesion_s_volume_is_that_of_its_shape(size, within):
    _, method, _ = trained()
    scale = 32 / size  # mm a pixel, as wide in mm at either size
    table = pd.DataFrame({"volume": "a", "slice": np.arange(40), "mm_slice": 2.0})
    table = table.assign(mm_down=scale, mm_across=scale)
    data = Dataset("egg", "image", table, np.zeros((40, 1, size, size), np.float32))
    z, y, x = np.mgrid[:40, :32, :32].astype("f4")
    half = (14.0, 9.0, 7.0)  # mm
    away = np.sqrt(
        ((z - 20) * 2 / half[0]) ** 2 + ((y - 15) / half[1]) ** 2 + ((x - 16) / half[2]) ** 2
    )
    heat = resized(2 * method.pixel_threshold_ * np.clip(1.5 - away, 0, 1), (size, size))
    found = method.lesions(heat, np.zeros_like(heat), data)
    (line,) = [line for lines in found.table for line in lines]
    assert line["ml"] == pytest.approx(4 / 3 * np.pi * np.prod(half) / 1000, rel=within)
    assert line["slices"] == 13


def test_slices_apart_are_not_joined_and_pictures_alone_are_kept():
    data = dataset().take(np.array([0, 1, 2, 5, 6, 7]))
    assert [r.tolist() for r in marks.runs_of_slices(data)] == [[0, 1, 2], [3, 4, 5]]
    alone = Dataset("a", "image", pd.DataFrame({"n": range(3)}), discs(3))
    found = np.zeros((3, 32, 32), bool)
    found[1, 4:8, 4:8] = True
    runs = marks.runs_of_slices(alone)
    numbers = marks.lesions_of(found, runs, marks.pixel_ml(alone), 0.05)
    assert numbers.max() == 1
    assert (
        marks.lesion_table(numbers, runs, found.astype("f4"), found * 1.0, alone)[1][0]["ml"]
        is None
    )


def test_the_threshold_leaves_the_share_of_healthy_slices_empty():
    heat = np.random.default_rng(0).gamma(2, 1, (50, 32, 32)).astype("f4")
    level = marks.empty_threshold(heat, 3, 0.9)
    assert not marks.opened(heat > level, 3).any((1, 2))[:].mean() > 0.1
    assert marks.opened(heat > 0.8 * level, 3).any((1, 2)).mean() > 0.1


def test_lesions_of_slices_become_those_of_volumes():
    class Two:
        rows = np.arange(2)

        def __len__(self):
            return 2

    mask = np.zeros((8, 6, 6), np.int32)
    mask[5:7, 2, 3] = 1
    table = [[] for _ in range(8)]
    table[6].append({"number": 1, "place": [2, 3]})
    one = Lesions(rows=np.arange(8), mask=mask, table=table)
    (whole,) = Fold(Two(), np.ones((2, 4), bool))([one])
    assert whole.mask.shape == (2, 4, 6, 6)
    assert whole.mask[1, 1:3, 2, 3].all()
    assert whole.table == [[], [{"number": 1, "place": [2, 2, 3]}]]


def test_the_table_of_lesions_leaves_with_the_names_of_cases():
    data = Dataset("a", "image", pd.DataFrame({"n": range(3)}), discs(3))
    region = {"name": "bladder", "rows": [0], "box": [[5, 5], [6, 9]]}
    for regions, decision in (({}, ""), ({"a": region}, "left out")):
        table = _lesion_table(Lesions.example(3), data, {}, regions)
        found = table[["row", "name", "number", "ml", "decision"]].to_numpy().tolist()
        assert found == [[0, "row 0", 1, 0.1, decision]]


# -- the method ------------------------------------------------------------------------------------
def test_it_gives_heat_twins_and_lesions_alike_twice():
    data, method, given = trained()
    assert given["anomalymaps"].map.shape == (40, 32, 32)
    assert given["lesions"].mask.shape == (40, 32, 32)
    assert given["images-healthy-twin"].image.shape == data.samples.shape
    again = method.score(torch.from_numpy(data.inputs()))
    np.testing.assert_allclose(again.numpy(), given["anomalymaps"].score, rtol=1e-4)


def test_residuals_come_in_the_units_of_the_input_too():
    data, _, given = trained()
    twin = given["images-healthy-twin"].image
    inside = (data.samples[:, 0] > 0.3) & (twin[:, 0] > 0) & (twin[:, 0] < 1)
    expected = np.abs(data.samples - twin)[:, 0][inside]
    found = given["anomalymaps-residual"].map[inside]
    assert inside.any()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert given["anomalymaps-residual"].unit == "stored values"


def test_what_is_marked_is_never_learned():
    data = dataset(marked=range(0, 24, 2))
    method, _ = fit("auto_paint", data, epochs=1, side=32, width=2, rounds=0)
    assert len(method._parts(data)[0]) == 12
    method.params = method.params.model_copy(update={"learn_from": "healthy parts"})
    train = method._parts(data)[0]
    assert len(train) == 24
    from core.training.run import Run

    learned = method._learned(train, Run())
    assert not learned[0, 2, 8:18, 8:18].any()
    assert learned[0, 2].sum() == 32 * 32 - 100
    assert learned[1, 2].all()


def test_only_a_channel_that_there_is_can_count():
    kind = type(trained()[1])
    data = dataset()
    assert kind(kind.Params(channel=0)).declines(data) is None
    assert "no channel 3; these pictures have 1" in kind(kind.Params(channel=3)).declines(data)


def two_channels():
    """The discs, and in a second channel the same upside down."""
    data = dataset()
    both = np.concatenate([data.samples, data.samples[:, :, ::-1]], 1)
    return replace(data, samples=np.ascontiguousarray(both))


def test_one_channel_alone_never_reads_the_other_and_leaves_it_as_it_is():
    data = two_channels()
    small = {"epochs": 1, "side": 32, "width": 2, "rounds": 1}
    method, given = fit("auto_paint", data, inputs="one channel", channel=1, **small)
    x = torch.from_numpy(data.inputs()[:6])
    other = torch.cat([torch.rand_like(x[:, :1]), x[:, 1:]], 1)
    torch.testing.assert_close(method.score(x), method.score(other))
    torch.testing.assert_close(method.embed(x), method.embed(other))
    assert method.score(torch.flip(x, (1,))).sub(method.score(x)).abs().max() > 1e-3
    twin = given["images-healthy-twin"].image
    np.testing.assert_array_equal(twin[:, 0], data.inputs()[:, 0])
    assert np.abs(twin[:, 1] - data.inputs()[:, 1]).max() > 0.01


def test_channels_together_read_each_other():
    method, _ = fit("auto_paint", two_channels(), channel=1, epochs=1, side=32, width=2, rounds=1)
    x = torch.from_numpy(two_channels().inputs()[:6])
    other = torch.cat([torch.rand_like(x[:, :1]), x[:, 1:]], 1)
    assert method.score(other).sub(method.score(x)).abs().max() > 1e-3


def test_the_channel_to_learn_from_alone_has_to_be_chosen():
    kind = type(trained()[1])
    assert "Choose the channel" in kind(kind.Params(inputs="one channel")).declines(dataset())
    assert kind(kind.Params(inputs="one channel", channel=0)).declines(dataset()) is None


# -- step by step ----------------------------------------------------------------------------------
def a_lesion():
    """One test slice with a square in it that no healthy slice has."""
    x = dataset().inputs()[35:36].copy()
    x[0, 0, 12:18, 13:19] = 1.0
    return torch.from_numpy(x)


def test_steps_end_at_what_the_run_marks():
    _, method, _ = trained()
    stages = method.stages(a_lesion())
    titles = [s.title for s in stages]
    assert titles[:2] == ["Proposed", "It departs here"]
    assert titles[-1] == "Marked"
    last = [s for s in stages if s.drawn == "heat"][-1].image
    assert case_score(last[None])[0] == pytest.approx(float(method.score(a_lesion())[0]))
    first = next(s for s in stages if s.title.startswith("Round 1: filled"))
    assert first.image[13:17, 14:18].all()
    small, body = method.prepare(a_lesion().numpy())
    painted = method._painted(small, body, "cpu")
    twin = [s for s in stages if s.drawn == "generated"][-1].image
    np.testing.assert_allclose(twin, np.clip(painted.twin[0], 0, 1), atol=1e-6)
    assert sum(s.title.endswith("with this") for s in stages) == len(painted.holes)


def test_settings_of_the_steps_change_them_and_healthy_slices_have_no_round():
    _, method, _ = trained()
    names = [c.name for c in method.controls()]
    assert names == ["rounds", "cut"]
    of = lambda **how: [s.title for s in method.stages(a_lesion(), **how)]  # noqa: E731
    assert of(rounds=0) == ["Proposed", "It departs here", "Marked"]
    assert len(of(rounds=1)) == 6
    at = lambda cut: method.stages(a_lesion(), rounds=1, cut=cut)[2].image.sum()  # noqa: E731
    assert at(0.5) > at(1.0) > 0
    flat = torch.zeros(1, 1, 32, 32)
    calm = [s for s in method.stages(flat, cut=1e6) if s.title.startswith("Round")]
    assert calm == []


def test_what_a_person_decides_of_a_lesion_is_kept_and_can_be_taken_back(tmp_path):
    ws = Workspace(tmp_path)
    run = "0123456789"
    ws.folder(run).mkdir(parents=True)
    notes.decide_lesion(ws, run, 4, 1, True)
    notes.decide_lesion(ws, run, 4, 2, False)
    decided = notes.load_lesion_decisions(ws, run)
    assert {k: v["accepted"] for k, v in decided.items()} == {"4-1": True, "4-2": False}
    notes.decide_lesion(ws, run, 4, 1, None)
    assert list(notes.load_lesion_decisions(ws, run)) == ["4-2"]


def test_it_says_when_there_is_too_little_to_learn_from():
    with pytest.raises(UserError, match="healthy slices; the training part has 4"):
        fit("auto_paint", dataset(marked=range(20)), epochs=1, side=32, width=2)
