"""What a method gives, for the same and for new data, fitted, saved and restored."""

import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.artifacts import Embedding, Metrics, Model
from core.io.tensors import load_state, save_state
from core.registry import methods, open_model
from core.training.fit import describe
from core.training.other_data import as_the_model_sees
from core.training.run import Run
from tests.contract._fits import (
    CLOSE,
    DEVICE,
    NEAR,
    TRAINED,
    applied,
    assert_same,
    columns,
    data_for,
    fit,
    fitted_again,
    shared,
)

HEADINGS = ("Objective", "Cost", "Differences from the paper", "Reference")


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
