"""Columns whose values are large and differ little: nothing of them is lost on the way from the
file to the model and back to the screen.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from core.columns import Column, format_distinct
from core.data.checks import check_dataset
from core.data.dataset import Dataset
from core.data.readers import read
from core.data.scaling import Standardise, needs_float64
from core.explain.attribution import attribute, attribution_methods
from core.explain.group_differences import find_differences
from core.explain.traversal import decode
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.loader import Inputs, Positions, in_order
from core.training.run import Run

KINDS = {
    "Julian days": (2_459_000.0, 0.05),
    "seconds since 1970": (1_700_000_000.0, 20.0),
    "a genome position": (154_000_000.0, 3.0),
    "milliseconds since 1970": (1_700_000_000_000.0, 500.0),
}


def table(folder, offset, step, n=200):
    rng = np.random.default_rng(0)
    late = np.arange(n) % 2
    x = offset + step * (2 * late - 1) + rng.normal(size=n) * step / 10
    x = x.round(6) if step < 1 else x.round()
    pd.DataFrame(
        {"when": x, "crp": rng.random(n).round(3), "label": np.where(late, "late", "early")}
    ).to_csv(folder / "a.csv", index=False)
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_the_offset_goes_before_float32(tmp_path, kind):
    x = table(tmp_path, *KINDS[kind])
    data = read(tmp_path / "a.csv").save(tmp_path / "stored")
    assert (data.samples.dtype, data.inputs().dtype, data.hash) == (
        np.float64,
        np.float64,
        data.content_hash(),
    )
    assert np.array_equal(data.inputs()[:, 0], x)
    scale = Standardise.fit(data.part("train"))
    z = scale(torch.from_numpy(data.inputs()))
    assert z.dtype == torch.float32
    assert np.abs(np.corrcoef(z[:, 0].numpy(), x)[0, 1]) > 1 - 1e-9
    assert np.allclose(scale.back(z)[:, 0].numpy(), x, rtol=0, atol=1e-5 * np.std(x))
    again = Standardise.restore(scale.state())
    assert torch.equal(again(torch.from_numpy(data.inputs())), z)
    for stored in (data, read(tmp_path / "a.csv")):  # from disk, and from memory
        assert np.array_equal(
            np.concatenate([b.numpy() for b in in_order(stored, torch.device("cpu"), 64)])[:, 0], x
        )
        with Inputs(stored, torch.device("cpu"), tmp_path) as inputs:
            at = Positions(np.array([5, 2, 9]), torch.device("cpu"))
            assert np.array_equal(next(inputs.batches([at]))[1][:, 0].numpy(), x[at.at])


def test_a_model_tells_the_classes_apart_and_gives_values_back(tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    x = table(tmp_path, *KINDS["Julian days"])
    data = read(tmp_path / "a.csv")
    kind = methods()["pca"]
    method, _ = fit_and_apply(kind, kind.Params(), data, Run(device="cpu", seed=0))
    z = method.embed(torch.from_numpy(data.inputs())).numpy()
    probe = LogisticRegression().fit(z, data.labels)
    assert roc_auc_score(data.labels, probe.decision_function(z)) == 1.0
    back = decode(method, z)
    assert back.dtype == np.float64
    assert np.abs(back[:, 0] - x).max() < 1e-3


def test_reasons_of_a_model_are_in_the_column_that_tells(tmp_path):
    table(tmp_path, *KINDS["Julian days"])
    data = read(tmp_path / "a.csv")
    kind = methods()["classifier"]
    method, _ = fit_and_apply(
        kind, check_params(kind, kind.tiny | {"epochs": 20}), data, Run(device="cpu", seed=0)
    )
    rows = data.rows[:20]
    for how in attribution_methods(data):
        found = attribute(method, data, rows, how, "class late")
        assert found.value.dtype == np.float32
        assert np.isfinite(found.value).all()
        if how != "gradient_x_input":  # of raw values, whose offset is all
            assert np.abs(found.value[:, 0]).mean() > 2 * np.abs(found.value[:, 1]).mean()


def test_another_dataset_is_scaled_by_the_offset_of_the_training_data(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    table(tmp_path / "a", 2_459_000.0, 0.05)
    x = table(tmp_path / "b", 2_459_001.0, 0.05)
    one, other = read(tmp_path / "a"), read(tmp_path / "b")
    scale = Standardise.fit(one)
    z = scale(torch.from_numpy(other.inputs()))[:, 0].numpy()
    assert np.allclose(
        z,
        (x - 2_459_000.0 - (one.inputs()[:, 0] - 2_459_000.0).mean()) / one.inputs()[:, 0].std(),
        atol=1e-3,
    )


def test_plain_tables_stay_float32(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "bp": rng.normal(120, 12, 300).round(1),
            "age": rng.integers(20, 90, 300),
            "x": rng.normal(size=300),
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = read(tmp_path / "a.csv")
    assert (data.samples.dtype, data.inputs().dtype) == (np.float32, np.float32)
    assert Standardise.fit(data).mean.dtype == torch.float32
    assert not needs_float64(np.array([np.nan, np.nan]))
    assert not needs_float64(np.full(9, 0.1))
    assert needs_float64(np.array([16_777_217.0, 3.0]))


def test_a_stored_table_of_float32_is_scaled_as_before(tmp_path):
    x = np.random.default_rng(0).normal(5, 2, (40, 3)).astype("f4")
    data = Dataset("d", "table", pd.DataFrame(x, columns=list("abc")), x, features=("a", "b", "c"))
    scale = Standardise.fit(data)
    assert scale.mean.dtype == torch.float32
    assert torch.equal(scale(torch.from_numpy(x)), ((torch.from_numpy(x) - scale.mean) / scale.sd))


def test_words_show_where_numbers_differ(tmp_path):
    assert format_distinct(1.23456, 7.5) == ["1.23", "7.5"]
    assert format_distinct(2459000.05, 2459000.15) == ["2459000.05", "2459000.15"]
    assert format_distinct(4.0, 4.0) == ["4", "4"]
    x = table(tmp_path, *KINDS["Julian days"])
    inside = np.arange(len(x)) % 2 == 1
    (found,) = find_differences([Column("when", x, "amount", "data")], inside)
    said = [float(w) for w in found.words.replace(",", "").split() if w[0].isdigit()]
    assert said[0] - said[1] == pytest.approx(0.1, abs=0.02)


def test_the_check_sees_the_differences(tmp_path):
    x = table(tmp_path, *KINDS["Julian days"])
    frame = pd.read_csv(tmp_path / "a.csv")
    frame.loc[3, "when"] = 2_459_003.0  # three days, sixty times the usual distance
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = read(tmp_path / "a.csv")
    far = next(f for f in check_dataset(data) if f.kind == "outliers")
    assert 3 in far.rows
    assert len(x) == len(data)
