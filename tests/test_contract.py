"""Every method through the same checks, on one shared fit each."""

from functools import cache

import numpy as np
import pytest
import torch

from core.artifacts import Embedding, Model
from core.data.samples import make
from core.engine import fit_and_apply
from core.errors import UserError
from core.method import check_params, why_not
from core.registry import methods
from core.run import Run


@cache
def data_for(id):
    kind = methods()[id]
    name = "breast-cancer" if kind.takes.modalities == ("table",) else "head-phantom" if kind.takes.min_size > 8 else "digits"
    data = make(name)
    some = np.concatenate([np.flatnonzero(data.splits == s)[:n] for s, n in (("train", 96), ("val", 24), ("test", 24))])
    return data.take(np.sort(some))


def fit(id, seed=0):
    kind, data = methods()[id], data_for(id)
    on = {}
    if kind.takes.on:
        on = {"embedding-latent": Embedding(rows=data.rows, name="latent", z=data.inputs().reshape(len(data), -1)[:, :8].astype("f4"))}
    return fit_and_apply(kind, check_params(kind, kind.tiny), data, Run(seed=seed, device="cpu", on=on))


shared = cache(fit)


@pytest.mark.parametrize("id", methods())
def test_gives_what_it_says_row_by_row(id):
    _, artifacts = shared(id)
    assert {type(a) for a in artifacts} <= set(methods()[id].gives)
    for a in artifacts:
        if not isinstance(a, Model):
            assert np.array_equal(a.rows, data_for(id).rows)
        assert a.made_by.method == id


@pytest.mark.parametrize("id", methods())
def test_same_seed_same_result_and_generators_untouched(id):
    before = torch.get_rng_state().clone()
    _, again = fit(id)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(shared(id)[1], again):
        for key in a.per_row:
            if getattr(a, key) is not None:
                np.testing.assert_allclose(getattr(a, key), getattr(b, key), atol=1e-5)


@pytest.mark.parametrize("id", methods())
def test_saved_and_opened_it_embeds_the_same(id, tmp_path):
    for a in shared(id)[1]:
        a.save(tmp_path / a.slug)
        back = type(a).load(tmp_path / a.slug)
        if isinstance(back, Model) and "embed" in back.abilities:
            x = torch.from_numpy(data_for(id).inputs(np.arange(4)))
            with torch.no_grad():
                z = back.open().embed(x).numpy()
            given = next(e for e in shared(id)[1] if isinstance(e, Embedding))
            np.testing.assert_allclose(z, given.z[:4], atol=1e-4)


@pytest.mark.parametrize("id", methods())
def test_wrong_parameters_are_named(id):
    with pytest.raises(UserError, match="nonsense"):
        check_params(methods()[id], {"nonsense": 1})


@pytest.mark.parametrize("id", methods())
def test_declines_what_does_not_fit(id):
    kind = methods()[id]
    if kind.takes.modalities == ("table",):
        assert why_not(kind, make("digits"))
    assert why_not(kind, data_for(id).take(np.arange(2)))
