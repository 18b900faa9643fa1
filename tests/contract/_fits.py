"""Data, fits and comparisons of the contract, on the device that LIGHTBOX_TEST_DEVICE names: cpu
(usual) or cuda. One fit of each method is shared by all tests of its group.
"""

import os
import socket
from dataclasses import replace
from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.data.samples.phantom import head_phantom
from core.method import check_params
from core.registry import methods
from core.training.compatibility import why_not
from core.training.fit import fit_and_apply
from core.training.run import Run

DEVICE = os.environ.get("LIGHTBOX_TEST_DEVICE", "cpu")
# a GPU adds up in another order where a batch or a tensor lies otherwise
NEAR, CLOSE, FLIPPED = (1e-4, 1e-5, 0.0) if DEVICE == "cpu" else (2e-3, 2e-3, 0.01)
SIDE = 32
TRAINED = [id for id, kind in methods().items() if kind.takes.trains]


def small(name, train=96, val=24, test=24):
    """A few rows of each part of a sample, stored apart so that a changed copy is cheap; of
    pictures the middle.
    """
    data = head_phantom(patients=24) if name == "head-phantom" else make_sample(name)
    some = np.sort(
        np.concatenate(
            [
                np.flatnonzero(data.splits == s)[:n]
                for s, n in (("train", train), ("val", val), ("test", test))
            ]
        )
    )
    masks, samples = (None if a is None else a[some] for a in (data.masks, data.samples))
    if data.modality == "image":
        masks, samples = (None if a is None else middle(a) for a in (masks, samples))
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
    "digit-films",
    "beats",
    "notes",
    "genomes",
    "two-clinics",
    "few-lesions",
)


def middle(pictures):
    """SIDE pixels a side of pictures or masks [...,H,W], all of those that are no larger."""
    down, right = (max(0, n - SIDE) // 2 for n in pictures.shape[-2:])
    return pictures[..., down : down + SIDE, right : right + SIDE]


COSTLY = (
    "nuclei",
    "head-phantom",
    "cine",
    "notes",
    "few-lesions",
)  # by the row, so that fewer are enough


@cache
def small_shared(name):
    return small(name, 48, 12, 12) if name in COSTLY else small(name)


@cache
def data_for(id):
    """The first sample that fits; a method of tables and pictures alike is tried on pictures."""
    why = {}
    for name in SMALL:
        why[name] = why_not(methods()[id], small_shared(name))
        if why[name] is None:
            return small_shared(name)
    raise AssertionError(f"no built-in sample fits {id}: {why}")


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


def earlier_again(id, data):
    """What `earlier` gives, the embedding of a model being that of `data` itself."""
    kind = methods()[id]
    if not kind.tiny_on or "Embedding" not in kind.takes.on:
        return earlier(id, data)
    method = shared(kind.tiny_on)[0]
    return {a.slug: a for a in [method.model(data), *applied(kind.tiny_on, method, data)]}


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
