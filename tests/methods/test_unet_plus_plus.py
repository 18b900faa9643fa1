"""UNet++: the graph, pruning that changes nothing, what deep supervision buys, and refusals."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from core.artifacts import Predictions
from core.data.samples.generated import nuclei
from core.errors import UserError
from core.measures.segmentation import Segmentation
from core.methods.segmentation._depths import dice_of_heads
from core.nets.augment import crops
from core.registry import methods
from core.stats.overlap import mask_overlap, object_overlap
from core.training.compatibility import why_not
from tests.methods._fit import fit, sample
from tests.soak import longer

FITS = {}


def unetpp():
    """Imported by those that use it: it brings MONAI, which takes longest of all to import."""
    from core.nets import unetpp

    return unetpp


def small():
    return FITS.setdefault("data", nuclei(longer(80, 150), 48, seed=1))


@cache
def few():
    """Enough where nothing is asked of what was learned."""
    return nuclei(32, 32, seed=1)


def fitted(**params):
    key = tuple(sorted(params.items()))
    if key not in FITS:
        FITS[key] = fit("unet_plus_plus", small(), epochs=longer(1, 20), width=4, crop=0, **params)
    return FITS[key]


def dice(made):
    return {int(m.group[-1]): m.value for m in made["metrics"] if m.name == "Dice"}


def of_small_objects(made):
    found = {
        m.name: m.value
        for m in Segmentation().compute(small(), made["predictions"], rng=np.random.default_rng(0))
    }
    return found["Dice of small objects"]


def test_every_node_takes_all_nodes_before_it_and_the_one_below():
    net, f = unetpp().UNetPlusPlus(1, 4), (4, 8, 16, 32)
    nodes = [(i, j) for j in range(1, 5) for i in range(5 - j)]
    assert len(nodes) == 10
    for i, j in nodes:
        first = next(
            m
            for m in getattr(net, f"upcat_{i}_{j}").convs.modules()
            if isinstance(m, torch.nn.Conv2d)
        )
        # the network of MONAI does not halve the channels that come up into the first row
        assert first.in_channels == j * f[i] + (f[i] if i else f[1])
        assert first.out_channels == f[i]


def test_the_diagram_holds_at_each_depth_exactly_what_that_depth_computes():
    drawing = unetpp().lattice(2)
    names = [tuple(map(int, n[0].split(","))) for n in drawing["nodes"]]
    net, seen = unetpp().UNetPlusPlus(1, 2), []
    for name, block in net.named_modules():
        if name.startswith(("conv_", "upcat_")) and "." not in name:
            block.register_forward_hook(
                lambda *_, name=name: seen.append(tuple(map(int, name.split("_")[1:])))
            )
    for depth in (1, 2, 3, 4):
        seen.clear()
        net(torch.randn(2, 1, 32, 32), depth)
        assert set(seen) == {n for n, node in zip(names, drawing["nodes"]) if node[3] <= depth}
    into = {
        (i, j): {names[a] for a, b, _ in drawing["edges"] if names[b] == (i, j)} for i, j in names
    }
    assert into[0, 0] == set()
    assert all(
        into[i, j] == ({(i, k) for k in range(j)} | {(i + 1, j - 1)} if j else {(i - 1, 0)})
        for i, j in names
        if (i, j) != (0, 0)
    )


def test_the_deepest_head_teaches_every_node_and_every_skip():
    net = unetpp().UNetPlusPlus(1, 2)
    net(torch.randn(2, 1, 32, 32))[-1].square().sum().backward()
    still = [
        name for name, q in net.named_parameters() if q.grad is None or not q.grad.abs().sum() > 0
    ]
    # a shift before batch normalisation has no effect
    biases = [name for name in still if name.endswith("conv.bias")]
    assert set(still) - set(biases) == {
        f"final_conv_0_{j}.{part}" for j in (1, 2, 3) for part in ("weight", "bias")
    }


def test_cut_back_it_gives_what_the_whole_network_gives_and_costs_less():
    method, made = fitted()
    x = torch.from_numpy(small().inputs(np.arange(4)))
    with torch.no_grad():
        whole = method.net_.probabilities(x)
        for depth in (1, 2, 3, 4):
            assert (method.net_.probabilities(x, depth)[-1] - whole[depth - 1]).abs().max() < 1e-6
            assert len(method.net_.probabilities(x, depth)) == depth
    cost = [m.value for m in made["metrics"] if m.name.startswith("million")]
    assert len(cost) == 4
    assert all(a < 0.7 * b for a, b in pairwise(cost))


@pytest.mark.soak(only=True)
def test_with_deep_supervision_every_head_outlines_and_depth_helps():
    found = dice(fitted()[1])
    assert min(found.values()) > 0.6
    assert found[1] <= found[4] + 0.005


@pytest.mark.soak(only=True)
def test_without_it_only_the_deepest_head_does():
    found = dice(fitted(deep_supervision=False)[1])
    assert found[4] > 0.8
    assert max(found[j] for j in (1, 2, 3)) < 0.6
    assert "anomalymaps-disagreement" not in fitted(deep_supervision=False)[1]


@pytest.mark.soak(only=True)
def test_small_objects_no_worse_than_a_plain_network_of_as_many_parameters():
    assert (
        abs(
            unetpp().size(unetpp().PlainUNet(1, 16)) / unetpp().size(unetpp().UNetPlusPlus(1, 16))
            - 1
        )
        < 0.05
    )
    assert of_small_objects(fitted()[1]) >= of_small_objects(fitted(network="plain")[1]) - 0.01


@pytest.mark.soak(only=True)
def test_it_learns_from_the_masks():
    data = small()
    shuffled = replace(
        data, masks=np.asarray(data.masks)[np.random.default_rng(0).permutation(len(data))]
    )
    _, made = fit("unet_plus_plus", shuffled, epochs=20, width=4, crop=0)
    wrong = mask_overlap(made["predictions"].prob.argmax(1) > 0, data.mask())[0]
    assert np.nanmean(wrong) < 0.6 < dice(fitted()[1])[4]


def test_the_depth_used_is_the_shallowest_that_suffices():
    method, _ = fitted()
    found = dice_of_heads(method.net_.probabilities, small().part("val"), _run())
    mean = np.nanmean(found, 0)
    assert method.level_ == int(np.flatnonzero(mean >= mean.max() - 0.005)[0]) + 1
    assert fit("unet_plus_plus", few(), epochs=1, width=2, level=2)[0].level_ == 2


def _run():
    from core.training.run import Run

    return Run(device="cpu")


@pytest.mark.soak(only=True)
def test_heads_disagree_where_they_err():
    _, made = fitted()
    held = small().part("test").rows
    wrong = (made["predictions"].prob[held].argmax(1) > 0) != small().of(held).mask()
    doubt = made["anomalymaps-disagreement"].map[held]
    assert doubt[wrong].mean() > 1.2 * doubt[~wrong].mean()
    other = np.roll(doubt, 1, 0)  # the doubt about another picture says nothing
    assert other[wrong].mean() < 1.1 * other[~wrong].mean()
    assert made["anomalymaps-disagreement"].shows == "doubt"


def test_sides_that_are_no_multiple_of_sixteen():
    data = nuclei(24, 50, seed=2)
    _, made = fit("unet_plus_plus", data, epochs=1, width=2, crop=32)
    assert made["predictions"].prob.shape == (24, 2, 50, 50)
    np.testing.assert_allclose(made["predictions"].prob.sum(1), 1, atol=1e-5)


def test_crops_keep_picture_and_mask_together():
    y = torch.rand(6, 40, 30) > 0.9
    x, m = crops(torch.stack([y.float(), 2 * y.float()], 1), y, 16)
    assert x.shape == (6, 2, 16, 16)
    assert torch.equal(x[:, 0] > 0.5, m)
    x, m = crops(y.float()[:, None], y, 0)
    assert x.shape == (6, 1, 40, 30)
    assert torch.equal(x[:, 0] > 0.5, m)


def test_nothing_marked_no_masks_and_too_much_are_declined():
    data = small()
    with pytest.raises(UserError, match="nothing to learn"):
        fit("unet_plus_plus", replace(data, masks=np.zeros_like(data.masks)), epochs=1)
    assert "masks" in why_not(methods()["unet_plus_plus"], sample("digits"))
    big = replace(
        data,
        samples=np.broadcast_to(np.uint8(0), (len(data), 1, 4000, 4000)),
        masks=np.broadcast_to(np.uint8(0), (len(data), 4000, 4000)),
    )
    assert "GB" in why_not(methods()["unet_plus_plus"], big)


def test_only_outlined_rows_teach():
    data = few()
    table = data.table.assign(outlined=np.arange(len(data)) % 2 == 0)
    half = replace(data, table=table)
    spoilt = replace(half, masks=np.where(half.outlined[:, None, None], half.masks, 1))
    a, b = (
        fit("unet_plus_plus", d, epochs=1, width=2, crop=0)[1]["predictions"].prob
        for d in (half, spoilt)
    )
    np.testing.assert_array_equal(a, b)


# -- the measure -----------------------------------------------------------------------------------
def test_overlap_by_hand():
    truth = np.zeros((3, 4, 4), bool)
    truth[0, :2], truth[1, 0] = True, True
    said = np.zeros_like(truth)
    said[0, 1:3], said[2, 0] = True, True
    found, iou = mask_overlap(said, truth)
    assert found[0] == 0.5
    assert iou[0] == pytest.approx(1 / 3)
    assert found[1] == 0
    assert np.isnan(found[2])


def test_objects_by_hand():
    truth = np.zeros((12, 12), bool)
    truth[1:3, 1:3], truth[6:10, 6:10] = True, True
    said = truth.copy()
    said[1:3, 1:3] = False
    area, one = object_overlap(said, truth)
    assert area.tolist() == [4, 16]
    assert one.tolist() == [0.0, 1.0]


def test_the_measure_tells_good_from_bad_and_counts_false_alarms():
    data = small()
    mask = data.mask()
    empty = replace(data, masks=np.where((data.rows % 4 == 0)[:, None, None], 0, data.masks))
    perfect = Predictions(
        rows=data.rows,
        prob=np.stack([~mask, mask], 1).astype("f4"),
        classes=["background", "marked"],
    )
    found = {
        m.name: m for m in Segmentation().compute(empty, perfect, rng=np.random.default_rng(0))
    }
    assert found["Dice"].value == found["IoU"].value == 1.0
    assert found["unmarked cases with an outline"].value == 1.0
    shifted = Predictions(rows=data.rows, prob=np.roll(perfect.prob, 3, 3), classes=perfect.classes)
    other = {m.name: m for m in Segmentation().compute(data, shifted, rng=np.random.default_rng(0))}
    assert 0.3 < other["Dice"].value < 0.9
    assert other["Dice"].low < other["Dice"].value < other["Dice"].high
    assert other["Dice of small objects"].value < other["Dice of large objects"].value
