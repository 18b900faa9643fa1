"""Recordings as windows: EDF, EDF+ and BDF, unmarked WFDB records, tables with a time column, and
folders of equal files of numbers.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest

from core.data.checks import check_dataset
from core.data.readers import preview, read
from core.data.readers.signal_windows import bridge_gaps
from core.errors import UserError
from core.evidence import shared_data
from tests.data.make import CANARIES, edf, eeg

pytest.importorskip("edfio")


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def everything(data):
    """All that is kept of a dataset, as one text."""
    return (
        json.dumps([data.name, data.card, data.roles], default=str, ensure_ascii=False)
        + data.table.to_csv()
    )


def outcome(path):
    """The modality that is read, or the sentence that is said; anything else is a fault."""
    try:
        return read(path).modality
    except UserError as e:
        return str(e)


# -- EDF -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bdf", [False, True])
def test_a_recording_is_cut_into_windows_in_its_units(tmp_path, bdf):
    x = eeg()
    data = read(
        put(
            tmp_path / ("a.bdf" if bdf else "a.edf"),
            edf(x, labels=["Fp1", "Fp2", "ECG", "C4"], units=["uV", "uV", "mV", "uV"], bdf=bdf),
        )
    )
    assert (data.modality, data.shape) == ("series", (4, 1280))
    assert data.card["units"] == ["µV", "µV", "mV", "µV"]
    assert data.card["channels"] == ["Fp1", "Fp2", "ECG", "C4"]
    assert data.card["rate_hz"] == 128
    for row, at in zip(data.inputs(), data.frame["time"]):
        true = x[:, round(at * 128) : round(at * 128) + 1280]
        np.testing.assert_allclose(row, true - np.median(true, 1, keepdims=True), atol=0.01)
    assert set(data.splits) == {"train", "val", "test"}
    times, part = data.frame["time"].to_numpy(), data.splits
    # a window left out at every border
    assert all(np.diff(times)[k] >= 20 for k in np.flatnonzero(part[1:] != part[:-1]))
    assert next(f for f in check_dataset(data) if f.kind == "groups").title == "Split in time"


def test_nothing_of_the_header_is_kept(tmp_path):
    marks = [
        (10, 0, "eyes open"),
        (30, 0, f"{CANARIES['name']} moved"),
        (50, 0, "moved from bed 12 at 21:47 by her son"),
        (60, 0, "born 02.05.51"),
    ]
    folder = tmp_path / "in"
    for k in range(2):
        put(
            folder / f"{CANARIES['name']}_{k}.edf",
            edf(eeg(seed=k), marks=marks, labels=["EEG C1", "EEG C2", CANARIES["name"], "EEG C4"]),
        )
    data = read(folder)
    stored = data.save(tmp_path / "out")
    kept = (
        everything(data)
        + everything(stored)
        + "".join(f.read_text(errors="ignore") for f in (tmp_path / "out").rglob("*.json"))
    )
    kept = re.sub(r"[0-9a-f]{16,}", "", kept)  # a checksum may hold any four digits
    for word in [*CANARIES.values(), "MRN77", "1951", "1994", "Machine7", "bed 12", "02.05"]:
        assert word.lower() not in kept.lower()
    assert {"eyes open", "note", "none"} >= set(data.table["event"])
    assert list(data.table["file"].unique()) == ["recording 1", "recording 2"]
    assert data.card["channels"][2] == "channel 3"
    assert "patient" not in data.table  # one patient only


def test_one_patient_stays_in_one_part_and_keeps_the_number(tmp_path):
    for p in range(4):
        for k in range(2):
            put(
                tmp_path / f"s{p}{k}.edf",
                edf(eeg(60, seed=p), patient=f"P00{p} M 01-JAN-1960 Name{p}"),
            )
    put(tmp_path / "unknown.edf", edf(eeg(60), patient="X X X X"))
    one, two = read(tmp_path, key=b"k" * 32), read(tmp_path, key=b"k" * 32)
    other = read(tmp_path, key=b"o" * 32)
    assert one.roles["group"] == "patient"
    assert one.table["patient"].nunique() == 5
    assert list(one.table["patient"]) == list(two.table["patient"])
    known = one.table["file"] != "unknown.edf"
    assert not set(one.table["patient"][known]) & set(other.table["patient"][known])
    assert one.table.groupby("patient")["split"].nunique().max() == 1
    assert "Name" not in everything(one)


def test_marks_that_cover_windows_are_the_label(tmp_path):
    stages = ["Sleep stage W", "Sleep stage 2", "Sleep stage R"]
    marks = [(30 * k, 30, stages[k // 4 % 3]) for k in range(24)] + [(45, 0, "Lights off")]
    data = read(put(tmp_path / "night.edf", edf(eeg(720, rate=64), rate=64, marks=marks)))
    assert data.card["rules"][-2].startswith(
        "the label is the mark"
    ) or "the label is the mark" in " ".join(data.card["rules"])
    assert data.shape == (4, 30 * 64)  # windows are as long as the marks
    assert data.classes == sorted(stages)
    assert all(data.frame["label"] == [stages[int(t // 30) // 4 % 3] for t in data.frame["time"]])


def test_an_interrupted_recording_has_no_window_across_its_gap(tmp_path):
    x = eeg(300)
    begins = [k + (500 if k >= 95 else 0) for k in range(300)]
    data = read(put(tmp_path / "a.edf", edf(x, begins=begins, marks=[(617, 0, "after")])))
    times = data.frame["time"].to_numpy()
    assert not ((times > 85) & (times < 595)).any()
    at = np.flatnonzero(times == 615)[0]
    assert data.frame["event"].iloc[at] == "after"
    true = x[:, 115 * 128 : 125 * 128]
    np.testing.assert_allclose(data.raw()[at], true - np.median(true, 1, keepdims=True), atol=0.01)


def test_rates_channels_and_units_are_brought_together(tmp_path):
    put(tmp_path / "a.edf", edf(eeg(200, rate=256), rate=256, labels=["C3", "C4", "EOG", "EMG"]))
    put(
        tmp_path / "b.edf",
        edf(
            eeg(200, rate=256)[:3] / 1000,
            rate=256,
            labels=["c4", "C3", "EOG"],
            units=["mV", "mV", "mV"],
        ),
    )
    put(tmp_path / "c.edf", edf(eeg(200, rate=512), rate=512, labels=["C3", "C4", "EOG", "EMG"]))
    data = read(tmp_path)
    assert data.card["channels"] == ["C3", "C4", "EOG"]
    assert data.card["rate_hz"] == 128
    spread = [data.raw()[(data.table["file"] == f).to_numpy()].std() for f in ("a.edf", "c.edf")]
    assert spread[0] == pytest.approx(spread[1], rel=0.1)
    assert "channel EMG (not in every recording)" in data.card["left out"]
    frequency = np.abs(np.fft.rfft(data.raw()[0, 0])).argmax() / 10
    assert frequency == pytest.approx(10, abs=0.2)


def test_short_recordings_of_one_length_are_a_case_each_and_folders_are_classes(tmp_path):
    for k in range(12):
        put(
            tmp_path / ("normal" if k % 2 else "ill") / f"e{k}.edf",
            edf(eeg(10, seed=k), patient="X X X X"),
        )
    data = read(tmp_path)
    assert len(data) == 12
    assert data.shape == (4, 1280)
    assert data.classes == ["ill", "normal"]
    sheet = pd.DataFrame(
        {"file": [f"e{k}.edf" for k in range(12)], "diagnosis": ["a", "b", "c"] * 4}
    )
    for k in range(12):
        put(tmp_path / "flat" / f"e{k}.edf", edf(eeg(10, seed=k), patient="X X X X"))
    sheet.to_csv(tmp_path / "flat" / "sheet.csv", index=False)
    joined = read(tmp_path / "flat")
    assert joined.classes == ["a", "b", "c"]
    assert list(joined.frame["diagnosis"]) == [
        sheet.set_index("file")["diagnosis"][f] for f in joined.frame["file"]
    ]


WRONG = {
    "signals more than bytes": ({"count": b"400", "size": b"102656"}, "ends within its header"),
    "records more than bytes": ({"records": b"99999"}, "cut off or damaged"),
    "records of no number": ({"records": b"many"}, "no number where the number of records"),
    "negative records": ({"records": b"-7"}, "holds -7 records"),
    "negative duration": ({"duration": b"-1"}, "lasts -1 s"),
    "no duration": ({"duration": b"0"}, "lasts 0 s"),
    "duration not finite": ({"duration": b"inf"}, "no number where the length of a record"),
    "no signals": ({"count": b"0", "size": b"256"}, "names 0 signals"),
    "too many signals": ({"count": b"9999"}, "at most 512"),
    "huge samples per record": ({"samples": b"99999999"}, "cut off or damaged"),
    "negative samples": ({"samples": b"-128"}, "-128 samples a record"),
    "size of header": ({"size": b"768"}, "where 4 signals need"),
    "NUL in a number": ({"records": b"2\x000"}, "no number"),
    "letters in a number": ({"count": "é4".encode("latin-1")}, "no number"),
    "fast beyond sense": ({"duration": b"1e-30"}, "samples a second"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, name):
    fields, words = WRONG[name]
    path = put(tmp_path / "bad.edf", edf(eeg(30), **fields))
    with pytest.raises(UserError) as said:
        read(path)
    assert words in str(said.value)
    assert "bad.edf" in str(said.value)
    assert "\n" not in str(said.value)
    assert not any(c.lower() in str(said.value).lower() for c in CANARIES.values())


def test_every_cut_is_refused_or_whole_and_letters_beyond_ascii_do_no_harm(tmp_path):
    whole = edf(eeg(20), marks=[(3, 0, "blink")])
    for at in [1, 100, 255, 256, 700, 1300, len(whole) // 2, len(whole) - 1]:
        with pytest.raises(UserError, match=r"bad\.edf"):
            read(put(tmp_path / "bad.edf", whole[:at]))
    named = edf(eeg(60), labels=["Fühler", "C\0 4", "日本"[:0] or "", "µ"], patient="X X X Ünlü")
    data = read(put(tmp_path / "ok.edf", named))
    assert data.card["channels"] == ["Fühler", "C 4", "channel 3", "µ"]


def test_marks_alone_and_damaged_marks_are_refused(tmp_path):
    only = bytearray(edf(eeg(20), marks=[(3, 0, "blink")]))
    for i in range(4):
        only[256 + 16 * i : 272 + 16 * i] = b"EDF Annotations "
    with pytest.raises(UserError, match="marks but no signal"):
        read(put(tmp_path / "bad.edf", bytes(only)))
    torn = edf(eeg(20), marks=[(3, 0, "blink")]).replace(b"+3\x14blink", b"\xff\xfe\x14blink")
    with pytest.raises(UserError, match=r"marks .* cannot be read"):
        read(put(tmp_path / "bad.edf", torn))


def marks_alone(marks, seconds=600, **fields):
    return edf(np.zeros((0, seconds)), rate=1, marks=marks, patient="X X X X", **fields)


STAGES = [(30 * k, 30, f"Sleep stage {'W' if k % 2 else '2'}") for k in range(20)]


@pytest.mark.parametrize("late", [0, 60])
def test_marks_in_a_file_of_their_own_are_joined_by_name_and_time(tmp_path, late):
    """As in Sleep-EDF: SC4001E0-PSG and SC4001EC-Hypnogram; that of another night stays aside."""
    for k, begin in ((1, b"21.00.00"), (2, b"22.00.00")):
        put(
            tmp_path / f"SC400{k}E0-PSG.edf",
            edf(eeg(600, rate=64), rate=64, patient="X X X X", time=begin),
        )
    put(
        tmp_path / "SC4001EC-Hypnogram.edf",
        marks_alone(STAGES, time=b"21.00.00" if not late else b"21.01.00"),
    )
    put(tmp_path / "SC4002EC-Hypnogram.edf", marks_alone(STAGES, time=b"04.00.00"))
    data = read(tmp_path)
    assert data.shape == (4, 30 * 64)
    one = data.frame[data.frame["file"] == "SC4001E0-PSG.edf"]
    said = one["label" if not late else "event"]  # late ones cover less than half of all windows
    assert all(
        word == STAGES[round(t - late) // 30][2] for t, word in zip(one["time"], said) if t >= late
    )
    assert set(said[one["time"] < late]) <= {"none"}
    assert any("SC4001EC-Hypnogram.edf to SC4001E0-PSG.edf" in rule for rule in data.card["rules"])
    assert any(
        left.startswith("SC4002EC-Hypnogram.edf (marks alone") for left in data.card["left out"]
    )


def test_marks_that_may_be_of_two_recordings_are_left_aside(tmp_path):
    for k in (1, 2):
        put(tmp_path / f"night{k}.edf", edf(eeg(300, rate=64), rate=64, patient="X X X X"))
    put(tmp_path / "night_events.edf", marks_alone([(10, 30, "apnea")]))
    data = read(tmp_path)
    assert "label" not in data.table
    assert "event" not in data.table
    assert any(left.startswith("night_events.edf") for left in data.card["left out"])


def test_random_damage_gives_data_or_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    good = edf(eeg(20, channels=2), marks=[(3, 2, "blink"), (9, 0, "x")])
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(int(rng.integers(1, 5))):
            bad[int(rng.integers(0, 1400 if rng.random() < 0.8 else len(bad)))] = int(
                rng.integers(0, 256)
            )
        said = outcome(put(tmp_path / "f.edf", bytes(bad)))
        assert said == "series" or "\n" not in said


# -- text files ------------------------------------------------------------------------------------
def timed(path, n=6400, rate=128.0, column="time", factor=1.0, **more):
    x = eeg(n / rate, rate, 2)
    frame = pd.DataFrame(
        {column: np.arange(n) / rate * factor, "C3 (uV)": x[0, :n], "C4 (uV)": x[1, :n], **more}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.round(6).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("column", "factor"), [("time", 1), ("t (ms)", 1e3), ("Time_s", 1), ("seconds", 1)]
)
def test_a_table_with_even_times_is_a_recording_unless_asked_otherwise(tmp_path, column, factor):
    path = timed(tmp_path / "a.csv", column=column, factor=factor)
    data = read(path)
    assert (data.modality, data.card["channels"], data.card["units"]) == (
        "series",
        ["C3", "C4"],
        ["µV", "µV"],
    )
    assert data.card["rate_hz"] == pytest.approx(128, rel=1e-3)
    assert preview(path)["series"]
    table = read(path, series="no")
    assert table.modality == "table"
    assert len(table) == 6400


def test_dates_are_read_as_time_and_not_kept(tmp_path):
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("1994-03-17 21:47:33", periods=4000, freq="20ms"),
            "hr": np.sin(np.arange(4000) / 50),
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = read(tmp_path / "a.csv")
    assert data.card["rate_hz"] == pytest.approx(50)
    assert "1994" not in everything(data)


def test_tables_stay_tables(tmp_path):
    rng = np.random.default_rng(0)
    n = 300
    frames = {
        "uneven": {"time": np.sort(rng.uniform(0, 100, n)), "x": rng.normal(size=n)},
        "few": {"time": np.arange(100), "x": rng.normal(size=100)},
        "words": {
            "time": np.arange(n),
            "x": rng.normal(size=n),
            "name": [f"n{i}" for i in range(n)],
        },
        "labelled": {"time": np.arange(n), "x": rng.normal(size=n), "label": rng.integers(0, 2, n)},
        "other name": {"age": np.arange(n), "x": rng.normal(size=n)},
        "unsorted": {"time": rng.permutation(n), "x": rng.normal(size=n)},
    }
    for name, columns in frames.items():
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
        assert read(tmp_path / f"{name}.csv").modality == "table", name
    with pytest.raises(UserError, match="not evenly spaced"):
        read(tmp_path / "uneven.csv", series="yes")
    forced = read(tmp_path / "labelled.csv", series="yes")
    assert forced.modality == "series"


def test_labels_beside_the_times_become_those_of_windows_when_asked_for(tmp_path):
    path = timed(
        tmp_path / "a.csv", n=128 * 300, label=np.repeat(["rest", "walk", "rest"], 128 * 100)
    )
    data = read(path, series="yes")
    assert data.classes == ["rest", "walk"]
    assert all(
        ("walk" if 100 <= t < 200 else "rest") == v
        for t, v in zip(data.frame["time"], data.frame["label"])
    )


def test_several_tables_are_several_recordings_and_missing_samples_cost_their_window(tmp_path):
    for k in range(3):
        timed(tmp_path / f"r{k}.csv", n=128 * 100)
    hole = pd.read_csv(tmp_path / "r1.csv")
    hole.loc[128 * 35 : 128 * 36, "C3 (uV)"] = np.nan
    hole.to_csv(tmp_path / "r1.csv", index=False)
    data = read(tmp_path)
    assert data.roles["group"] == "file"
    counts = data.table["file"].value_counts()
    assert counts["r0.csv"] - counts["r1.csv"] == 1
    assert np.isfinite(data.inputs()).all()


def test_single_missing_samples_are_bridged_longer_gaps_are_not():
    x = np.arange(100.0)
    x[[0, 10, 20, 21, 22]] = np.nan
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(bridge_gaps(x, 1))), [0, 20, 21, 22])
    np.testing.assert_allclose(bridge_gaps(x, 3)[1:], np.arange(1, 100.0))


def test_equal_files_of_numbers_are_a_series_each(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(10):
        np.savetxt(tmp_path / f"s{k}.txt", rng.normal(size=(50, 3)))
    data = read(tmp_path)
    assert (data.modality, len(data), data.shape) == ("series", 10, (3, 50))
    np.testing.assert_allclose(data.raw()[4], np.loadtxt(tmp_path / data.names()[4]).T, rtol=1e-6)
    assert data.card["rate_hz"] == 0
    assert read(tmp_path, series="no").modality == "table"
    np.savetxt(tmp_path / "s9.txt", rng.normal(size=(51, 3)))
    assert read(tmp_path).modality == "table"


# -- real records ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("place", "channels", "unit", "least"),
    [
        ("a103l.*", ["II", "V", "PLETH"], "mV", 28),
        ("03700181.*", ["MCL1", "ABP", "RESP"], "mV", 50),
        ("multi-segment/fixed1/*", ["II", "V", "PLETH", "RESP"], "mV", 80),
        ("multi-segment/041s/*", ["III", "I", "V", "ABP", "PAP", "PLETH", "RESP"], "mV", 10),
    ],
)
def test_records_without_marks_come_in_as_windows(tmp_path, place, channels, unit, least):
    pytest.importorskip("wfdb")
    if shared_data() is None:
        pytest.skip("the open data is not here")
    for f in (shared_data() / "physionet_ecg_samples").glob(place):
        put(tmp_path / f.name, f.read_bytes())
    data = read(tmp_path)
    assert data.card["channels"] == channels
    assert data.card["units"][0] == unit
    assert len(data) >= least
    assert np.isfinite(data.inputs()).all()
    assert not any(w in everything(data) for w in ("Asystole", "1994", "17:27", "False alarm"))


def test_open_trajectories_are_a_series_each():
    if shared_data() is None:
        pytest.skip("the open data is not here")
    data = read(shared_data() / "pvrnn_sa_trajectories")
    assert (data.modality, len(data), data.shape) == ("series", 48, (5, 200))
    assert -0.87 < data.raw().min() < data.raw().max() < 0.9


# -- clipping --------------------------------------------------------------------------------------
def test_windows_at_the_end_of_what_can_be_stored_are_a_finding(tmp_path):
    """From 50 s to 70 s one channel is driven to its limit."""
    x = eeg(200)
    free = read(put(tmp_path / "free.edf", edf(x)))
    assert not [f for f in check_dataset(free) if f.kind == "clipped"]
    x[1, 50 * 128 : 70 * 128] *= 20
    x[1] = x[1].clip(-200, 200)
    data = read(put(tmp_path / "clipped.edf", edf(x, labels=["C1", "C2", "C3", "C4"])))
    (found,) = [f for f in check_dataset(data) if f.kind == "clipped"]
    at = data.of(np.array(found.rows)).frame["time"]
    assert found.severity == "look"
    assert set(at) <= {50.0, 60.0}
    assert len(at) >= 1
    assert "C2" in found.words
    assert "C1" not in found.words
    assert "clipped" not in data.table


def test_oxygen_and_switches_may_stand_at_their_end(tmp_path):
    x = np.full((2, 200 * 128), 100.0)
    x[0, ::1000], x[1, ::1000] = 90.0, 40.0
    x[1, 5::1000] = -100.0
    data = read(put(tmp_path / "night.edf", edf(x, labels=["SpO2", "flow"], units=["%", "l/s"])))
    (found,) = [f for f in check_dataset(data) if f.kind == "clipped"]
    assert "flow" in found.words
    assert "SpO2" not in found.words
