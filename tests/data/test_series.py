"""WFDB records as beats: where the windows lie, how the parts are cut, what is left aside; and
traces as their pictures.
"""

import numpy as np
import pandas as pd
import pytest

from core.data.checks import check_dataset
from core.data.dataset import Dataset
from core.data.readers import preview, read
from core.data.readers.signal_parts import split_in_time
from core.data.samples.generated import beats
from core.errors import UserError
from core.evidence import shared_data
from core.imaging import render, signals

wfdb = pytest.importorskip("wfdb")
RATE = 360


def record(
    folder, name="r1", minutes=6.0, seed=0, units=("mV", "mV"), marks=True, leads=("MLII", "V5")
):
    """A made-up record: a spike of 1 mV (lead 2: 0.5 mV) at every mark on a slow swing; every ninth
    beat is premature (A). Gives the marked samples.
    """
    rng = np.random.default_rng(seed)
    n = int(minutes * 60 * RATE)
    steps = rng.uniform(0.75, 0.9, int(minutes * 80))
    steps[8::9] *= 0.7
    at = (np.cumsum(steps) * RATE).astype(int)
    at = at[at < n - RATE]
    signal = np.zeros((n, len(units)))
    t = np.arange(-40, 41) / RATE
    for a in at:
        if a > 40:
            signal[a - 40 : a + 41] += np.exp(-0.5 * (t / 0.015) ** 2)[:, None] / (
                1 + np.arange(len(units))
            )
    signal += 0.5 * np.sin(2 * np.pi * 0.1 * np.arange(n) / RATE)[:, None]
    wfdb.wrsamp(
        name,
        fs=RATE,
        units=list(units),
        sig_name=list(leads)[: len(units)],
        p_signal=signal,
        fmt=["16"] * len(units),
        write_dir=str(folder),
        comments=["69 M", "Aldomet"],
    )
    if marks:
        symbols = ["A" if k % 9 == 8 else "N" for k in range(len(at))]
        wfdb.wrann(name, "atr", np.concatenate([[5], at]), ["+", *symbols], write_dir=str(folder))
    return at


def test_beats_are_cut_around_their_marks(tmp_path):
    at = record(tmp_path)
    data = read(tmp_path)
    assert (data.modality, data.shape, data.classes) == ("series", (2, 128), ["A", "N"])
    x = data.inputs()
    assert set(x.argmax(2).ravel().tolist()) <= {53, 54, 55}  # 0.3 s before the mark at 180 Hz
    np.testing.assert_allclose(x.max(2).mean(0), [1, 0.5], atol=0.06)  # mV, the slow swing gone
    np.testing.assert_allclose(np.median(x, 2), 0, atol=1e-6)
    marked = at / RATE
    assert all(np.abs(marked - t).min() < 2e-3 for t in data.frame["time"])
    before = data.frame["rr_before_s"].to_numpy()
    assert before[data.labels == 0].max() < np.nanmin(before[data.labels == 1])
    assert data.card["rate_hz"] == 180
    assert data.card["channels"] == ["MLII", "V5"]
    assert "69" not in str(data.card)
    assert "Aldomet" not in str(data.card)


def test_it_is_the_shape_of_the_built_in_beats(tmp_path):
    record(tmp_path)
    data, made = read(tmp_path), beats()
    assert data.shape == made.shape
    for key in ("rate_hz", "unit", "start_s"):
        assert (
            data.card[key] == pytest.approx(made.card[key])
            if key != "unit"
            else data.card[key] == made.card[key]
        )
    assert {"label": "beat", "time": "time"}.items() <= data.roles.items()


def test_one_records_minutes_are_parted_with_gaps(tmp_path):
    record(tmp_path, minutes=15)
    data = read(tmp_path)
    time, part = data.frame["time"].to_numpy(), data.splits
    share = [(part == p).mean() for p in ("train", "val", "test")]
    np.testing.assert_allclose(share, [0.7, 0.15, 0.15], atol=0.04)
    change = np.flatnonzero(part[1:] != part[:-1])
    assert len(change) >= 9
    assert (np.diff(time)[change] > 1.9).all()  # at least one beat was left out at every border
    assert next(f for f in check_dataset(data) if f.kind == "groups").title == "Split in time"


def test_no_two_neighbours_stand_in_two_parts_and_rare_beats_are_kept():
    rng = np.random.default_rng(1)
    time = np.cumsum(rng.choice([0.4, 0.8, 5.0], 900, p=[0.2, 0.75, 0.05]))
    kind = np.where(rng.random(900) < 0.02, "V", "N")
    for turn in (0.0, 0.2, 0.75):
        part = split_in_time(time, kind, turn=turn)
        assert not ((part[1:] != part[:-1]) & (part[1:] != "") & (part[:-1] != "")).any()
        assert (part[kind == "V"] != "").mean() > 0.9
    assert (split_in_time(time, kind) != split_in_time(time, kind, turn=0.5)).mean() > 0.3
    assert set(split_in_time(time[:5], kind[:5])) == {"train"}


def test_three_records_are_parted_whole(tmp_path):
    for k in range(4):
        record(tmp_path, f"r{k}", minutes=1, seed=k)
    data = read(tmp_path)
    assert data.roles["group"] == "record"
    sides = {r: set(data.splits[data.groups == r]) for r in set(data.groups)}
    assert len(sides) == 4
    assert all(len(s) == 1 for s in sides.values())
    assert {s for each in sides.values() for s in each} >= {"train", "test"}


def test_records_without_marks_and_strangers_are_left_aside_and_named(tmp_path):
    record(tmp_path, "r1")
    record(tmp_path, "silent", minutes=0.5, marks=False)
    record(tmp_path, "other", minutes=1, leads=("I", "II"))
    (tmp_path / "RECORDS").write_text("r1\n")
    data = read(tmp_path)
    assert set(data.frame["record"]) == {"r1"}
    left = " ".join(data.card["left out"])
    assert all(
        name in left for name in ("silent.dat", "silent.hea", "RECORDS", "other.hea (other leads")
    )


def test_missing_samples_leave_their_beats_out(tmp_path):
    at = record(tmp_path, "r1")
    signal, fields = wfdb.rdsamp(str(tmp_path / "r1"))
    hole = at[20]
    signal[hole - 10 : hole + 10, 1] = np.nan
    wfdb.wrsamp(
        "r1",
        fs=RATE,
        units=fields["units"],
        sig_name=fields["sig_name"],
        p_signal=signal,
        fmt=["16", "16"],
        write_dir=str(tmp_path),
    )
    data = read(tmp_path)
    assert np.isfinite(data.inputs()).all()
    assert np.abs(data.frame["time"].to_numpy() - hole / RATE).min() > 0.1


def test_a_zip_is_the_same_and_a_preview_does_not_fail(tmp_path):
    import shutil

    folder = tmp_path / "rec"
    folder.mkdir()
    record(folder)
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert read(tmp_path / "packed.zip").content_hash() == read(folder).content_hash()
    assert preview(folder) == {"kind": "unknown", "files": 3}


def test_what_is_wrong_is_said(tmp_path):
    record(tmp_path, "r1")
    with pytest.raises(UserError, match="no signal beside it"):
        read(tmp_path / "r1.hea")
    with pytest.raises(UserError, match="not by folders"):
        read(tmp_path, label="folder")
    with pytest.raises(UserError, match="Masks"):
        read(tmp_path, masks=tmp_path)
    (tmp_path / "r1.dat").write_bytes((tmp_path / "r1.dat").read_bytes()[:1001])
    with pytest.raises(UserError, match="cannot be read as a WFDB record"):
        read(tmp_path)
    (tmp_path / "r1.hea").write_text("r1 1 360 1000\n/etc/hostname 16 200/mV 16 0 0 0 0 MLII\n")
    with pytest.raises(UserError, match="outside its folder"):
        read(tmp_path)


def test_pressure_alone_is_no_lead(tmp_path):
    record(tmp_path, "r1", units=("mmHg", "NU"))
    with pytest.raises(UserError, match="a lead in mV"):
        read(tmp_path)


def test_record_100_comes_in():
    if shared_data() is None:
        pytest.skip("the open data is not here")
    data = read(shared_data() / "physionet_ecg_samples")
    assert data.shape == (2, 128)
    count = {c: int((data.labels == i).sum()) for i, c in enumerate(data.classes)}
    assert count["A"] == 33
    assert count["V"] == 1
    assert 2100 < count["N"] <= 2239
    mean = data.inputs()[data.labels == data.classes.index("N")].mean(0)
    assert abs(int(mean[0].argmax()) - 54) <= 2  # the R wave stands at the mark
    assert 0.8 < mean[0].max() < 2.0


# -- traces ----------------------------------------------------------------------------------------
def bright(image, colour):
    """Pixels close to a colour."""
    return (np.abs(image.astype(int) - np.array(colour)).sum(2) < 90).sum()


def test_series_are_drawn_with_a_lane_a_channel():
    data = beats()
    assert render.is_drawable(data)
    tiles = render.draw_thumbnails(data, data.rows[:5], 64)
    assert tiles.shape == (5, 64, 64, 3)
    for tile in tiles:
        assert bright(tile[:32], signals.COLOURS[0]) > 20 > bright(tile[:32], signals.COLOURS[1])
        assert bright(tile[32:], signals.COLOURS[1]) > 20 > bright(tile[32:], signals.COLOURS[0])
    large = render.draw_case(data, 3, 320)
    assert large.shape == (240, 320, 3)
    assert bright(large[-18:], signals.WORDS) > 10  # the time axis is written


def test_a_taller_beat_is_drawn_taller_on_the_same_scale():
    data = beats()
    look = signals.signal_style(data)
    x = data.inputs()[0]
    tops = [
        int(
            np.flatnonzero(
                (
                    np.abs(
                        signals.draw_signal(k * x, look, 128, 128)[:64].astype(int)
                        - signals.COLOURS[0]
                    ).sum(2)
                    < 120
                ).any(1)
            )[0]
        )
        for k in (0.5, 1.0)
    ]
    assert tops[0] > tops[1] + 5


def test_made_series_are_marked_and_the_mark_hides_no_trace():
    data = beats()
    x = data.inputs()[0]
    made, plain = render.draw_generated(x, data, 320), render.draw_case(data, 0, 320)
    np.testing.assert_array_equal(made[: len(plain)], plain)
    assert bright(made[len(plain) :], (230, 159, 0)) > 50


def test_the_stretch_that_changes_is_found_and_shaded():
    data = beats()
    before = data.inputs()[0]
    after = before.copy()
    after[1, 80:90] += 1
    assert signals.find_largest_change(before, after) == (1, 80, 89)
    assert signals.describe_stretch(signals.signal_style(data), 128, 80, 89) == "144 to 194 ms"
    shaded, plain = (
        signals.draw_signal(after, signals.signal_style(data), 256, 128, before=b)
        for b in (before, None)
    )
    columns = np.flatnonzero((np.abs(shaded.astype(int) - plain).sum(2) > 20).mean(0) > 0.4)
    assert 0.55 < columns.min() / 256 < 0.75
    assert columns.max() / 256 < 0.8


def test_series_without_card_and_with_many_channels_are_drawn():
    x = np.random.default_rng(0).normal(size=(9, 40)).astype("f4")
    assert render.input_to_rgb(x).shape == (72, 96, 3)
    assert signals.describe_stretch(signals.signal_style(x), 40, 3, 7) == "3 to 7 samples"
    assert signals.draw_signal(x, signals.signal_style(x), 240).shape == (180, 240, 3)
    assert signals.draw_signal(
        np.zeros((1, 16), "f4"), signals.signal_style(np.zeros((1, 16), "f4")), 240
    ).shape == (180, 240, 3)


def test_many_channels_stand_under_their_names_at_one_gain_with_a_scale_bar():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 19, 1000)).astype("f4")
    x[:, 3] *= 20  # one loud channel flattens no other
    card = {"rate_hz": 100, "channels": [f"C{i}" for i in range(19)], "units": ["µV"] * 18 + ["%"]}
    data = Dataset("many", "series", pd.DataFrame(index=range(40)), x, card=card)
    at = signals.signal_style(data)
    span = at.high - at.low
    np.testing.assert_allclose(span[:18], span[0], rtol=1e-5)
    assert span[0] < 12
    large = render.draw_case(data, 0, 480)
    assert large.shape[0] >= 19 * signals.CLOSE
    lanes = np.array_split(large[:-17, 100:380], 19)
    assert all(
        bright(lane, signals.COLOURS[c % len(signals.COLOURS)]) > 20 for c, lane in enumerate(lanes)
    )
    assert bright(large[:30, 420:], signals.WORDS) > 5  # the bar and its words


def test_a_spike_of_one_sample_is_not_lost_in_a_long_series():
    x = np.zeros((1, 20_000), "f4")
    x[0, 12_345] = 1
    look = signals.SignalStyle(np.array([-0.1]), np.array([1.1]), 100)
    assert bright(signals.draw_signal(x, look, 96, 96)[:40, 56:64], signals.COLOURS[0]) > 3


def test_time_is_written_in_the_unit_that_fits():
    assert [signals._format_tick(v) for v in (0.1 + 0.2, 1000.0, -0.0)] == ["0.3", "1000", "0"]
    x = np.zeros((1, 50), "f4")
    drawn = [
        signals.draw_signal(x, signals.SignalStyle(np.array([-1.0]), np.array([1.0]), rate), 320)[
            -20:
        ]
        for rate in (50, 5000, 0.01, 0)
    ]
    assert len({d.tobytes() for d in drawn}) == 4  # seconds, milliseconds, hours, samples
