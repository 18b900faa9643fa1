"""Volumes through the whole path: slices without a copy, what is found folded back, the same seed
the same result.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from core.artifacts import (
    AnomalyMaps,
    Attributions,
    Clusters,
    Embedding,
    Images,
    Model,
    Predictions,
)
from core.data.dataset import Dataset
from core.data.samples.generated import stacks
from core.data.slices import Slices, as_model_input, as_slices, find_filled_slices
from core.errors import Cancelled
from core.method import check_params
from core.registry import methods, open_model
from core.training import time_estimate
from core.training.compatibility import why_not
from core.training.fit import fit_and_apply
from core.training.presets import cases, preset
from core.training.run import Run
from core.training.slices_to_volumes import Fold, top
from core.workspace.workspace import Workspace

DEPTH = 12


@cache
def small() -> Dataset:
    return stacks(n=44)


TAKING = [
    id for id, kind in methods().items() if kind().slicewise or "volume" in kind.takes.modalities
]
SLICED = [id for id in TAKING if methods()[id]().slicewise]
REPRESENTATIVE = ["gaussian_vae", "strega", "swav", "pca"]


def fit(id, data=None, **more):
    kind, data = methods()[id], small() if data is None else data
    on = {}
    if kind.tiny_on:
        on = {a.slug: a for a in shared(kind.tiny_on)[1]}
    elif kind.takes.on:
        on = {a.slug: a for a in shared("gaussian_vae")[1]}
    chosen = data.part("train").rows[:5] if kind.takes.chosen != "no" else None
    return fit_and_apply(
        kind,
        check_params(kind, kind.tiny),
        data,
        Run(**{"device": "cpu", "on": on, "chosen": chosen, "seed": 0} | more),
    )


shared = cache(fit)


def by_slug(artifacts):
    return {a.slug: a for a in artifacts}


# -- the view of slices ----------------------------------------------------------------------------
def test_slices_are_those_of_the_volumes_with_label_mask_split_and_patient():
    data = small()
    view = as_slices(data)
    assert view.modality == "image"
    assert view.shape == (1, 24, 24)
    assert len(view) == len(data) * DEPTH
    for row in (0, 5, 17 * DEPTH + 3, len(view) - 1):
        v, k = divmod(row, DEPTH)
        one = view.take(np.array([row]))
        np.testing.assert_array_equal(one.raw()[0], data.samples[v, :, k])
        np.testing.assert_array_equal(one.mask()[0], data.masks[v, k] > 0)
        assert (one.labels[0], one.splits[0], one.names()[0]) == (
            data.labels[v],
            data.splits[v],
            data.names()[v],
        )
        assert one.frame["slice"].iloc[0] == k
        assert one.groups[0] == f"volume {v}"
    kept = replace(
        data, table=data.table.assign(patient="P1"), roles=data.roles | {"group": "patient"}
    )
    assert set(as_slices(kept).groups) == {"P1"}


def test_a_view_of_some_volumes_in_another_order_gives_their_slices():
    part = small().take(np.array([7, 2]))
    np.testing.assert_array_equal(
        as_slices(part).inputs()[:DEPTH], small().take(np.array([7])).inputs()[0].swapaxes(0, 1)
    )
    np.testing.assert_array_equal(
        as_slices(part).rows, np.r_[7 * DEPTH : 8 * DEPTH, 2 * DEPTH : 3 * DEPTH]
    )


def test_all_slices_in_use_are_those_of_the_volumes_in_use():
    data = small()
    in_use = replace(data, at=np.array([2, 7]), kept=np.array([2, 5, 7]))
    every = as_slices(in_use.take(np.array([1]))).every
    wanted = np.concatenate([np.arange(v * DEPTH, (v + 1) * DEPTH) for v in (2, 5, 7)])
    np.testing.assert_array_equal(every.rows, wanted)
    np.testing.assert_array_equal(every.raw(np.array([DEPTH]))[0], data.samples[5, :, 0])


def test_slices_of_a_stored_volume_are_read_volume_by_volume(tmp_path, monkeypatch):
    data = small().save(tmp_path)
    read = []

    class Counting:
        shape, dtype = data.samples.shape, data.samples.dtype

        def __getitem__(self, v):
            read.append(v)
            return data.samples[v]

    lazy = Slices(Counting(), 2)
    order = np.random.default_rng(0).permutation(len(lazy))[:60]
    np.testing.assert_array_equal(lazy[order], as_slices(small()).raw(order))
    assert len(read) == len(set(order // DEPTH))
    monkeypatch.setattr("core.data.slices.SLICE_CACHE", 1)
    lazy = Slices(Counting(), 2)
    lazy[np.arange(30)]
    assert len(lazy._kept) == 1


def test_empty_slices_are_found_and_a_volume_of_nothing_keeps_its_middle():
    data = small()
    samples = data.samples.copy()
    samples[3] = 7
    found = find_filled_slices(replace(data, samples=samples))
    assert found[0].tolist() == [False, *[True] * (DEPTH - 2), False]
    assert np.flatnonzero(found[3]).tolist() == [DEPTH // 2]


# -- who takes volumes, and how --------------------------------------------------------------------
def test_methods_say_how_they_take_volumes():
    assert {"strega", "classifier", "gaussian_vae", "unet_plus_plus", "swav"} <= set(SLICED)
    assert not methods()["pca"]().slicewise
    assert "slices by themselves make no sense" in why_not(methods()["cine_tracker"], small())
    assert as_model_input(methods()["pca"](), small()) is small()


def test_presets_and_time_count_slices(tmp_path):
    kind, data = methods()["gaussian_vae"], small()
    n = len(data.part("train"))
    assert cases(kind, data) == n * DEPTH
    assert preset(kind, "fast", cases(kind, data))["epochs"] < preset(kind, "fast", n)["epochs"]
    whole = time_estimate._work(kind, {"epochs": 3}, data)
    assert whole == pytest.approx(
        kind(check_params(kind, {"epochs": 3})).passes(n * DEPTH) * 24 * 24
    )


@pytest.mark.parametrize("id", TAKING)
def test_every_method_that_takes_volumes_does(id):
    said = why_not(methods()[id], small())
    if said is not None:
        pytest.skip(said)
    _, artifacts = shared(id)
    assert artifacts
    for a in artifacts:
        a.validate()
        assert a.rows.max() < len(small())
        assert a.made_by.data_hash == small().hash[:16]
        if a.place is None and not isinstance(a, Model):
            np.testing.assert_array_equal(a.rows, small().rows)
        if a.place is not None:
            assert a.place.min() > 0
            assert a.place.max() < DEPTH - 1  # the outermost slices are empty
    slugs = [a.slug for a in artifacts]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize("id", REPRESENTATIVE)
def test_same_seed_same_result_on_volumes(id):
    for a, b in zip(fit(id)[1], shared(id)[1], strict=True):
        for key in a.per_row:
            if getattr(a, key) is not None:
                np.testing.assert_allclose(
                    getattr(a, key), getattr(b, key), atol=1e-5, err_msg=a.slug
                )


def test_some_volumes_in_another_order_get_rows_in_that_order():
    part = small().take(np.random.default_rng(1).permutation(len(small())))
    found = by_slug(fit("strega", part)[1])
    np.testing.assert_array_equal(found["anomalymaps"].rows, part.rows)
    heat, place = found["anomalymaps"], found["anomalymaps-slices"]
    for i in (0, 5):
        mine = place.rows == part.rows[i]
        # a tenth of ten slices is one
        assert heat.score[i] == pytest.approx(np.asarray(place.score)[mine].max(), rel=1e-5)


def test_cancelled_on_volumes_it_stops():
    with pytest.raises(Cancelled):
        fit("gaussian_vae", stop=lambda: True)


# -- folding ---------------------------------------------------------------------------------------
def folded(*artifacts):
    data = small().take(np.arange(6))
    counts = find_filled_slices(data)
    return Fold(data, counts)(list(artifacts)), counts


def slice_ids():
    return np.arange(6 * DEPTH)


def test_coordinates_become_the_mean_of_filled_slices_and_stay_as_slices():
    z = np.random.default_rng(0).normal(size=(6 * DEPTH, 3)).astype("f4")
    (whole, each), counts = folded(Embedding(rows=slice_ids(), name="latent", z=z, std=np.abs(z)))
    np.testing.assert_allclose(whole.z[2], z.reshape(6, DEPTH, 3)[2, 1:-1].mean(0), atol=1e-6)
    assert whole.folded == "mean of its slices"
    assert each.slug == "embedding-latent-slices"
    assert len(each.rows) == counts.sum()
    at = np.flatnonzero((each.rows == 4) & (each.place == 7))
    np.testing.assert_array_equal(each.z[at[0]], z[4 * DEPTH + 7])


def test_heat_becomes_volumes_without_a_copy_and_the_score_its_robust_top():
    rng = np.random.default_rng(1)
    heat = rng.uniform(size=(6 * DEPTH, 24, 24)).astype("f4")
    score = np.tile(np.arange(DEPTH, dtype="f4"), 6)
    (whole, each), _ = folded(
        AnomalyMaps(rows=slice_ids(), score=score, map=heat, threshold=1.0, rule="slices")
    )
    assert whole.map.shape == (6, DEPTH, 24, 24)
    assert np.shares_memory(whole.map, heat)
    np.testing.assert_allclose(whole.score, DEPTH - 2)  # the last slice is empty
    assert each.map is None
    assert each.threshold == 1.0
    assert whole.rule in ("", "95 % of validation volumes lie below")


def test_top_is_the_mean_of_the_highest_tenth_of_slices_that_count():
    score = np.arange(40.0).reshape(1, 40)
    assert top(score, np.ones((1, 40), bool))[0] == pytest.approx(np.mean([36, 37, 38, 39]))
    some = np.zeros((1, 40), bool)
    some[0, :3] = True
    assert top(score, some)[0] == 2


def test_probabilities_groups_pictures_and_outlines_are_folded():
    rng = np.random.default_rng(2)
    prob = rng.dirichlet(np.ones(3), 6 * DEPTH).astype("f4")
    label = np.tile(np.r_[[2] * 2, [1] * 7, [0] * 3], 6)
    image = rng.uniform(size=(6 * DEPTH, 2, 5, 4)).astype("f4")
    outline = rng.uniform(size=(6 * DEPTH, 2, 5, 4)).astype("f4")
    out, _ = folded(
        Predictions(rows=slice_ids(), prob=prob, classes=list("abc")),
        Clusters(rows=slice_ids(), label=label),
        Images(rows=slice_ids(), image=image),
        Predictions(rows=slice_ids(), name="outline", prob=outline, classes=list("ab")),
        Attributions(rows=slice_ids(), value=image, output=prob[:, 0]),
    )
    found = by_slug(out)
    np.testing.assert_allclose(found["predictions"].prob.sum(1), 1, atol=1e-5)
    assert found["clusters"].label.tolist() == [1] * 6
    assert found["clusters"].prob[0, 1] == pytest.approx(0.7)
    assert found["clusters-slices"].place is not None
    np.testing.assert_array_equal(found["images"].image[3, :, 5], image[3 * DEPTH + 5])
    np.testing.assert_array_equal(
        found["predictions-outline"].prob[3, :, 5], outline[3 * DEPTH + 5]
    )
    assert found["attributions"].output[1] == pytest.approx(
        prob[DEPTH : 2 * DEPTH, 0].sum(), rel=1e-5
    )


def test_what_speaks_of_single_slices_stays_with_them_and_models_name_their_volumes(tmp_path):
    sets = np.ones((6 * DEPTH, 2), bool)
    out, _ = folded(
        Predictions(rows=slice_ids(), sets=sets, classes=list("ab"), coverage=0.9),
        Model(
            rows=np.arange(2 * DEPTH),
            method="pca",
            params={},
            abilities=[],
            input_shape=[1, 24, 24],
        ),
        Images(rows=np.array([5, 30]), image=np.zeros((2, 1, 24, 24), "f4")),
    )
    assert out[0].place is not None
    assert out[1].rows.tolist() == [0, 1]
    assert (out[2].rows.tolist(), out[2].place.tolist()) == ([0, 2], [5, 6])
    out[2].save(tmp_path / "a")
    assert Images.load(tmp_path / "a").place.tolist() == [5, 6]


def test_artifacts_saved_before_places_existed_still_open(tmp_path):
    import json

    Embedding.example().save(tmp_path / "e")
    plain = json.loads((tmp_path / "e" / "artifact.json").read_text())
    for key in ("place", "folded"):
        plain.pop(key)
    (tmp_path / "e" / "artifact.json").write_text(json.dumps(plain))
    assert Embedding.load(tmp_path / "e").place is None


def test_measured_are_volumes_not_slices():
    from core.evaluate import measure

    found = measure(small(), by_slug(shared("gaussian_vae")[1]), None)
    assert len(found.table) > 3
    assert not [m for m in found if "slices" in m.name]


def test_a_run_on_volumes_through_the_workspace(tmp_path):
    from core.jobs import queue

    ws = Workspace(tmp_path)
    ws.add(small())
    job = queue.train(ws, "stacks", "strega", {"epochs": 1, "side": 32, "latent": 8})
    job = queue.wait(ws, job.id, timeout=300)
    assert job.status == "done"
    assert {"embedding-latent", "embedding-latent-slices", "anomalymaps"} <= set(ws.slugs(job.id))


def test_what_moved_a_model_of_slices_is_shown_on_the_volume():
    from core.explain.attribution import attribute

    model, _ = shared("gaussian_vae")
    rows = np.array([5, 2])
    made = attribute(model, small(), rows, "gradient_x_input", "score")
    assert made.value.shape == (2, *small().shape)
    assert made.rows.tolist() == [5, 2]
    one = attribute(
        model, as_slices(small()), np.array([5 * DEPTH + 6]), "gradient_x_input", "score"
    )
    np.testing.assert_allclose(made.value[0][:, 6], one.value[0], atol=1e-6)


# -- whole, in three dimensions --------------------------------------------------------------------
WHOLE = {"volumes": "whole (3-D)", "epochs": 2, "latent": 4, "width": 2, "batch_size": 8}


def whole(id, **more):
    kind = methods()[id]
    return fit_and_apply(kind, check_params(kind, WHOLE), small(), Run(device="cpu", **more))


@pytest.mark.parametrize("id", ["gaussian_vae", "dirichlet_vae"])
def test_taken_whole_a_volume_is_one_case_with_its_own_heat_and_the_seed_decides(id, tmp_path):
    _, artifacts = whole(id)
    found = by_slug(artifacts)
    assert not any(a.place is not None or a.folded for a in artifacts)
    assert found["images-reconstruction"].image.shape == (len(small()), *small().shape)
    assert found["anomalymaps"].map.shape == (len(small()), *small().shape[1:])
    np.testing.assert_allclose(
        by_slug(whole(id)[1])["embedding-latent"].z, found["embedding-latent"].z, atol=1e-5
    )
    found["model"].save(tmp_path / "model")
    opened = open_model(Model.load(tmp_path / "model"))
    import torch

    with torch.no_grad():
        np.testing.assert_allclose(
            opened.embed(torch.from_numpy(small().inputs(np.arange(3)))).numpy(),
            found["embedding-latent"].z[:3],
            atol=1e-4,
        )


@pytest.mark.parametrize("train", [fit, whole])
def test_killed_and_resumed_on_volumes_equals_straight(train, tmp_path):
    class Killed(Exception):
        pass

    def kill(step, total, scalars):
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        train("gaussian_vae", folder=tmp_path, checkpoint_every=-1.0, report_to=kill)
    _, resumed = train("gaussian_vae", folder=tmp_path, checkpoint_every=1e9, resume=True)
    np.testing.assert_allclose(
        by_slug(resumed)["embedding-latent"].z,
        by_slug(train("gaussian_vae")[1])["embedding-latent"].z,
        atol=1e-5,
    )


def test_volumes_too_large_to_be_taken_whole_are_refused_in_words():
    from core.errors import UserError

    data = small()
    wide = replace(data, samples=np.zeros((len(data), 1, 4, 8, 65), np.uint8), masks=None)
    with pytest.raises(UserError, match="4 x 8 x 65"):
        fit_and_apply(
            methods()["gaussian_vae"],
            check_params(methods()["gaussian_vae"], WHOLE),
            wide,
            Run(device="cpu"),
        )


# -- on made-up heads ------------------------------------------------------------------------------
@pytest.mark.soak(only=True)
def test_slice_wise_learning_finds_lesions_better_than_brightness_and_components():
    from sklearn.metrics import roc_auc_score

    from core.data.samples.phantom import head_volumes

    data = head_volumes(40)
    test = np.flatnonzero(data.splits == "test")
    mask = data.mask(test)
    ill = mask.reshape(len(test), -1).any(1)
    flat = np.sort(data.inputs(test).reshape(len(test), -1), axis=1)
    rival = roc_auc_score(ill, flat[:, -flat.shape[1] // 100 :].mean(1))

    def found(id, params):
        maps = by_slug(
            fit_and_apply(
                methods()[id], check_params(methods()[id], params), data, Run(device="cpu")
            )[1]
        )["anomalymaps"]
        heat = np.asarray(maps.map)[test]
        return roc_auc_score(ill, maps.score[test]), np.mean(
            [mask[i].ravel()[heat[i].argmax()] for i in np.flatnonzero(ill)]
        )

    auc, hit = found("strega", {"epochs": 6})
    other_auc, other_hit = found("pca", {"dimensions": 8})
    assert auc > max(rival, other_auc) + 0.05
    assert hit >= 0.5
    assert hit > other_hit
