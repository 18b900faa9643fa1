"""Every method through the same checks, on one shared fit each, on the device that
LIGHTBOX_TEST_DEVICE names: cpu (usual) or cuda.
"""

import inspect
import os
import re
import socket
from dataclasses import replace
from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import torch

from core.artifacts import AnomalyMaps, Artifact, Clusters, Embedding, Metrics, Model
from core.data.samples.catalogue import make
from core.errors import Cancelled, UserError
from core.io.tensors import load_state, save_state
from core.method import check_params
from core.registry import methods, open_model
from core.training.compatibility import why_not
from core.training.fit import describe, fit_and_apply
from core.training.other_data import as_the_model_sees
from core.training.run import Run

DEVICE = os.environ.get("LIGHTBOX_TEST_DEVICE", "cpu")
# a GPU adds up in another order where a batch or a tensor lies otherwise
NEAR, CLOSE, FLIPPED = (1e-4, 1e-5, 0.0) if DEVICE == "cpu" else (2e-3, 2e-3, 0.01)
TRAINED = [id for id, kind in methods().items() if kind.takes.trains]
HEADINGS = ("Objective", "Cost", "Differences from the paper", "Reference")


def small(name, train=96, val=24, test=24):
    """A few rows of each part of a sample, stored apart so that a changed copy is cheap."""
    data = make(name)
    some = np.sort(
        np.concatenate(
            [
                np.flatnonzero(data.splits == s)[:n]
                for s, n in (("train", train), ("val", val), ("test", test))
            ]
        )
    )
    masks, samples = (None if a is None else a[some] for a in (data.masks, data.samples))
    return replace(
        data, samples=samples, masks=masks, table=data.table.iloc[some].reset_index(drop=True)
    )


SMALL = (
    "digits",
    "breast-cancer",
    "head-phantom",
    "two-sites",
    "nuclei",
    "cine",
    "beats",
    "notes",
    "genomes",
    "two-clinics",
)


@cache
def small_shared(name):
    return small(name)


@cache
def data_for(id):
    """The first sample that fits; a method of tables and pictures alike is tried on pictures."""
    why = {name: why_not(methods()[id], small_shared(name)) for name in SMALL}
    fits = [name for name, said in why.items() if said is None]
    assert fits, f"no built-in sample fits {id}: {why}"
    return small_shared(fits[0])


@cache
def table_for(id):
    return small("breast-cancer")


def earlier(id, data):
    """What a method built on an earlier run is given: that of the method it names, else an
    embedding.
    """
    kind = methods()[id]
    if not kind.takes.on:
        return {}
    if kind.tiny_on:
        return {a.slug: a for a in shared(kind.tiny_on)[1]}
    z = np.nan_to_num(data.inputs().reshape(len(data), int(np.prod(data.shape)))[:, :8])
    return {"embedding-latent": Embedding(rows=data.rows, name="latent", z=z.astype("f4"))}


def chosen_for(id, data):
    """The rows a method that asks for some is given."""
    return data.part("train").rows[:10] if methods()[id].takes.chosen != "no" else None


def fit(id, data=None, seed=0, kind_of_run=Run, phase=lambda words: None, brief=False, **more):
    """The fitted method and its artifacts; `brief`: after one epoch, where it has any."""
    kind, data = methods()[id], data_for(id) if data is None else data
    given = kind.tiny | ({"epochs": 1} if brief and "epochs" in kind.tiny else {})
    run = kind_of_run(
        **{"seed": seed, "device": DEVICE, "on": earlier(id, data), "chosen": chosen_for(id, data)}
        | more
    )
    return fit_and_apply(kind, check_params(kind, given), data, run, phase=phase)


shared = cache(fit)


def left_behind(data):
    """What a fit must leave as it was, by name."""
    return {
        "data": data.content_hash(),
        "environment": dict(os.environ),
        "numpy's generator": np.random.get_state()[1].tolist(),
        "torch's generator": torch.get_rng_state().tolist(),
        "current folder": os.getcwd(),
        "files": os.listdir(),
    }


@cache
def fitted_again(id):
    """A second fit with the same seed, of the same numbers stored as float64, in an empty folder
    and without network: its artifacts, and what was there before and after it.
    """

    def no_network(*a, **k):
        raise AssertionError("a method reached for the network")

    data = data_for(id)
    if data.samples is not None:
        data = replace(data, samples=data.samples.astype(np.float64))
    shared(id)  # importing a library may set variables of its own
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(socket.socket, "connect", no_network)
        patch.chdir(folder)
        before = left_behind(data)
        _, artifacts = fit(id, data)
        return artifacts, (before, left_behind(data))


def applied(id, method, data, whole=None, kind_of_run=Run):
    """What the fitted `method` gives for `data`, a part of `whole`."""
    return list(
        method.apply(
            data,
            kind_of_run(device=DEVICE, on=earlier(id, data_for(id) if whole is None else whole)),
        )
    )


def columns(artifacts):
    """(slug, field, values) of everything that has one entry a row."""
    return {
        (a.slug, key): np.asarray(getattr(a, key))
        for a in artifacts
        for key in a.per_row
        if getattr(a, key) is not None
    }


def assert_same(found, wanted, at=slice(None), tolerance=NEAR):
    """`found` holds what `wanted` holds at positions `at`, row by row."""
    found, wanted = columns(found), columns(wanted)
    assert found.keys() == wanted.keys()
    assert found
    for key, values in wanted.items():
        if values.dtype == bool:  # whose threshold may be the very score of one of them
            assert (found[key] != values[at]).mean() <= FLIPPED, key
        else:
            np.testing.assert_allclose(
                found[key], values[at], rtol=tolerance, atol=tolerance, err_msg=str(key)
            )


# -- what it is given and gives --------------------------------------------------------------------
@pytest.mark.parametrize("id", methods())
def test_gives_what_it_says_row_by_row(id):
    _, artifacts = shared(id)
    assert {type(a) for a in artifacts} <= set(methods()[id].gives)
    for a in artifacts:
        if not isinstance(a, Model):
            assert np.array_equal(a.rows, data_for(id).rows)
        assert a.made_by.method == id


@pytest.mark.parametrize("id", methods())
def test_its_file_says_objective_cost_differences_and_reference(id):
    words = inspect.getmodule(methods()[id]).__doc__
    assert [h for h in HEADINGS if not re.search(rf"^{h}$", words, re.MULTILINE)] == []


@pytest.mark.parametrize("id", methods())
def test_same_seed_same_result_whatever_type_of_number_is_stored(id):
    """Texts and sequences hold no numbers: there the data is the same."""
    assert_same(fitted_again(id)[0], shared(id)[1], tolerance=1e-5)


@pytest.mark.parametrize("id", TRAINED)
def test_another_seed_gives_another_result(id):
    assert not methods()[id].takes.deterministic
    first, other = columns(shared(id)[1]), columns(fit(id, seed=1)[1])
    assert (
        max(
            np.abs(first[key] - other[key]).max()
            for key in first
            if key in other and first[key].shape == other[key].shape
        )
        > 1e-3
    )


@pytest.mark.parametrize("id", methods())
def test_leaves_data_process_and_disk_as_they_were(id):
    """Nor does it reach for the network, which fails here."""
    before, after = fitted_again(id)[1]
    assert before == after


@pytest.mark.parametrize("id", methods())
def test_saved_and_opened_it_embeds_the_same(id, tmp_path):
    for a in shared(id)[1]:
        a.save(tmp_path / a.slug)
        back = type(a).load(tmp_path / a.slug)
        if isinstance(back, Model) and "embed" in back.abilities:
            x = torch.from_numpy(data_for(id).inputs(np.arange(4)))
            with torch.no_grad():
                z = open_model(back).embed(x).numpy()
            given = next(e for e in shared(id)[1] if isinstance(e, Embedding))
            np.testing.assert_allclose(z, given.z[:4], atol=NEAR)


@pytest.mark.parametrize("id", [id for id, kind in methods().items() if kind.other_data])
def test_says_the_same_of_new_data_without_labels(id):
    """Held-out cases brought in as a dataset of their own get what they got beside the others."""
    method, artifacts = shared(id)
    data = data_for(id)
    at = np.flatnonzero(data.splits == "test")
    masks, samples = (
        None if a is None else np.asarray(a[:])[at] for a in (data.masks, data.samples)
    )
    roles = {k: v for k, v in data.roles.items() if k not in ("label", "split")}
    table = data.table.iloc[at].drop(columns=data.roles["split"]).reset_index(drop=True)
    other = replace(data, name="other", samples=samples, masks=masks, table=table, roles=roles)
    model = next(a for a in artifacts if isinstance(a, Model))
    seen, notes = as_the_model_sees(data, other, model)
    assert notes == []
    found = describe(method, seen, Run(device=DEVICE))
    assert not any(isinstance(a, (Metrics, Model)) for a in found)
    wanted = [a for a in artifacts if a.slug in {f.slug for f in found}]
    assert_same(found, wanted, at=at)


@pytest.mark.parametrize("id", methods())
def test_restored_from_its_state_it_applies_the_same(id, tmp_path):
    method, artifacts = shared(id)
    save_state(tmp_path / "state", method.state())
    again = methods()[id](method.params)
    again.restore(load_state(tmp_path / "state"))
    again.to(DEVICE)
    assert again.abilities == method.abilities
    assert_same(applied(id, again, data_for(id)), artifacts, tolerance=CLOSE)


# -- rows and batches ------------------------------------------------------------------------------
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
    some = np.array([140, 3, 4, 77, 100])
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
    _, artifacts = fit(id, noisy_test_rows(data))
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


# -- stopping and going on -------------------------------------------------------------------------
@pytest.mark.parametrize("id", methods())
def test_cancelled_it_stops_at_once_and_leaves_nothing(id, tmp_path):
    asked, steps = [], []
    few = 2 if id in TRAINED else 0  # batches before the user gives up

    def stop():
        asked.append(1)
        return len(asked) > few

    before = torch.get_rng_state().clone()
    with pytest.raises(Cancelled):
        fit(
            id,
            stop=stop,
            folder=tmp_path,
            report_to=lambda step, total, scalars: steps.append(step),
        )
    assert len(asked) == few + 1
    assert not steps or max(steps) <= few + 1
    assert not list(tmp_path.rglob("artifact.json"))
    assert torch.equal(before, torch.get_rng_state())


class Killed(Exception):
    pass


@pytest.mark.parametrize("id", TRAINED)
def test_killed_early_late_and_after_its_last_step_it_ends_as_if_nothing_had_happened(id, tmp_path):
    """The same run is killed at its third step, in mid-epoch in its last third, and when it
    describes what it learned; each time it goes on from there.
    """
    total, first = 0, []

    def killed_at(wanted):
        def report(step, of, scalars):
            nonlocal total
            total = of
            first.append(step)
            if step == wanted:
                raise Killed

        return report

    def begun(at, resume=True):
        first.clear()
        with pytest.raises(Killed):
            fit(id, folder=tmp_path, checkpoint_every=-1.0, resume=resume, report_to=killed_at(at))
        return first[0]

    assert begun(3, resume=False) == 1
    late = max(4, total - total // 5)
    assert begun(late) == 3  # two were done, the third is done again

    def killed_when_describing(words):
        if words.startswith("describing"):
            raise Killed

    first.clear()
    with pytest.raises(Killed):
        fit(id, folder=tmp_path, resume=True, report_to=killed_at(0), phase=killed_when_describing)
    assert first[0] == late
    first.clear()
    _, resumed = fit(id, folder=tmp_path, checkpoint_every=1e9, resume=True, report_to=killed_at(0))
    assert first == [], "all was learned"
    assert_same(resumed, shared(id)[1], tolerance=1e-5)


class Poisoned(Run):
    """The loss of the second step is no number."""

    steps = 0

    def step(self, loss, clip=None):
        self.steps += 1
        super().step(loss * float("nan") if self.steps == 2 else loss, clip)


@pytest.mark.parametrize("id", TRAINED)
def test_a_loss_that_is_no_number_is_told_with_its_step(id):
    with pytest.raises(
        UserError, match=r"loss .* at step \d+, in a batch of \d+ cases: row \d+"
    ) as said:
        fit(id, kind_of_run=Poisoned)
    assert int(re.search(r"at step (\d+)", str(said.value))[1]) == 2
    named = [int(r) for r in re.findall(r"row (\d+)", str(said.value))]
    assert set(named) <= set(data_for(id).part("train").rows.tolist())


class Tight(Run):
    """Memory suffices for half a batch."""

    def step(self, loss, clip=None):
        self.learned = [*getattr(self, "learned", []), len(self.loop.positions)]
        if len(self.loop.positions) > self.loop.size // 2 + 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        super().step(loss, clip)


@pytest.mark.parametrize("id", TRAINED)
def test_memory_for_half_a_batch_suffices_or_the_size_to_try_is_told(id):
    runs = []

    def tight(**given):
        runs.append(Tight(**given, stop=lambda: len(getattr(runs[0], "learned", [])) > 6))
        return runs[0]

    if not methods()[id].divides:
        with pytest.raises(
            UserError, match=r"Memory does not suffice for .* in batches of \d+; try \d+"
        ):
            fit(id, kind_of_run=tight)
        return
    with pytest.raises(Cancelled):
        fit(id, kind_of_run=tight)
    whole, *parts = runs[0].learned
    assert runs[0].accumulation_steps == 2
    assert len(parts) >= 6
    assert max(parts) == -(-whole // 2)
    assert "in 2 parts" in runs[0].notes[0]


# -- data that is not as hoped ---------------------------------------------------------------------
@pytest.mark.parametrize("id", methods())
def test_declines_what_does_not_fit(id):
    kind = methods()[id]
    if "image" not in kind.takes.modalities:
        assert why_not(kind, make("digits"))
    assert why_not(kind, data_for(id).take(np.arange(2)))


def labelled(data, values):
    return (
        replace(data, table=data.table.assign(label=values), roles=data.roles | {"label": "label"})
        if "label" not in data.roles
        else replace(data, table=data.table.assign(**{data.roles["label"]: values}))
    )


def with_values(data, change):
    if data.samples is None:
        return replace(
            data,
            table=data.table.assign(
                **{
                    data.roles["text"]: (
                        data.table[data.roles["text"]].iloc[0] if change is rows_alike else ""
                    )
                }
            ),
        )
    samples = data.samples.astype(np.float32)
    change(samples)
    return replace(data, samples=samples)


def rows_alike(x):
    x[:] = x[:1]


ODD = {
    "no rows": lambda data: data.take(np.arange(0)),
    "one row": lambda data: data.take(np.arange(1)),
    "two rows": lambda data: data.take(np.arange(2)),
    "one class in the data": lambda data: labelled(data, "only"),
    "one class among these rows": lambda data: data.take(
        np.flatnonzero(data.labels == data.labels[0])
    ),
    "no labels": lambda data: labelled(data, None),
    "every case its own class": lambda data: labelled(
        data, [f"case {i}" for i in range(len(data))]
    ),
    "no validation or test rows": lambda data: data.part("train"),
    "all rows alike": lambda data: with_values(data, rows_alike),
    "all black": lambda data: with_values(data, lambda x: x.fill(0)),
}
HOLES = {
    "some values missing": lambda x: x.__setitem__((slice(None, None, 3), 0), np.nan),
    "a column missing": lambda x: x.__setitem__((slice(None), 0), np.nan),
    "a row missing": lambda x: x.__setitem__(5, np.nan),
    "a constant column": lambda x: x.__setitem__((slice(None), 0), 7),
    "a huge column": lambda x: x.__setitem__((slice(None), 0), x[:, 0] * 1e30),
}


@pytest.mark.parametrize("id", methods())
def test_one_epoch_is_enough_to_work(id):
    """So that what is refused below is refused for what is odd about the data."""
    assert fit(id, brief=True)[1]


def works_or_says_why(id, data):
    try:
        _, artifacts = fit(id, data, brief=True)
    except UserError as e:
        if len(str(e).split()) <= 3:
            pytest.fail(f"“{e}” says too little.")
        return
    assert artifacts
    for a in artifacts:
        a.validate()
        assert isinstance(a, Model) or np.array_equal(a.rows, data.rows)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("id", methods())
def test_odd_data_works_or_is_refused_in_words(id, case):
    works_or_says_why(id, ODD[case](data_for(id)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", HOLES)
@pytest.mark.parametrize(
    "id", [id for id, kind in methods().items() if "table" in kind.takes.modalities]
)
def test_tables_with_holes_work_or_are_refused_in_words(id, case):
    works_or_says_why(id, with_values(table_for(id), HOLES[case]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "id", [id for id, kind in methods().items() if "image" in kind.takes.modalities]
)
def test_a_picture_with_a_value_that_is_no_number_is_named(id, value):
    data = with_values(data_for(id), lambda x: x.__setitem__((11, 0, 2, 2), value))
    with pytest.raises(UserError, match="Row 11 "):
        fit(id, data)


def test_an_infinite_cell_of_a_table_is_named_with_its_column():
    data = with_values(small("breast-cancer"), lambda x: x.__setitem__((11, 3), np.inf))
    with pytest.raises(UserError, match=f"Row 11 .*{re.escape(data.features[3])}"):
        fit("pca", data)


def test_the_small_sets_hold_rows_of_every_part():
    assert pd.Series(small("digits").splits).value_counts().to_dict() == {
        "train": 96,
        "val": 24,
        "test": 24,
    }
