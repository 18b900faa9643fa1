"""SeaS: what it learns from, how prompts weigh tokens, what pictures are compared with, and how
approved ones leave.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from core.artifacts import Pairs
from core.data.samples.few_lesions import few_lesions
from core.errors import UserError
from core.export_pairs import zip_approved
from core.method import check_params
from core.methods.augmentation import _drawing as drawing
from core.methods.augmentation._examples import drawn_pairs, find_examples
from core.methods.augmentation._pairs import compare
from core.nets import diffusion
from core.nets.losses import separation
from core.registry import methods, open_model
from core.training.compatibility import why_not
from core.training.fit import fit_and_apply
from core.training.run import Run
from core.workspace import notes
from tests.methods._fit import curves_of, fit

TINY = {"epochs": 2, "side": 16, "batch_size": 4, "width": 4, "draws": 12, "steps": 3, "pairs": 2}


@cache
def dataset():
    return few_lesions(patients=40, few=3)


@cache
def trained(**params):
    data = dataset()
    return data, *fit("seas", data, **TINY, **params)


def test_the_marked_training_pictures_are_the_examples_and_the_class_is_their_kind():
    train = dataset().part("train")
    found = find_examples(train, "")
    assert found.kinds == ["bright lesion", "dark lesion"]
    assert np.bincount(found.kind).tolist() == [3, 3]
    assert found.abnormal.mask().any((1, 2)).all()
    assert not found.normal.mask().any()
    assert len(found.normal) == len(train) - 6
    names = [found.kinds[k] for k in found.kind]
    assert names == [train.classes[c] for c in found.abnormal.labels]
    assert find_examples(train, "none").kinds == ["abnormal"]
    assert find_examples(train, "scanner").kinds == ["A", "B"]


def test_what_cannot_be_learned_from_is_refused_in_words():
    data = dataset()
    with pytest.raises(UserError, match="no column “colour”"):
        find_examples(data.part("train"), "colour")
    bare = replace(data, masks=np.zeros_like(data.masks))
    assert "none is marked" in why_not(methods()["seas"], bare)
    full = replace(data, masks=np.ones_like(data.masks))
    assert "at least 8 are needed" in why_not(methods()["seas"], full)
    assert why_not(methods()["seas"], data) is None


def test_each_example_comes_as_often_as_the_others_beside_a_normal_picture():
    found = find_examples(dataset().part("train"), "")
    rows, pairs = drawn_pairs(found, 16, 30)
    assert pairs.shape == (30, 3, 16, 16)
    assert np.bincount(np.searchsorted(found.abnormal.rows, rows.rows)).tolist() == [5] * 6
    assert set(np.unique(pairs[:, 1])) == {0, 1}
    # a place is marked where any pixel of it is
    mask = rows.mask(np.array([0]))[0].reshape(16, 4, 16, 4).any((1, 3))
    assert np.array_equal(pairs[0, 1] > 0, mask)
    assert len(np.unique(pairs[:, 2].reshape(30, -1), axis=0)) == 30


def test_a_prompt_holds_the_normal_token_and_so_much_of_each_kind():
    mix = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.0, 0.0]])
    weights = drawing.prompt_of(mix)
    assert torch.equal(weights[0], diffusion.defect_prompt(2, 0))
    assert torch.equal(weights[2], diffusion.normal_prompt(2))
    assert weights[1].tolist() == [1.0] * 4 + [0.25] * 4 + [0.75] * 4
    maps = torch.rand(3, 12, 4, 4)
    asked, normal = drawing.kind_maps({4: maps}, mix)[4]
    assert torch.allclose(asked[0], maps[0, 4:8].mean(0))
    assert torch.allclose(asked[1], 0.25 * maps[1, 4:8].mean(0) + 0.75 * maps[1, 8:].mean(0))
    assert not asked[2].any()
    assert torch.equal(normal, maps[:, 3])


class Same(torch.nn.Module):
    """A network that takes all of the noise it is given for noise, more under a kind's prompt."""

    def forward(self, x, t, weights):
        more = weights[:, 4:].sum(1)[:, None, None, None]
        maps = {4: torch.ones(len(x), 12, 4, 4), 2: torch.ones(len(x), 12, 2, 2)}
        return diffusion.Seen(self.noise + 0.01 * more, maps, [])


def test_without_guidance_noise_that_is_known_leads_back_to_the_picture():
    net, x = Same(), torch.rand(2, 1, 8, 8)
    net.noise = torch.randn(2, 1, 8, 8)

    def head(features, clean):
        return None, torch.full((2, 1, 8, 8), 2.0)

    def made(mix, guidance):
        asked = torch.tensor([mix] * 2)
        return drawing.draw(net, head, x, asked, net.noise, 0.5, guidance, 8)

    normal = made([0.0, 0.0], 5.0)
    assert torch.allclose(normal.image, x, atol=1e-3)
    assert torch.allclose(normal.prob, torch.full((2, 8, 8), 2.0).sigmoid())
    # the picture moves as far as the guess, times the guidance
    once, thrice = (made([1.0, 0.0], g).image - x for g in (1.0, 3.0))
    inside = (x > 0.2) & (x < 0.8)
    assert torch.allclose(3 * once[inside], thrice[inside], rtol=0.05, atol=1e-3)
    assert once[inside].abs().min() > 1e-3


def test_the_mask_is_the_mean_of_the_last_three_steps():
    class Counting(Same):
        def forward(self, x, t, weights):
            self.level = float(t[0])
            return super().forward(x, t, weights)

    net, x = Counting(), torch.rand(2, 1, 8, 8)
    net.noise = torch.randn(2, 1, 8, 8)

    def head(features, clean):
        return None, torch.full((2, 1, 8, 8), net.level / 100)

    made = drawing.draw(net, head, x, torch.zeros(2, 2), net.noise, 0.5, 1.0, 8)
    last = torch.tensor(diffusion.noise_levels(round(0.5 * (diffusion.STEPS - 1)), 8)[-3:])
    assert len(set(last.tolist())) == 3
    wanted = (last / 100).sigmoid().mean()
    assert torch.allclose(made.prob, wanted.expand(2, 8, 8), atol=1e-6)


def test_it_learns_from_both_pictures_of_a_pair_and_normal_ones_have_no_mask(monkeypatch):
    truth, whole = [], separation.focal

    def look(logits, mask, gamma=2.0):
        truth.append(mask)
        return whole(logits, mask, gamma)

    monkeypatch.setattr(separation, "focal", look)
    seen = curves_of("seas", dataset(), **TINY, alignment=0.5)
    drew = [s for s in seen if "normal" in s]
    assert drew
    for s in drew:
        assert s["abnormal"] > 0.01
        assert s["normal"] > 0.01
        assert s["attention"] > 0.01
        whole_loss = s["abnormal"] + s["normal"] + 0.5 * s["attention"]
        assert s["loss"] == pytest.approx(whole_loss, rel=1e-4)
    assert truth
    for mask in truth:
        ill, well = mask.chunk(2)
        assert ill.flatten(1).any(1).all()
        assert not well.any()


def test_a_turned_copy_is_found_and_is_at_no_distance():
    rng = np.random.default_rng(0)
    ill, well = (rng.random((4, 1, 8, 8)).astype("f4") for _ in range(2))
    made = np.stack([ill[2, :, ::-1].swapaxes(1, 2), well[1]])
    found = compare(made, ill, well, "all")
    assert found.closest[0] == 2
    assert found.nearest.tolist() == [2, 4 + 1]
    assert found.distance[0] == pytest.approx(0, abs=1e-3)
    assert found.distance[1] > 0.5
    assert compare(made, ill, well, "none").distance[0] > 0.5
    assert drawing.all_turns(ill, "all").shape == (8, 4, 1, 8, 8)
    assert drawing.all_turns(ill, "mirror").shape == (2, 4, 1, 8, 8)
    among, _ = drawing.nearest(ill, ill, "all")
    assert (among != np.arange(4)).all()


def test_pictures_are_turned_with_their_masks_in_every_way_allowed():
    torch.manual_seed(0)
    one = torch.arange(32.0).reshape(1, 2, 4, 4).repeat(200, 1, 1, 1)
    found = drawing.turned(one, "all")
    assert len(torch.unique(found.flatten(1), dim=0)) == 8
    assert torch.equal(found[:, 1] - found[:, 0], torch.full((200, 4, 4), 16.0))
    assert len(torch.unique(drawing.turned(one, "mirror").flatten(1), dim=0)) == 2
    assert torch.equal(drawing.turned(one, "none"), one)


def test_pairs_of_every_prompt_come_from_the_same_normal_pictures():
    data, method, given = trained()
    made = given["pairs"]
    assert made.prompts == [
        *["bright lesion"] * 2,
        *["dark lesion"] * 2,
        *["50 % bright lesion, 50 % dark lesion"] * 2,
        *["normal"] * 2,
    ]
    assert made.image.shape == (8, 1, 16, 16)
    assert 0 <= made.image.min() <= made.image.max() <= 1
    assert made.tokens[:2] == ["normal", "bright lesion 1"]
    seen = np.asarray(made.attention, np.float32)
    assert (seen[:2, 1:5].max((2, 3)) > 1e-3).all()
    assert not (seen[:2, 5:] > 1e-3).any()
    assert not (seen[6:, 1:] > 1e-3).any()
    train = data.part("train")
    assert np.isin(made.nearest, train.rows).all()
    assert np.isin(made.closest, train.rows[train.mask().any((1, 2))]).all()
    names = {m.group for m in given["metrics"]}
    assert names == {f"generated: {prompt}" for prompt in made.prompts}
    again = [a for a in methods_again(method, data) if isinstance(a, Pairs)]
    assert np.array_equal(again[0].image, made.image)


def methods_again(method, data):
    return method.apply(data, Run(seed=5))


def test_nothing_is_generated_where_a_picture_learned_from_is_missing():
    data, method, _ = trained()
    without = data.take(np.flatnonzero(data.rows != method.examples_[0]))
    assert not any(isinstance(a, Pairs) for a in methods_again(method, without))


def test_a_prompt_is_tried_at_once_and_is_the_same_for_the_same_draw():
    data, method, given = trained()
    own = {c.name: c.value for c in method.prompts()}
    assert own == {"start": method.params.start, "guidance": method.params.guidance}
    assert all(c.value in dict(c.choices) for c in method.prompts())
    x = torch.from_numpy(data.of(method.normals_[:1]).inputs())
    first = method.generate(x, {"bright lesion": 1.0}, 3, **own)
    assert [s.drawn for s in first] == ["input", "generated", "places", *["grey"] * 5]
    second = open_model(given["model"], "cpu").generate(x, {"bright lesion": 1.0}, 3, **own)
    assert np.allclose(first[1].image, second[1].image, atol=1e-5)
    other = method.generate(x, {"bright lesion": 1.0}, 4, **own)
    assert not np.allclose(first[1].image, other[1].image, atol=1e-3)
    assert len(method.generate(x, {}, 3, **own)) == 4


def test_alignment_draws_attention_onto_the_mask():
    """By the loss alone: with weight it falls, without it stays where it was."""

    def last(weight):
        seen = []
        given = {**TINY, "epochs": 6, "learning_rate": 5e-3, "alignment": weight}
        run = Run(seed=0, device="cpu", report_to=lambda step, total, s: seen.append(s))
        kind = methods()["seas"]
        fit_and_apply(kind, check_params(kind, given), dataset(), run)
        return np.mean([float(s["attention"]) for s in seen if "attention" in s][-10:])

    assert last(1.0) < 0.7 * last(0.0)


def test_only_approved_pairs_leave_marked_as_generated(tmp_path):
    from PIL import Image

    data, _, given = trained()
    made = given["pairs"]
    with pytest.raises(UserError, match="None of the generated pictures is approved"):
        zip_approved(made, data, {0: {"approved": False, "author": "", "made": 0.0}}, "r1r1r1r1")
    decided = {
        1: {"approved": True, "author": "=Ann", "made": 1.0},
        2: {"approved": False, "author": "Ann", "made": 1.0},
    }
    with zipfile.ZipFile(io.BytesIO(zip_approved(made, data, decided, "r1r1r1r1"))) as found:
        assert found.namelist() == [
            "images/GENERATED-0002.png",
            "masks/GENERATED-0002.png",
            "manifest.csv",
            "README.txt",
        ]
        picture = Image.open(io.BytesIO(found.read("images/GENERATED-0002.png")))
        assert picture.text["Comment"] == "GENERATED: not patient data"
        wanted = (np.asarray(made.image[1, 0]) * 255).round()
        assert np.array_equal(np.asarray(picture), wanted)
        mask = np.asarray(Image.open(io.BytesIO(found.read("masks/GENERATED-0002.png"))))
        assert np.array_equal(mask, 255 * made.mask[1])
        assert "'=Ann" in found.read("manifest.csv").decode()
        assert b"not patient data" in found.read("README.txt")


def test_approved_pairs_can_be_imported_and_are_training_cases_alone(tmp_path):
    from core.data.readers import read

    data, _, given = trained()
    decided = {k: {"approved": True, "author": "Ann", "made": 1.0} for k in range(8)}
    (tmp_path / "made.zip").write_bytes(zip_approved(given["pairs"], data, decided, "r1"))
    found = read(tmp_path / "made.zip", name="made")
    assert found.shape == (1, 16, 16)
    assert np.array_equal(found.mask(), given["pairs"].mask)
    assert set(found.splits) == {"train"}
    assert found.frame["generated"].all()
    assert all("GENERATED" in name for name in found.names())


def test_decisions_are_kept_with_their_author_and_taken_back(tmp_path):
    from core.workspace.workspace import Workspace

    ws = Workspace(tmp_path)
    (ws.folder("r1r1r1r1")).mkdir(parents=True)
    notes.decide_pairs(ws, "r1r1r1r1", [0, 3], True, " Dr  N. ")
    notes.decide_pairs(ws, "r1r1r1r1", [3], False, "Dr N.")
    found = notes.load_pair_decisions(ws, "r1r1r1r1")
    assert {k: (v["approved"], v["author"]) for k, v in found.items()} == {
        0: (True, "Dr N."),
        3: (False, "Dr N."),
    }
    notes.decide_pairs(ws, "r1r1r1r1", [0], None)
    assert list(notes.load_pair_decisions(ws, "r1r1r1r1")) == [3]
    assert notes.load_author(ws) == "Dr N."
