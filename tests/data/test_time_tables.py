"""Tables of measurements in time: pauses within them, and times that are not even."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.checks import check_dataset
from core.data.readers import read
from core.errors import UserError

T = np.arange(0, 60, 0.01)


def _write(path, times, values, labels=None):
    more = [""] * len(times) if labels is None else [f",{word}" for word in labels]
    lines = [f"{t:.6g},{v:.5f}{m}" for t, v, m in zip(times, values, more)]
    head = "time,ecg" + ("" if labels is None else ",label")
    path.write_text("\n".join([head, *lines]) + "\n")


@pytest.mark.parametrize("pauses", [[3000], [1000, 4200]])
def test_no_window_reaches_across_a_pause(tmp_path, pauses):
    times = T.copy()
    for at in pauses:
        times[at:] += 10
    _write(tmp_path / "a.csv", times, np.sin(8 * times))
    data = read(tmp_path / "a.csv")
    windows = np.asarray(data.samples[:])[:, 0]
    assert (data.modality, data.card["rate_hz"]) == ("series", 100)
    assert np.abs(np.diff(windows, axis=1)).max() < 0.09  # a jump would be up to 2
    starts = data.table["time"].to_numpy()
    want = np.sin(8 * (starts[:, None] + np.arange(windows.shape[1]) / 100))
    assert np.abs(windows - want).max() < 1e-3
    assert any(f"{len(pauses)} pause" in rule for rule in data.card["rules"])


def test_labels_of_lines_keep_their_times_after_a_pause(tmp_path):
    times = T.copy()
    times[3000:] += 10
    labels = np.where(times < 50, "rest", "walk")
    _write(tmp_path / "a.csv", times, np.sin(8 * times), labels)
    data = read(tmp_path / "a.csv", series="yes")
    late = data.table["time"].to_numpy() >= 50
    early = data.table["time"].to_numpy() + data.samples.shape[2] / 100 <= 50
    words = data.table[data.roles["label"]].to_numpy()
    assert set(words[late]) == {"walk"}
    assert set(words[early]) == {"rest"}


@pytest.mark.parametrize("how", ["jitter", "restart"])
def test_uneven_times_of_a_table_are_a_finding(tmp_path, how):
    rng = np.random.default_rng(0)
    if how == "jitter":
        times = np.sort(T + rng.normal(0, 0.002, len(T)))
    else:
        times = np.r_[T[:3000], T[:3000]]
    _write(tmp_path / "a.csv", times, np.sin(8 * T))
    data = read(tmp_path / "a.csv")
    assert data.modality == "table"
    (found,) = [f for f in check_dataset(data) if f.kind == "read: times"]
    assert found.severity == "look"
    assert "“time”" in found.words
    with pytest.raises(UserError, match="not evenly spaced"):
        read(tmp_path / "a.csv", series="yes")


def test_a_table_of_cases_sorted_by_a_time_is_no_recording(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{t:.1f},{v:.3f},{k % 2}" for k, (t, v) in enumerate(np.sort(rng.random((300, 2)), 0))]
    (tmp_path / "a.csv").write_text("\n".join(["time,x,death", *rows]) + "\n")
    data = read(tmp_path / "a.csv")
    assert "label" in data.roles
    assert not [f for f in check_dataset(data) if f.kind == "read: times"]
