"""The beta-VAE on generated beats of known shape, and SCAN on it: what a stub, an untrained network
or shuffled symbols could not show.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter1d
from scipy.stats import spearmanr

from core.artifacts import Embedding
from core.errors import UserError
from core.explain import traversal
from core.methods.series import _figures, _scan
from tests.methods._fit import fit, sample

KINDS = ["A", "N", "V"]


@cache
def trained():
    return fit("beta_vae_scan", sample("beats"), epochs=90, latent=6, also="height")


def latent():
    found = trained()[1]["embedding-latent"]
    train = sample("beats").splits == "train"
    return np.asarray(found.z)[train], np.asarray(found.std)[train]


def decoded(method, z):
    with torch.no_grad():
        return method.decode(torch.from_numpy(np.atleast_2d(z).astype("f4"))).numpy()


def width(x):
    """Samples of lead 1 above half of its peak, [n,2,128] -> [n]."""
    return (x[:, 0] > 0.5 * x[:, 0].max(1, keepdims=True)).sum(1)


def redrawn(method, x):
    with torch.no_grad():
        return method.decode(method.embed(torch.from_numpy(x))).numpy()


@pytest.mark.soak(only=True)
@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_noise_is_taken_off_better_than_by_a_moving_average_and_not_by_an_untrained_net(noise):
    """(i) Templates are means of one kind and one record of the held-out records, the noise is
    known.
    """
    data, method = sample("beats"), trained()[0]
    x, held = data.inputs(), data.splits != "train"
    record, kind = data.column("group"), data.column("label")
    clean = np.stack(
        [
            x[held & (record == r) & (kind == k)].mean(0)
            for r in sorted(set(record[held]))
            for k in KINDS
        ]
    ).repeat(10, 0)
    noisy = clean + np.random.default_rng(0).normal(0, noise, clean.shape).astype("f4")
    error = lambda made: float(np.square(made - clean).mean())  # noqa: E731
    ours = error(redrawn(method, noisy))
    assert ours < 0.3 * error(noisy)
    assert ours < 0.75 * error(uniform_filter1d(noisy, 5, axis=2))
    blank, _ = fit("beta_vae_scan", data, epochs=1, latent=6, shuffles=0)
    assert error(redrawn(blank, noisy)) > 5 * ours


@pytest.mark.soak(only=True)
def test_a_planted_symbol_fixes_its_own_axis_and_shuffled_ones_fix_none():
    """(ii) The symbol is a threshold on one latent axis; the most specified axis must be that
    one.
    """
    mu, sd = latent()
    k = int(np.argmax(trained()[0].used_ * mu.std(0)))
    right, false = 0, 0
    for seed in range(5):
        y = (mu[:, k] > np.quantile(mu[:, k], 0.7)).astype(int)[:, None]
        for planted, codes in ((True, y), (False, np.random.default_rng(seed).permutation(y))):
            made = _scan.list_patterns(codes, [2], 5)
            nats = _scan.read_symbols(_scan.learn_symbols(mu, sd, made, 20, seed, steps=200), made)[
                2
            ]
            firm = nats[0] > _scan.by_chance(nats)[:, None]
            right += planted and bool(nats[0, 1].argmax() == k and firm[1, k])
            false += not planted and bool(firm.any())
    assert right >= 4
    assert false <= 2  # of five, each with two symbols at 5 %


@pytest.mark.soak(only=True)
def test_symbols_are_recognised_as_well_as_by_a_logistic_probe_and_shuffled_ones_are_not():
    """(iii) On records the model has not seen."""
    data, (_, found) = sample("beats"), trained()
    metric = {m.name: m.value for m in found["metrics"] if m.group == "all"}
    ours = metric["balanced accuracy: symbols"]
    assert ours > 0.9
    assert ours > metric["balanced accuracy: logistic regression on the latent"] - 0.05
    rng = np.random.default_rng(0)
    mixed = replace(data, table=data.table.assign(beat=rng.permutation(data.table["beat"])))
    _, other = fit("beta_vae_scan", mixed, epochs=20, latent=6)
    chance = next(m.value for m in other["metrics"] if m.name == "balanced accuracy: symbols")
    assert chance < 0.5


def test_the_direction_of_the_tie_matters():
    """(iv) Bearers of one symbol lie in two blobs along axis 1 and share axis 0: forward, the
    symbol covers both; reversed, it does not.
    """
    rng = np.random.default_rng(0)
    mu = rng.normal(0, 0.1, (400, 2))
    mu[:, 1] += np.where(rng.random(400) < 0.5, 1.5, -1.5)
    mu[200:, 0] += 1.5
    made = _scan.list_patterns(np.repeat([0, 1], 200)[:, None], [2], 5)
    spread = {}
    for reverse in (False, True):
        torch.manual_seed(0)
        spread[reverse] = _scan.read_symbols(
            _scan.learn_symbols(mu, np.full_like(mu, 0.2), made, 0, 0, steps=200, reverse=reverse),
            made,
        )[1][0]
    assert (spread[False][:, 1] > 1.0).all()  # as wide as its bearers
    assert (spread[False][:, 0] < 0.4).all()  # narrow where they agree
    assert (spread[True][:, 1] < 0.5 * spread[False][:, 1]).all()


def test_another_label_leaves_the_latent_space_as_it_was():
    """(v) Symbols are taught on a frozen encoder."""
    few = {"epochs": 2, "latent": 4, "shuffles": 2, "symbol_steps": 50}
    one, first = fit("beta_vae_scan", sample("beats"), **few)
    two, second = fit("beta_vae_scan", sample("beats"), also="width, delay", **few)
    assert one.symbols_ == KINDS
    assert len(two.symbols_) == 7
    assert all(torch.equal(v, two.net_.state_dict()[k]) for k, v in one.net_.state_dict().items())
    np.testing.assert_array_equal(first["embedding-latent"].z, second["embedding-latent"].z)


@pytest.mark.soak(only=True)
def test_symbols_become_beats_and_these_beats_their_symbols():
    """Both ways: what a symbol imagines is recognised as that symbol, and looks as the truth says
    (V is wide).
    """
    method = trained()[0]
    made = np.concatenate([decoded(method, method.imagine([k])[0]) for k in KINDS])
    with torch.no_grad():
        said = method.predict(torch.from_numpy(made)).argmax(1).tolist()
    assert [method.classes[j] for j in said] == KINDS
    assert width(made)[2] > 2 * width(made)[1]


@pytest.mark.soak(only=True)
def test_symbols_of_two_columns_combine():
    method = trained()[0]
    assert method.symbols_ == [*KINDS, "height low", "height high"]
    peak = {
        (k, h): float(decoded(method, method.imagine([k, f"height {h}"])[0])[0, 0].max())
        for k in ("N", "V")
        for h in ("low", "high")
    }
    assert peak["N", "high"] > peak["N", "low"] + 0.1
    assert peak["V", "high"] > peak["V", "low"] + 0.1


@pytest.mark.soak(only=True)
def test_walking_towards_a_symbol_moves_only_its_axes_and_widens_the_beat():
    data, (method, found) = sample("beats"), trained()
    embedding = found["embedding-latent"]
    assert isinstance(embedding, Embedding)
    row = int(data.rows[(data.splits == "test") & (data.column("label") == "N")][0])
    path = traversal.traverse_toward_label(method, data, embedding, row, "V", 9)
    still = ~method.imagine(["V"])[2]
    assert 0 < still.sum() < len(still)
    np.testing.assert_allclose(path.path[:, still], path.path[:1, still].repeat(9, 0))
    wide = width(path.frames)
    assert spearmanr(path.value, wide).statistic > 0.85
    assert wide[-1] > 2 * wide[0]
    assert (
        path.output[-1, method.classes.index("V")] > 0.5 > path.output[0, method.classes.index("V")]
    )


def test_a_rare_symbol_counts_as_much_as_a_frequent_one():
    """Six of a thousand cases bear it; its Gaussian lies on them all the same."""
    rng = np.random.default_rng(0)
    mu = rng.normal(0, 1, (1000, 4))
    mu[:6, 2] = rng.normal(3, 0.1, 6)
    made = _scan.list_patterns((np.arange(1000) < 6).astype(int)[:, None], [2], 5)
    centre, spread, nats = (
        v[0]
        for v in _scan.read_symbols(
            _scan.learn_symbols(mu, np.full_like(mu, 0.1), made, 0, 0, steps=200), made
        )
    )
    assert abs(centre[1, 2] - 3) < 0.6
    assert nats[1].argmax() == 2
    assert spread[1, 2] < 0.6


@pytest.mark.soak(only=True)
def test_axes_in_words_name_the_place_they_change_and_raise_the_signal_there():
    method, found = trained()
    # the rows that named the axes: two places may change nearly as much
    z = np.asarray(found["embedding-latent"].z)[sample("beats").splits == "train"]
    for j in np.flatnonzero(method.used_):
        ends = np.repeat(z.mean(0)[None], 2, 0)
        ends[:, j] += np.array([-2, 2]) * z[:, j].std()
        low, high = (decoded(method, e)[0] / method.sd_.numpy() for e in ends)
        at = np.unravel_index(np.abs(high - low).argmax(), high.shape)
        assert high[at] > low[at]
        assert f"lead {at[0] + 1}" in method.axes_[j]
    items = found["rationales"].items
    assert all(
        i[0]["text"].startswith("pattern like “") and i[0]["weight"] >= -1e-6 for i in items[:50]
    )


def test_without_labels_there_is_a_latent_space_and_no_symbols():
    data = sample("beats")
    plain = replace(data, roles={k: v for k, v in data.roles.items() if k != "label"})
    method, found = fit("beta_vae_scan", plain, epochs=2, latent=4)
    assert "predict" not in method.abilities
    assert not [k for k in found if k.startswith(("grid", "predictions"))]
    assert len(found["rationales"].items[0]) > 0 or not method.used_.any()
    with pytest.raises(UserError, match="no symbol of this model"):
        method.imagine(["V"])


def test_rare_classes_are_named_and_columns_that_are_not_there_refused():
    data = sample("beats")
    kinds = data.table["beat"].to_numpy(dtype=object).copy()
    kinds[np.flatnonzero(data.splits == "train")[:2]] = "odd"
    _, found = fit(
        "beta_vae_scan",
        replace(data, table=data.table.assign(beat=kinds)),
        epochs=1,
        latent=3,
        shuffles=0,
        symbol_steps=10,
    )
    assert "odd (2)" in next(m.note for m in found["metrics"] if m.name == "symbols left out")
    with pytest.raises(UserError, match="no such column"):
        fit("beta_vae_scan", data, epochs=1, also="nowhere")
    short = replace(data, samples=np.asarray(data.samples)[:, :, :12])
    with pytest.raises(UserError, match="at least 16 samples"):
        fit("beta_vae_scan", short, epochs=1)


def test_window_means_are_the_means_of_eight_stretches():
    x = np.arange(2 * 2 * 16, dtype=float).reshape(2, 2, 16)
    assert _figures.window_means(x).shape == (2, 16)
    assert _figures.window_means(x)[0, :2].tolist() == [0.5, 16.5]
