"""Each finding on data made to have it, with its rows, and none of them on clean data. Splits by
group.

Pictures in folders.
"""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.data.checks import check_dataset, collect_facts, dataset_findings
from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.data.splits import make_split
from core.errors import UserError


def made(n=90, modality="image", samples=None, table=None, **roles):
    """Clean by default: distinct pictures, two even classes, thirty patients, each in one part."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "dx": ["ill", "well"] * (n // 2),
            "who": [f"P{k // 3}" for k in range(n)],
            "part": np.repeat(["train", "val", "test"], n // 3),
            **(table or {}),
        }
    )
    x = rng.integers(0, 255, (n, 1, 20, 20), dtype=np.uint8) if samples is None else samples
    return Dataset(
        "made",
        modality,
        frame,
        x,
        None,
        {"label": "dx", "group": "who", "split": "part"} | roles,
        input_range=(0, 255),
    )


def finding(data, kind):
    found = [f for f in check_dataset(data) if f.kind == kind]
    assert len(found) <= 1
    return found[0] if found else None


def test_clean_data_has_nothing_to_look_at():
    found = check_dataset(made())
    # noise tells no labels
    assert {f.kind: f.severity for f in found if f.severity != "ok"} == {"labels doubted": "note"}
    assert {f.kind for f in found} == {
        "size",
        "balance",
        "groups",
        "values",
        "near",
        "outliers",
        "labels doubted",
    }
    assert "30 train, 30 val, 30 test" in finding(made(), "size").words


def test_few_cases():
    assert finding(made().take(np.arange(48)), "size").severity == "look"


def test_copies_name_their_rows_and_their_sides():
    x = made().samples.copy()
    x[5] = x[2]
    f = finding(made(samples=x), "duplicates")
    assert (f.severity, f.rows) == ("look", [2, 5])
    assert "labels differ" in f.words
    x[80] = x[2]
    f = finding(made(samples=x), "duplicates")
    assert (f.severity, f.rows) == ("stop", [2, 5, 80])
    assert finding(made(samples=x).of(np.arange(3, 80)), "duplicates") is None


def test_near_copies_across_the_split_only():
    x = made().samples.astype(int)
    x[70] = x[4] + 1  # a test picture like a training picture
    x[20] = x[4] + 2  # both in training: no finding
    f = finding(made(samples=np.clip(x, 0, 255).astype(np.uint8)), "near")
    assert (f.severity, f.rows[0]) == ("look", 70)
    assert f.rows[1] in (4, 20)
    assert len(f.rows) == 2


def test_copies_are_found_in_cells_as_well(monkeypatch):
    from core import neighbours

    x = np.random.default_rng(0).normal(size=(6000, 8)).astype(np.float32)
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    at, square = neighbours.nearest(x, x[::3] + 1e-4, 2)
    assert (at[:, 0] == np.arange(0, 6000, 3)).mean() > 0.999
    assert square[:, 0].max() < 1e-6


def test_blank_cases():
    x = made().samples.copy()
    x[7], x[41] = 0, 255
    assert finding(made(samples=x), "blank").rows == [7, 41]
    t = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    t[3], t[4], t[5, :3] = np.nan, 2, np.nan
    assert finding(made(samples=t, modality="table"), "blank").rows == [3, 4]


def test_missing_values_and_labels():
    data = made(table={"hb": [None, 3.0] * 45, "dx": [None] * 2 + ["ill", "well"] * 44})
    f = finding(data, "missing")
    assert f.rows == list(range(0, 90, 2))
    assert "“hb” 45" in f.words
    assert finding(data, "labels missing").rows == [0, 1]


def test_classes():
    f = finding(made(table={"dx": ["ill"] * 88 + ["rare"] * 2}), "balance")
    assert (f.severity, f.rows) == ("look", [88, 89])
    assert "has 2 cases" in f.words
    assert "“ill”" in finding(made(table={"dx": "ill"}), "one class").words
    assert (
        finding(made(table={"dx": [str(k) for k in range(90)]}), "balance").title
        == "Very many classes"
    )
    # only ill cases in this view
    assert finding(made().of(np.arange(0, 90, 2)), "one class") is not None


def test_patients_on_two_sides():
    f = finding(made(table={"who": [f"P{k // 7}" for k in range(90)]}), "leak")
    assert f.severity == "stop"
    assert f.rows == [*range(28, 35), *range(56, 63)]
    assert check_dataset(made(table={"who": [f"P{k // 7}" for k in range(90)]}))[0].kind == "leak"
    assert finding(made(table={"who": "P1", "part": "train"}), "groups").title == "One patient only"
    assert finding(
        made(table={"who": [None] + [f"P{k // 3}" for k in range(3, 92)]}), "groups missing"
    ).rows == [0]


def test_columns_that_are_not_what_they_seem():
    rng = np.random.default_rng(0)
    columns = {
        "chol": np.r_[[-9.0] * 3, rng.uniform(100, 300, 87)],
        "delta": np.r_[[-9.0] * 3, rng.normal(0, 5, 87)],
        "age": ["n.k.", *map(str, range(89))],
    }
    x = rng.normal(size=(90, 2)).astype(np.float32)
    data = made(samples=x, modality="table", table=columns)
    data = Dataset("made", "table", data.table, x, None, data.roles, ("chol", "delta"))
    f = finding(data, "codes")
    assert f.rows == [0, 1, 2]
    assert "“chol” -9 in 3 rows" in f.words
    assert "delta" not in f.words
    assert "row 0: “n.k.”" in finding(data, "words").words
    f = finding(made(table={"scan type": ["CT"] * 88 + ["MR"] * 2}), "scan types")
    assert f.rows == [88, 89]


def test_copies_of_texts():
    words = [f"Case {k} came with a cough." for k in range(90)]
    words[60], words[4] = " case 1  CAME with a cough. ", "  "
    data = made(modality="text", table={"note": words}, text="note")
    data = Dataset("made", "text", data.table, None, None, data.roles)
    assert finding(data, "duplicates").rows == [1, 60]
    assert finding(data, "blank").rows == [4]


def test_long_lists_of_rows_are_cut_and_counted(monkeypatch):
    from core.data import checks

    monkeypatch.setattr(checks, "FINDING_ROWS", 200)
    found = {
        f.kind: f for f in check_dataset(made(900, samples=np.zeros((900, 1, 4, 4), np.uint8)))
    }
    assert (len(found["blank"].rows), found["blank"].total) == (200, 900)
    x = np.random.default_rng(1).integers(0, 255, (300, 1, 4, 4), dtype=np.uint8).repeat(3, 0)
    f = finding(made(900, samples=x), "duplicates")
    assert (len(f.rows), len(f.sets), f.total) == (198, 66, 900)  # whole sets only


def flipped(share, seed):
    """Digits of which a share of the labels is wrong, and which."""
    data = make_sample("digits")
    rng, y, k = np.random.default_rng(seed), data.labels, len(data.classes)
    bad = rng.choice(len(y), int(share * len(y)), replace=False)
    y = y.copy()
    y[bad] = (y[bad] + rng.integers(1, k, len(bad))) % k
    return replace(data, table=data.table.assign(digit=np.array(data.classes)[y])), bad


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_wrong_labels_are_found_and_the_trial_says_how_well(share):
    data, bad = flipped(share, 1)
    facts = collect_facts(data)
    named, hit = facts.doubts["rows"], np.isin(facts.doubts["rows"], bad)
    assert hit.mean() > 0.85
    assert hit.sum() / len(bad) > 0.7
    assert facts.doubts["low"] <= hit.mean() <= facts.doubts["high"] + 0.1
    assert abs(facts.doubts["found"] - hit.sum() / len(bad)) < 0.15
    assert hit[: len(named) // 2].mean() >= hit.mean()  # the strongest first
    f = finding(data, "labels doubted")
    right = make_sample("digits")
    said = [f.notes[str(r)] == right.classes[right.labels[r]] for r in np.array(named)[hit]]
    assert np.mean(said) > 0.9
    relabelled = replace(data, table=data.table.assign(digit=make_sample("digits").table["digit"]))
    assert len(
        {f.kind: f for f in check_dataset(relabelled, facts)}["labels doubted"].rows
    ) < 0.2 * len(named)


def test_labels_that_looks_cannot_tell_are_not_doubted():
    f = finding(made(300), "labels doubted")
    assert (f.severity, f.rows) == ("note", [])
    assert "cannot be detected" in f.words


def test_cases_far_from_all_others_come_first():
    x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    x[[33, 250]] += 60
    data = made(400, modality="table", samples=x, table={"part": "train"})
    f = finding(data, "outliers")
    assert (f.severity, sorted(f.rows)) == ("look", [33, 250])
    assert "times as far" in f.notes["33"]


def test_classes_that_go_with_a_site_and_patients_that_outweigh():
    f = finding(made(table={"site": ["north", "south"] * 45}, domain="site"), "sites")
    assert f.severity == "look"
    assert (
        finding(
            made(table={"site": ["north"] * 45 + ["south"] * 45}, domain="site"), "sites"
        ).severity
        == "ok"
    )
    who = ["P0"] * 30 + [f"P{k}" for k in range(60)]
    assert finding(made(table={"who": who, "part": "train"}), "group size").total == 31


@pytest.mark.parametrize("modality", ["volume", "series", "text"])
def test_near_copies_of_other_kinds(modality):
    rng = np.random.default_rng(2)
    if modality == "text":
        notes = [" ".join(rng.choice([f"word{i}" for i in range(400)], 40)) for _ in range(90)]
        notes[70] = notes[4] + " indeed"
        data = replace(made(modality="text", table={"note": notes}, text="note"), samples=None)
    else:
        x = rng.normal(size=(90, 1, 18, 18, 18) if modality == "volume" else (90, 2, 200)).astype(
            np.float32
        )
        x[70] = x[4] + rng.normal(size=x[4].shape) * 0.02
        data = made(modality=modality, samples=x)
    assert finding(data, "near").sets == [[70, 4]]


def test_findings_follow_the_rows_in_use_without_reading_the_samples_again(tmp_path, monkeypatch):
    from core.data import checks
    from core.workspace import review
    from core.workspace.workspace import Workspace

    x = made().samples.copy()
    x[80] = x[5] = x[2]
    x[7] = 0
    ws = Workspace(tmp_path)
    ws.add(made(samples=x))
    first = {f.kind: f for f in dataset_findings(ws, "made")}
    assert first["duplicates"].sets == [[2, 5, 80]]
    monkeypatch.setattr(checks, "collect_facts", None)  # would fail if called again
    assert {f.kind: f for f in dataset_findings(ws, "made")} == first
    one = review.exclude(ws, "made", [80, 7], "copy, blank")
    now = {f.kind: f for f in dataset_findings(ws, "made")}
    assert (now["duplicates"].severity, now["duplicates"].sets) == ("look", [[2, 5]])
    assert "blank" not in now
    review.exclude(ws, "made", [5], "copy")
    assert "values" in {f.kind for f in dataset_findings(ws, "made")}
    review.undo(ws, "made", one.id)
    assert "blank" in {f.kind for f in dataset_findings(ws, "made")}
    review.exclude(ws, "made", range(90), "all")
    assert dataset_findings(ws, "made") == []


def test_split_by_group_never_parts_a_group():
    groups = np.array([f"P{k // 6}" for k in range(120)], dtype=object)
    split, rule = make_split(120, groups=groups)
    assert all(len(set(split[groups == g])) == 1 for g in groups)
    assert "20 groups" in rule
    assert 0.1 < (split == "test").mean() < 0.2
    split, rule = make_split(20, groups=np.array(["a"] * 12 + ["b"] * 8, dtype=object))
    assert (set(split[:12]), set(split[12:])) == ({"train"}, {"test"})
    split, rule = make_split(20, groups=np.array(["a"] * 20, dtype=object))
    assert set(split) == {"train"}
    assert "one group" in rule
    split, _ = make_split(300, groups=np.array([None] * 300, dtype=object))
    assert set(split) == {"train", "val", "test"}  # rows without a group stand for themselves


def png(value, size=(20, 24), kind="L"):
    out = io.BytesIO()
    Image.fromarray(np.full(size, value, np.uint16 if kind == "I;16" else np.uint8)).save(
        out, "PNG"
    )
    return out.getvalue()


def folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_masks_of_equal_names_go_to_their_own_folder(tmp_path):
    files = {f"{c}/{k}.png": png(9 + k) for c in ("ill", "well") for k in range(5)}
    data = read(folder(tmp_path / "a", files | {"masks/ill/3_mask.png": png(1), "notes.txt": b"x"}))
    marked = data.table["file"][data.mask().reshape(10, -1).any(1)]
    assert list(marked) == ["ill/3.png"]
    assert data.card["left out"] == ["notes.txt"]
    with pytest.raises(UserError, match="several pictures of the same name"):
        read(folder(tmp_path / "b", files | {"masks/3.png": png(1)}))
    with pytest.raises(UserError, match=r"masks/ill/8\.png has no picture"):
        read(folder(tmp_path / "c", files | {"masks/ill/8.png": png(1)}))
    parallel = {f"{f}/{k}.png": png(k) for f in ("images", "labels") for k in range(1, 6)}
    data = read(folder(tmp_path / "d", parallel))
    assert (len(data), data.classes) == (5, [])
    assert data.mask().all()


def test_sixteen_bits_and_mixed_sizes(tmp_path):
    data = read(
        folder(
            tmp_path / "a",
            {"1.png": png(4000, kind="I;16"), "2.png": png(1000, kind="I;16"), "3.png": png(7)},
        )
    )
    assert data.samples[:, 0, 0, 0].tolist() == [255, 64, 7]
    assert any("largest (4000)" in r for r in data.card["rules"])
    data = read(
        folder(
            tmp_path / "b",
            {"1.png": png(9, (10, 30)), "2.png": png(9, (40, 40)), "3.png": png(9, (60, 20))},
        )
    )
    assert data.shape == (1, 40, 40)
    assert any("40 by 40" in r and "aspect kept" in r for r in data.card["rules"])
    wide = data.samples[0, 0] > 0
    assert (wide.any(1).sum(), wide.any(0).sum()) == (13, 40)


@pytest.mark.parametrize(("many", "severity"), [(1, "look"), (4, "note"), (12, None)])
def test_few_patients_to_test_on_are_told(many, severity):
    parts = np.array(["train"] * 30 + ["val"] * 30 + ["test"] * 30)
    who = [f"p{i}" for i in range(60)] + [f"q{i % many}" for i in range(30)]
    f = finding(made(table={"who": who, "part": parts}), "few to test on")
    assert (f and f.severity) == severity
    if many == 1:
        assert "holds one patient" in f.words


def test_what_was_left_out_and_missing_labels_are_not_called_in_order():
    data = replace(made(), roles={}, card={"left out": ["notes.txt"]})
    found = {f.kind: f.severity for f in check_dataset(data)}
    assert found["left out"] == found["labels"] == found["groups"] == "note"


@pytest.mark.parametrize(
    ("shape", "told"), [((1, 12, 400), True), ((1, 400, 12), True), ((1, 20, 60), False)]
)
def test_pictures_that_may_be_recordings_are_told(shape, told):
    samples = np.random.default_rng(0).integers(0, 255, (90, *shape), dtype=np.uint8)
    f = finding(made(samples=samples), "long pictures")
    assert (f is not None) == told
    if told:
        assert "12 channels over time" in f.words
