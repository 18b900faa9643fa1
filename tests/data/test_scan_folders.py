"""What folders and names of scans say: classes, patients, sites, parts, BIDS and its tables."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from core.data.readers import read
from core.data.readers.files import Asked
from core.data.readers.scan_folders import read_names


def tree(path, names, **tables):
    for k, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        array = np.random.default_rng(k).normal(100, 9, (4, 5, 6)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path / name)
    for name, text in tables.items():
        (path / name.replace("__", "/").replace("_tsv", ".tsv").replace("_csv", ".csv")).write_text(
            text
        )
    return path


def test_a_folder_a_class(tmp_path):
    data = read(tree(tmp_path, [f"{c}/{c}{k}.nii.gz" for c in ("AD", "CN") for k in range(8)]))
    assert (len(data), data.classes) == (16, ["AD", "CN"])
    assert "group" not in data.roles
    assert all(
        set(data.frame["label"][data.splits == s]) == {"AD", "CN"} for s in ("train", "val", "test")
    )


@pytest.mark.parametrize(
    ("names", "role", "values"),
    [
        ([f"{c}/{k}.nii" for c in ("ill", "well") for k in range(5)], "label", ["ill", "well"]),
        (
            [f"grade{c}/{k}.nii" for c in range(1, 5) for k in range(9)],
            "label",
            ["grade1", "grade2", "grade3", "grade4"],
        ),
        (
            [f"set/images/{c}/scan{k}.nii" for c in ("a", "b", "c") for k in range(4)],
            "label",
            ["a", "b", "c"],
        ),
        (
            [f"patient{p:02}/{k}.nii" for p in range(4) for k in ("FLAIR", "T2")],
            "group",
            [f"patient{p:02}" for p in range(4)],
        ),
        (
            [f"BraTS_{p:03}/BraTS_{p:03}_{k}.nii" for p in range(3) for k in ("t1", "t2", "flair")],
            "group",
            [f"BraTS_{p:03}" for p in range(3)],
        ),
        (
            [f"{p}/{k}.nii" for p in ("Ab", "Cd", "Ef") for k in ("first", "second")],
            "group",
            ["Ab", "Cd", "Ef"],
        ),
        ([f"site{s}/{k}.nii" for s in "AB" for k in range(5)], "domain", ["siteA", "siteB"]),
        (
            [f"IXI{p:03}-{k}.nii" for p in range(3) for k in ("T1", "T2")],
            "group",
            [f"IXI{p:03}" for p in range(3)],
        ),
        (
            [f"images{s}/{k}.nii" for s, n in (("Tr", 6), ("Ts", 3)) for k in range(n)],
            "split",
            ["test", "train"],
        ),
        (
            [f"{p:03}.{k}.nii.gz" for p in range(3) for k in ("t1", "flair")],
            "group",
            [f"{p:03}" for p in range(3)],
        ),
        ([f"1.2.840.{p}{k}.nii.gz" for p in range(3) for k in range(4)], "", []),
        ([f"p{k}.nii" for k in range(6)], "", []),
        ([f"labels/x{k}.nii" for k in range(6)], "", []),
    ],
)
def test_what_folders_and_names_say(names, role, values):
    said = read_names(names, Asked())
    assert list(said.roles) == ([role] if role else [])
    assert sorted(set(said.columns.get(said.roles.get(role, ""), []))) == values


def test_classes_around_folders_of_patients_are_classes_and_patients(tmp_path):
    names = [
        f"{c}/sub{p}/{k}.nii.gz"
        for p in range(8)
        for c in [("AD", "CN")[p % 2]]
        for k in ("t1", "t2")
    ]
    data = read(tree(tmp_path, names))
    assert (data.classes, len(set(data.groups))) == (["AD", "CN"], 8)
    assert data.roles["group"] == "patient"
    asked = read_names(names, Asked(label="folder"))
    assert (asked.roles["label"], asked.roles["group"]) == ("label", "patient")
    assert "label" not in read_names(names, Asked(label="none")).roles


def test_bids_sessions_stay_with_their_patient_and_its_tables_are_joined(tmp_path):
    names = [
        f"sub-{p:02}/ses-{s}/anat/sub-{p:02}_ses-{s}_T1w.nii.gz" for p in range(12) for s in (1, 2)
    ]
    people = "participant_id\tage\tdiagnosis\n" + "".join(
        f"sub-{p:02}\t{40 + p}\t{('CN', 'AD')[p % 2]}\n" for p in range(12)
    )
    data = read(tree(tmp_path, names, participants_tsv=people))
    assert (len(data), len(set(data.groups)), data.modality) == (24, 12, "volume")
    assert data.frame.groupby("patient")[data.roles["split"]].nunique().max() == 1
    assert data.frame.loc[data.frame["patient"] == "sub-07", "age"].tolist() == [47, 47]
    assert (data.roles["label"], data.classes) == ("diagnosis", ["AD", "CN"])
    assert "left out" not in data.card


def test_tables_of_sessions_and_of_scans_are_joined_and_times_of_scans_left_out(tmp_path):
    names = [
        f"sub-{p}/ses-{s}/anat/sub-{p}_ses-{s}_{k}.nii.gz"
        for p in "ab"
        for s in (1, 2)
        for k in ("T1w", "FLAIR")
    ]
    tables = {
        f"sub-{p}__sub-{p}_sessions_tsv": f"session_id\tscore\nses-1\t{k}1\nses-2\t{k}2\n"
        for k, p in enumerate("ab", 1)
    }
    tables |= {
        f"sub-{p}__ses-{s}__sub-{p}_ses-{s}_scans_tsv": (
            f"filename\tacq_time\tquality\nanat/sub-{p}_ses-{s}_T1w.nii.gz\t1999-01-01\tgood{s}\n"
        )
        for p in "ab"
        for s in (1, 2)
    }
    data = read(tree(tmp_path, names, **tables))
    frame = data.frame.set_index("file")
    assert frame.loc[names[0], "quality"] == "good1"
    assert frame["score"].tolist() == [11, 11, 12, 12, 21, 21, 22, 22]
    assert set(frame["scan type"]) == {"T1w", "FLAIR"}
    assert "acq_time" not in frame


def test_a_table_that_names_every_patient_is_joined_also_by_their_numbers(tmp_path):
    names = [f"patient{p:02}/{k}.nii.gz" for p in (7, 19) for k in ("FLAIR", "T2")]
    data = read(tree(tmp_path, names, info_csv="patient_id,age\n7,53\n8,41\n19,47\n"))
    assert data.frame.set_index("file")["age"].tolist() == [53, 53, 47, 47]
    assert any("by the number in the patients' names" in r for r in data.card["rules"])


def test_made_scans_in_derivatives_are_left_out_by_name(tmp_path):
    names = [f"sub-{p:02}/anat/sub-{p:02}_T1w.nii.gz" for p in range(3)]
    made = [
        f"derivatives/prep/sub-{p:02}/anat/sub-{p:02}_desc-preproc_T1w.nii.gz" for p in range(3)
    ]
    data = read(tree(tmp_path, names + made))
    assert list(data.table["file"]) == names
    assert data.card["left out"] == made
