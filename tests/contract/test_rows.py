"""Neither the order of rows nor their company changes what a method says of a row."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.artifacts import AnomalyMaps, Artifact, Clusters, Embedding, Metrics, Model
from core.io.shared_work import helped_by, pack, unpack
from core.registry import methods
from core.training.inference import map_rows
from core.training.run import Run
from tests.contract._fits import (
    DEVICE,
    NEAR,
    applied,
    assert_same,
    columns,
    data_for,
    earlier_again,
    fit,
    shared,
)


@pytest.mark.parametrize("id", methods())
def test_applied_to_rows_in_another_order_it_gives_them_in_that_order(id):
    method, artifacts = shared(id)
    order = np.random.default_rng(1).permutation(len(data_for(id)))
    found = applied(id, method, data_for(id).take(order))
    assert all(
        np.array_equal(a.rows, data_for(id).rows[order]) for a in found if not isinstance(a, Model)
    )
    assert_same(found, artifacts, order)


@pytest.mark.parametrize("id", methods())
def test_fitted_on_rows_in_another_order_every_row_keeps_its_own_result(id):
    order = np.random.default_rng(2).permutation(len(data_for(id)))
    data = data_for(id).take(order)
    method, artifacts = fit(id, data)
    assert all(np.array_equal(a.rows, data.rows) for a in artifacts if not isinstance(a, Model))
    for a in artifacts:
        if isinstance(a, Embedding) and "embed" in method.abilities:
            inputs = torch.from_numpy(data.inputs()).to(DEVICE)
            with torch.no_grad():
                np.testing.assert_allclose(a.z, method.embed(inputs).cpu().numpy(), atol=NEAR)
        if methods()[id].takes.deterministic:
            assert_order_free(a, next(b for b in shared(id)[1] if b.slug == a.slug), order)


def assert_order_free(found: Artifact, straight: Artifact, order):
    """Groups may be numbered otherwise; all else is the same."""
    if isinstance(found, Clusters):
        pairs = set(zip(found.label.tolist(), straight.label[order].tolist()))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    elif isinstance(found, Metrics):
        assert [(m.name, pytest.approx(m.value, abs=1e-3)) for m in straight] == [
            (m.name, m.value) for m in found
        ]
    elif not isinstance(found, Model):
        assert_same([found], [straight], order, 1e-3)


class SevenAtATime(Run):
    def map(self, fn, data, size=256):
        return super().map(fn, data, 7)


@pytest.mark.parametrize("id", methods())
def test_neither_batch_size_nor_the_other_rows_change_a_row(id):
    method, artifacts = shared(id)
    assert_same(applied(id, method, data_for(id), kind_of_run=SevenAtATime), artifacts)
    n = len(data_for(id))
    some = np.array([n - 4, 3, 4, n // 2 + 5, 2 * n // 3])
    assert_same(applied(id, method, data_for(id).take(some)), artifacts, some)


TRANSDUCTIVE = (
    "islands are found among all rows at once, test rows included, as the method's text says"
)


@pytest.mark.parametrize(
    "id",
    [
        (
            pytest.param(id, marks=pytest.mark.xfail(strict=True, reason=TRANSDUCTIVE))
            if id == "hdbscan"
            else id
        )
        for id in methods()
    ],
)
def test_what_test_rows_hold_does_not_reach_the_fit(id):
    data = data_for(id)
    seen = np.flatnonzero(data.splits != "test")
    noisy = noisy_test_rows(data)
    _, artifacts = fit(id, noisy, on=earlier_again(id, noisy))
    found, straight = columns(artifacts), columns(shared(id)[1])
    assert found.keys() == straight.keys()
    for key in found:
        np.testing.assert_allclose(
            found[key][seen], straight[key][seen], rtol=1e-6, atol=1e-6, err_msg=str(key)
        )
    for a, b in zip(artifacts, shared(id)[1]):
        if isinstance(a, AnomalyMaps):
            assert (a.threshold, a.pixel_threshold) == (
                pytest.approx(b.threshold),
                pytest.approx(b.pixel_threshold),
            )
    changed = [key for key in found if not np.array_equal(found[key], straight[key])]
    assert changed, "the noise must have reached the test rows' own results"


def noisy_test_rows(data):
    """The same data with noise for the test rows' samples, their masks emptied and their labels
    moved among them.
    """
    rng, test = np.random.default_rng(3), np.flatnonzero(data.splits == "test")
    samples, table = None if data.samples is None else data.samples.copy(), data.table.copy()
    if samples is None:
        letters = (
            list("ACGT") if data.modality == "sequence" else ["heart ", "skin ", "cough ", "of "]
        )
        table.loc[test, data.roles["text"]] = ["".join(rng.choice(letters, 60)) for _ in test]
    else:
        low, high = (
            data.input_range
            if data.modality == "image"
            else (data.samples.min(), data.samples.max())
        )
        samples[test] = rng.uniform(low, high, samples[test].shape).astype(samples.dtype)
    if "label" in data.roles:
        label = data.roles["label"]
        table.loc[test, label] = np.roll(table.loc[test, label].to_numpy(), 5)
    masks = (
        None
        if data.masks is None
        else np.where((data.splits == "test")[:, None, None], 0, data.masks)
    )
    return replace(data, samples=samples, table=table, masks=masks)


class Elsewhere:
    """Does what is shared out as another process would, all but the first two parts."""

    def __call__(self, work, check, report):
        mark = None
        for i in range(work.units):
            part = range(i, i + 1)
            if i == 1 and work.mark is not None:
                mark = work.mark()
            if i < 2:
                made = work.here(part)
            else:
                if i == 2:
                    if work.mark is not None:
                        assert mark is not None, "it cannot be sent"
                        assert work.mark() == mark, "a call changes what later ones give"
                    opened = work.open(work.common())
                made = work.there(opened, unpack(pack(work.send(part))))
            work.keep(part, made)


@pytest.mark.skipif(DEVICE != "cpu", reason="what a GPU does is not shared out")
@pytest.mark.parametrize("id", methods())
def test_shared_out_among_processes_its_results_have_the_same_bits(id, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")

    def in_small_batches(fn, data, device, size, *more):
        return map_rows(fn, data, device, min(size, 8), *more)

    monkeypatch.setattr("core.training.run.map_rows", in_small_batches)
    method, data = shared(id)[0], data_for(id)
    alone = columns(applied(id, method, data))
    with helped_by(Elsewhere()):
        together = columns(applied(id, method, data))
    assert together.keys() == alone.keys()
    assert [key for key in alone if alone[key].tobytes() != together[key].tobytes()] == []
