"""WFDB records written byte by byte: pauses, channels that come and go, missing samples within a
frame, units of segments, and marks around a pause.
"""

import numpy as np
import pytest

from core.data.checks import check_dataset
from core.data.readers import read
from core.data.readers.files import collect
from core.data.readers.wfdb_file import read_record
from core.errors import UserError

wfdb = pytest.importorskip("wfdb")


def wave(seconds, rate, hz=1.2, phase=0.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate + phase)


def segment(
    folder, name, signals, rate=100, per=(), gain=200, units=(), names=("I", "II", "III"), sums=()
):
    """A record of 16-bit samples `signals` (a list of float arrays, NaN = missing), `per` samples a
    frame of each; `sums`: what is added to the checksums, which are not written without it.
    """
    per = per or [1] * len(signals)
    numbers = [
        np.where(np.isfinite(s), np.round(np.nan_to_num(s) * gain), -32768).astype("<i2")
        for s in signals
    ]
    frames = len(numbers[0]) // per[0]
    packed = np.concatenate([x.reshape(frames, k) for x, k in zip(numbers, per)], 1)
    (folder / f"{name}.dat").write_bytes(packed.tobytes())
    lines = [f"{name} {len(signals)} {rate} {frames}"]
    for i, (x, k) in enumerate(zip(numbers, per)):
        lines.append(
            f"{name}.dat 16{f'x{k}' if k > 1 else ''} {gain}(0)/{units[i] if units else 'mV'} 16 0"
            f" {x[0]} {(int(x.sum()) + sums[i]) % 65536 if sums else 0} 0 {names[i]}"
        )
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    return frames


def record(path):
    members = collect(path)
    return read_record(next(m for m in members if m.name.endswith("r.hea")), members)


# -- pauses ----------------------------------------------------------------------------------------
def test_a_pause_counts_and_no_window_reaches_across_it(tmp_path):
    a, b = (
        segment(tmp_path, f"p{k}", [wave(120, 100, phase=k)], gain=g)
        for k, g in ((1, 1000), (2, 500))
    )
    (tmp_path / "r.hea").write_text(f"r/3 1 100 {a + b + 1000}\np1 {a}\n~ 1000\np2 {b}\n")
    data = read(tmp_path)
    assert data.shape == (1, 1000)
    times = data.frame["time"].to_numpy()
    assert not ((times > 110) & (times < 130)).any()
    assert {100.0, 130.0} <= {*times, 100.0}
    for at, x in zip(times, data.raw()[:, 0]):
        true = (
            wave(120, 100, phase=1)[round(at * 100) :][:1000]
            if at < 120
            else wave(120, 100, phase=2)[round((at - 130) * 100) :][:1000]
        )
        np.testing.assert_allclose(x, true - np.median(true), atol=0.003)
    assert any("1 pause within" in rule for rule in data.card["rules"])


def test_ten_windows_of_the_usual_length_are_not_cut_shorter(tmp_path):
    a, b = (segment(tmp_path, f"p{k}", [wave(60, 100, phase=k)]) for k in (1, 2))
    (tmp_path / "r.hea").write_text(f"r/3 1 100 {a + b + 1000}\np1 {a}\n~ 1000\np2 {b}\n")
    data = read(tmp_path)
    assert data.frame["time"].tolist() == [*range(0, 60, 10), *range(70, 130, 10)]
    assert data.splits.tolist() == ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    assert data.card["split rule"].endswith("one after the other")
    segment(tmp_path, "p1", [wave(200, 100)])
    (tmp_path / "r.hea").write_text("r/1 1 100 20000\np1 20000\n")
    data = read(tmp_path)
    assert data.card["split rule"].endswith("10 s apart")
    assert not any("fewer than" in r for r in data.card["rules"])


def test_a_pause_of_days_takes_no_memory(tmp_path):
    a = segment(tmp_path, "p1", [wave(60, 100)])
    (tmp_path / "r.hea").write_text(f"r/3 1 100 {2 * a + 10**11}\np1 {a}\n~ {10**11}\np1 {a}\n")
    found = record(tmp_path)
    assert len(found.signals[0].values) == 2 * a
    assert found.pieces == ((0.0, 0.0, 0.5), (60.0 + 1e9, 0.5, 1.0))


def test_segments_without_a_pause_are_one_stretch(tmp_path):
    a = segment(tmp_path, "p1", [wave(30, 100)])
    b = segment(tmp_path, "p2", [wave(30, 100, phase=1)])
    (tmp_path / "r.hea").write_text(f"r/2 1 100 {a + b}\np1 {a}\np2 {b}\n")
    assert record(tmp_path).pieces == ()


def test_beats_around_a_pause(tmp_path):
    """Marks count from the record's start, pauses with them."""
    at = np.arange(100, 5900, 100)
    x = np.zeros(6000)
    x[at] = 1.0
    for k in (1, 2):
        segment(tmp_path, f"p{k}", [x], rate=100)
    (tmp_path / "r.hea").write_text("r/3 1 100 13000\np1 6000\n~ 1000\np2 6000\n")
    marks = np.concatenate([at, at + 7000])
    wfdb.wrann("r", "atr", marks, ["N"] * len(marks), write_dir=str(tmp_path))
    data = read(tmp_path)
    assert set(data.inputs().argmax(2).ravel().tolist()) <= {53, 54, 55}
    late = data.frame[data.frame["time"] > 70]
    assert len(late) > 20
    assert data.frame["rr_before_s"].dropna().between(0.99, 1.01).all(), (
        "the first beat behind a pause has none before it"
    )


# -- channels that come and go ---------------------------------------------------------------------
def bed(folder, seconds, total=300):
    """Lead II throughout, PLETH in the first `seconds` only."""
    (folder / "l.hea").write_text(
        "l 2 125 0\n~ 0 200(0)/mV 16 0 0 0 0 II\n~ 0 200(0)/NU 16 0 0 0 0 PLETH\n"
    )
    a = segment(
        folder,
        "s1",
        [wave(seconds, 125), wave(seconds, 125)],
        125,
        units=("mV", "NU"),
        names=("II", "PLETH"),
    )
    b = segment(folder, "s2", [wave(total - seconds, 125)], 125, names=("II",))
    (folder / "r.hea").write_text(f"r/3 2 125 {a + b}\nl 0\ns1 {a}\ns2 {b}\n")


@pytest.mark.parametrize(
    ("seconds", "channels", "many"), [(20, ["II"], 30), (5, ["II"], 30), (240, ["II", "PLETH"], 24)]
)
def test_a_channel_stays_as_long_as_it_keeps_more_samples_than_it_costs(
    tmp_path, seconds, channels, many
):
    bed(tmp_path, seconds)
    data = read(tmp_path)
    assert data.card["channels"] == channels
    assert many - 3 <= len(data) <= many  # some are left out between the parts
    rules = " ".join(data.card["rules"])
    if len(channels) == 1:
        assert (
            f"channel PLETH left out: it is missing in {30 - seconds // 10} of 30 windows" in rules
        )
    else:
        assert "6 windows left out in which samples are missing" in rules
        assert "PLETH 6" in rules


def test_a_flat_channel_is_left_out_by_name(tmp_path):
    segment(tmp_path, "r", [wave(300, 100), np.full(30000, 0.7)])
    data = read(tmp_path)
    assert data.card["channels"] == ["I"]
    assert any("II, flat in every window" in rule for rule in data.card["rules"])


# -- missing samples, units ------------------------------------------------------------------------
def test_missing_samples_within_a_frame_are_no_voltages(tmp_path):
    x = wave(300, 400)
    holes = np.arange(4000, 120000, 8000)
    x[holes] = np.nan
    segment(
        tmp_path, "r", [x, wave(300, 100)], per=(4, 1), units=("mV", "NU"), names=("II", "RESP")
    )
    found = record(tmp_path)
    assert [s.rate for s in found.signals] == [400, 100]
    assert np.array_equal(np.flatnonzero(np.isnan(found.signals[0].values)), holes)
    data = read(tmp_path)
    assert data.raw()[:, 0].min() > -1.1
    assert data.raw()[:, 0].max() < 1.1
    assert len(data) >= 27, "single missing samples are bridged"


def test_leads_in_other_voltages_are_brought_to_mv(tmp_path):
    segment(
        tmp_path,
        "r",
        [wave(300, 100), 1000 * wave(300, 100, phase=1), wave(300, 100)],
        gain=20,
        units=("mV", "uV", "mmHg"),
        names=("I", "II", "ABP"),
    )
    data = read(tmp_path)
    assert data.card["units"] == ["mV", "mV", "mmHg"]
    assert data.raw()[:, 1].max() == pytest.approx(1, abs=0.06)
    assert any("brought to one unit of voltage: II from µV" in rule for rule in data.card["rules"])


def test_marked_leads_in_microvolts_are_seen(tmp_path):
    at = np.arange(300, 35000, 100)
    x = np.zeros(36000)
    x[at] = 1.0
    for k in (-1, 1):
        x[at + k] = 0.5
    segment(tmp_path, "r", [1000 * x], gain=10, units=("uV",))
    wfdb.wrann("r", "atr", at, ["N"] * len(at), write_dir=str(tmp_path))
    data = read(tmp_path)
    assert data.card["unit"] == "mV"
    assert np.median(data.raw().max(2)) == pytest.approx(1, abs=0.1)
    assert any("brought to mV: I (µV)" in rule for rule in data.card["rules"])


def test_segments_of_other_units(tmp_path):
    a = segment(tmp_path, "p1", [wave(60, 100)], units=("mV",))
    b = segment(tmp_path, "p2", [1000 * wave(60, 100)], gain=20, units=("uV",))
    (tmp_path / "r.hea").write_text(f"r/2 1 100 {a + b}\np1 {a}\np2 {b}\n")
    values = record(tmp_path).signals[0].values
    np.testing.assert_allclose([values[:a].max(), values[a:].max()], 1, atol=0.01)
    segment(tmp_path, "p2", [wave(60, 100)], units=("mmHg",))
    with pytest.raises(UserError, match="in mV in one segment and in mmHg in another"):
        read(tmp_path)


# -- rates -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("slow", [36, 16])
def test_recordings_of_very_different_rates(tmp_path, slow):
    """The slower one is left aside by name: at a tenth of the samples it holds no such signal."""
    segment(tmp_path, "fast", [wave(300, 360)], 360)
    segment(tmp_path, "slow", [wave(300, slow)], slow)
    data = read(tmp_path)
    assert set(data.frame["file"]) == {"fast.hea"}
    assert any(
        f"slow.hea (at {slow} Hz, much slower than the others at 360 Hz" in left
        for left in data.card["left out"]
    )


def test_channels_of_very_different_rates(tmp_path):
    segment(
        tmp_path,
        "r",
        [wave(300, 256), wave(300, 16, 0.2), wave(300, 16, 0.2)],
        16,
        per=(16, 1, 1),
        names=("ECG", "RESP", "TEMP"),
    )
    data = read(tmp_path)
    assert data.card["channels"] == ["ECG"]
    assert sum("much slower than the others" in left for left in data.card["left out"]) == 2


def test_rates_that_cannot_be_brought_together_are_a_sentence(tmp_path):
    segment(tmp_path, "a", [wave(300, 256), wave(300, 16)], 16, per=(16, 1))
    segment(tmp_path, "b", [wave(300, 16), wave(300, 256)], 16, per=(1, 16))
    with pytest.raises(UserError, match="rates too different"):
        read(tmp_path)


# -- what is wrong ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("r/2 1 100 200\np1 100\np9 100\n", "segment p9, which is not beside it"),
        ("r/2 1 100 200\np1 100\n../p1 100\n", "outside its folder"),
        ("r/2 1 250 200\np1 100\np1 100\n", "100 frames a second, the record 250"),
        ("r/1 1 100 100\n~ 100\n", "cannot be read as a WFDB record"),
    ],
)
def test_what_is_wrong_is_said_without_a_librarys_words(tmp_path, lines, said):
    segment(tmp_path, "p1", [wave(60, 100)])
    (tmp_path / "r.hea").write_text(lines)
    with pytest.raises(UserError, match=said) as refused:
        record(tmp_path)
    assert "Error" not in str(refused.value)


# -- checksums -------------------------------------------------------------------------------------
def test_samples_that_do_not_add_up_to_the_checksum_are_a_finding(tmp_path):
    for name, sums in (("a", (0, 0)), ("b", (0, 1)), ("c", ())):
        signals = [0.3 + wave(120, 100, phase=k) for k in range(2)]
        segment(tmp_path, name, signals, sums=sums)
    data = read(tmp_path)
    (found,) = [f for f in check_dataset(data) if f.kind == "broken signals"]
    assert "b.hea (II)" in found.words
    assert "a.hea" not in found.words
    rows = data.rows[data.table["file"] == "b.hea"]
    assert (found.severity, found.rows, found.total) == ("look", rows.tolist(), len(rows))
    assert check_dataset(data.take(np.flatnonzero(data.table["file"] != "b.hea")))
    damaged = bytearray((tmp_path / "a.dat").read_bytes())
    damaged[5001] ^= 4
    (tmp_path / "a.dat").write_bytes(damaged)
    (found,) = [f for f in check_dataset(read(tmp_path)) if f.kind == "broken signals"]
    assert "a.hea (I), b.hea (II)" in found.words
