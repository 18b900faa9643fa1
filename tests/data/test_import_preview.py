"""The look before an import: a few pictures of each kind of data, the list of what could say who
somebody is, little read and nothing left behind.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core import sandbox
from core.data.readers import read
from core.errors import UserError
from core.jobs.import_preview import LOOK, describe_cost, list_entries, look
from core.jobs.preview_pictures import TILE, middle_of, read_slices
from tests.data._dicom import stack, write
from tests.data.make import CANARIES, edf
from tests.data.test_wfdb_file import segment, wave


def png(level: int, side: int = 28, **save: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((side, side), level, np.uint8)).save(out, "PNG", **save)
    return out.getvalue()


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as z:
        for name, data in files.items():
            z.writestr(name, data)
    return path


def happens(found: dict[str, Any], **fates: str) -> dict[str, str]:
    chosen = {c["column"]: c["fate"] for c in found["columns of people"]} | fates
    return {e["what"]: e["happens"] for e in list_entries(found, chosen)}


def test_pictures_of_each_class_are_drawn_and_few_files_are_opened(tmp_path: Path) -> None:
    levels = {"NORMAL": 60, "PNEUMONIA": 200}
    files = {f"{name}/{i:03}.png": png(level) for name, level in levels.items() for i in range(50)}
    found = look(zipped(tmp_path / "chest.zip", files))
    assert [(p["title"], p["words"]) for p in found["pictures"]] == [
        ("NORMAL", "6 of 50"),
        ("PNEUMONIA", "6 of 50"),
    ]
    for picture, level in zip(found["pictures"], levels.values()):
        shown = picture["image"]
        assert shown.shape == (TILE, 6 * TILE + 5 * 6, 3)
        assert (shown[TILE // 2, ::118] == level).all()
    assert found["sizes"] == {"NORMAL": 50, "PNEUMONIA": 50}
    assert (found["cost"]["files"], found["cost"]["of"]) == (12, 100)
    assert describe_cost(found["cost"]).startswith("Looked at 12 of 100 files (of the others only")
    assert happens(found) == {
        "notes of the camera or program (EXIF, XMP)": "removed",
        "names of files and folders": "kept",
        "text burnt into the picture": "not removed",
        "faces in photographs": "not removed",
    }


def test_notes_of_a_camera_are_counted_and_do_not_come_in(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "CANARY cam"
    exif.get_ifd(0x8825)[1] = "N"
    files = {f"{i}.png": png(60 + i, exif=exif) for i in range(4)}
    path = zipped(tmp_path / "a.zip", files)
    first = look(path)["identifying"][0]
    assert (first["happens"], first["found"]) == ("removed", "4 of 4 pictures looked at")
    assert first["why"] == "4 say where they were taken"
    assert "CANARY" not in json.dumps(read(path).card)


def test_a_picture_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 99, (28, 28), np.uint8)).save(out, "PNG")
    cut = out.getvalue()[:300]
    found = look(zipped(tmp_path / "a.zip", {"a.png": png(9), "b.png": cut}))
    assert [p["words"] for p in found["pictures"]] == ["1 of 2"]
    assert len(found["notes"]) == 1
    assert "b.png cannot be read as a picture" in found["notes"][0]
    assert found["notes"][0].endswith("The import would stop there.")
    assert happens(found)["text burnt into the picture"] == "not removed"


def test_what_is_no_data_is_refused_as_the_import_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2\3" * 100)
    with pytest.raises(UserError) as seen:
        look(tmp_path / "a.bin")
    with pytest.raises(UserError) as imported:
        read(tmp_path / "a.bin")
    assert str(seen.value) == str(imported.value)


TABLE = "patient_name,MRN,dob,age,crp,visit_date,dx\n" + "".join(
    f"Jane Canary{i},M77{i:03},19{50 + i}-02-11,{30 + i},{i * 7 % 11}.5,2021-03-{1 + i % 28:02},"
    f"{'well' if i % 3 else 'ill'}\n"
    for i in range(40)
)


def test_ten_rows_and_columns_that_name_people(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    found = look(tmp_path / "t.csv")
    assert len(found["head"]) == 10
    assert {c["column"]: c["fate"] for c in found["columns of people"]} == {
        "patient_name": "replace",
        "MRN": "remove",
        "dob": "remove",
        "visit_date": "keep",
    }
    assert happens(found, MRN="keep") == {
        "column “patient_name”": "replaced",
        "column “MRN”": "kept",
        "column “dob”": "removed",
        "column “visit_date”": "kept",
        "3 further columns": "kept",
    }


def test_slices_around_the_middle_of_scans_hang_as_the_viewer_hangs_them(tmp_path: Path) -> None:
    """A bright voxel at the patient's right and front, whatever the order it is stored in."""
    body = np.full((24, 20, 9), 100, np.int16)
    body[12:, 10:, 4] = 1000  # right, front, middle slice, in LAS order after the turn below
    image = nibabel.Nifti1Image(body, np.diag([2.0, 2.0, 2.0, 1.0]))
    for k, codes in enumerate(("RAS", "PIR")):
        turn = nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
        )
        image.as_reoriented(turn).to_filename(tmp_path / f"head_{k}.nii.gz")
    found = look(tmp_path)
    assert [p["words"] for p in found["pictures"]] == ["slices 4 to 6 of 9, axial"] * 2
    for picture in found["pictures"]:
        middle = picture["image"][:, TILE + 6 : 2 * TILE + 6, 0].astype(int)
        bright = np.argwhere(middle > 200).mean(0)
        assert bright[0] < TILE / 2  # the front on top
        assert bright[1] < TILE / 2  # the patient's right at the left
    listed = happens(found)
    assert listed["free text of headers"] == "removed"
    assert listed["names of files and folders"] == "kept"
    faces = next(e for e in found["identifying"] if e["what"].startswith("faces"))
    assert faces["found"] == "2 of 2 files, by their names"


def test_slices_are_those_of_the_whole_volume(tmp_path: Path) -> None:
    from core.data.readers.files import collect
    from core.data.readers.nifti_file import read_scan_header, read_volumes

    rng = np.random.default_rng(0)
    image = nibabel.Nifti1Image(rng.integers(0, 99, (5, 6, 7, 2)).astype(np.int16), None)
    image.header.set_sform(np.diag([-1.0, 2, 3, 1]), 1)
    image.to_filename(tmp_path / "a.nii.gz")
    scan = read_scan_header(collect(tmp_path / "a.nii.gz")[0])
    volume = next(read_volumes(scan))
    for axis in range(3):
        wanted = middle_of(scan.shape[axis])
        for i, one in zip(wanted, read_slices(scan, axis, wanted)):
            assert np.array_equal(one, np.take(volume, i, axis=axis))


def test_dicom_series_are_drawn_and_their_tags_listed_without_a_value(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(3):
        (tmp_path / f"CANARY{k}").mkdir()
        stack(
            tmp_path / f"CANARY{k}",
            rng.integers(0, 900, (6, 16, 16)),
            "axial",
            PatientName="CANARY^Jane",
            PatientID=f"CANARY{k}",
            SeriesInstanceUID=f"1.2.{k}",
            BodyPartExamined="HEAD",
            StudyDate="20200102",
        )
    us = rng.integers(0, 900, (16, 16))
    write(tmp_path / "us.dcm", us, Modality="US", SeriesInstanceUID="9.9", PatientID="CANARY9")
    found = look(tmp_path)
    assert [p["words"] for p in found["pictures"]] == ["3 middle slices"] * 3
    assert any("1 of the files looked at may have names burnt in" in n for n in found["notes"])
    listed = {e["what"]: e for e in found["identifying"]}
    assert listed["PatientID"]["happens"] == "replaced"
    assert listed["StudyDate"]["happens"] == "replaced"
    assert (listed["PatientName"]["happens"], listed["PatientName"]["found"]) == (
        "removed",
        "18 of 19 files",
    )
    assert listed["faces in scans of the head"]["found"] == "18 of 19 files"
    assert listed["text burnt into the picture"]["happens"] == "not removed"
    del found["head" if "head" in found else "cost"]
    said = json.dumps(found, default=lambda image: "")
    assert "CANARY" not in said
    assert "20200102" not in said
    # what the import drops was on the list
    dropped = read(tmp_path, stack="slices").card["deidentified"]["removed"]
    assert set(dropped) <= set(listed)


def test_a_film_is_a_strip_of_frames(tmp_path: Path) -> None:
    film = np.random.default_rng(0).integers(0, 900, (40, 16, 16)).astype(np.uint16)
    for k in range(2):
        write(
            tmp_path / f"{k}.dcm",
            film,
            NumberOfFrames=40,
            FrameTime=40,
            Modality="XA",
            SeriesInstanceUID=f"1.{k}",
        )
    found = look(tmp_path)
    assert [p["words"].split(",")[0] for p in found["pictures"]] == ["6 of 40 frames"] * 2


@pytest.mark.parametrize("packed", [True, False])
def test_the_first_samples_of_arrays(tmp_path: Path, packed: bool) -> None:
    x = np.zeros((500, 28, 28), np.uint8)
    x[:, 10:, :] = 200
    save = np.savez_compressed if packed else np.savez
    save(tmp_path / "a.npz", train_images=x, train_labels=np.arange(500) % 2, val_images=x[:30],
         val_labels=np.arange(30) % 2)  # fmt: skip
    found = look(tmp_path / "a.npz")
    assert [p["words"] for p in found["pictures"]] == ["the first 12 of 530, all on one scale"]
    np.save(tmp_path / "b.npy", np.random.default_rng(0).random((9, 8, 20, 20)))
    words = [p["words"] for p in look(tmp_path / "b.npy")["pictures"]]
    assert words == ["3 middle slices, orientation unknown, as stored"] * 4


def test_seconds_of_a_recording_are_drawn_without_a_word_of_its_header(tmp_path: Path) -> None:
    t = np.arange(128 * 60) / 128
    x = np.stack([50 * np.sin(2 * np.pi * f * t) for f in (1, 2, 3, 4, 5)])
    (tmp_path / "night.edf").write_bytes(edf(x, labels=[f"EEG {k}" for k in range(5)]))
    found = look(tmp_path / "night.edf")
    assert [p["words"] for p in found["pictures"]] == ["10 s of 60 s, 4 of 5 channels"]
    assert found["pictures"][0]["image"].std() > 5
    said = json.dumps(found, default=lambda image: "")
    assert not any(word in said for word in CANARIES.values())
    assert happens(found)["name, number and birth date of the patient"] == "removed"


def test_the_look_runs_fenced_in_and_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    path = zipped(tmp_path / "a.zip", {f"{c}/{i}.png": png(i) for c in "xy" for i in range(3)})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    found = sandbox.run(LOOK, path, "auto", "a.zip", what="The first look")
    assert [p["image"].dtype for p in found["pictures"]] == [np.uint8, np.uint8]
    assert list(scratch.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "scratch"]


def test_columns_go_or_get_new_names_and_what_was_accepted_stays(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    key = b"k" * 32
    accepted = {"by": "A.  Reader", "at": "2026-01-01T00:00:00+00:00", "looked": "1 file",
                "list": list_entries(look(tmp_path / "t.csv"))}  # fmt: skip
    data = read(
        tmp_path / "t.csv",
        remove=["MRN", "dob"],
        replace=["patient_name"],
        accepted=accepted,
        key=key,
    )
    again = read(tmp_path / "t.csv", remove=["MRN", "dob"], replace=["patient_name"], key=key)
    other = read(tmp_path / "t.csv", replace=["patient_name"], key=b"o" * 32)
    assert not {"MRN", "dob"} & set(data.table)
    assert data.table["patient_name"].str.fullmatch(r"patient \w{8}").all()
    assert data.table["patient_name"].nunique() == 40
    assert data.table["patient_name"].equals(again.table["patient_name"])
    assert not set(data.table["patient_name"]) & set(other.table["patient_name"])
    assert data.roles["group"] == "patient_name"
    held = json.dumps(data.card) + data.table.to_csv()
    assert not any(word in held for word in ("Canary", "M77", "1950-02-11"))
    assert data.card["columns"] == {"removed": ["MRN", "dob"], "replaced": ["patient_name"]}
    assert (data.card["accepted"]["by"], data.card["accepted"]["entries"]) == ("A. Reader", 5)
    assert "columns not brought in as asked: “MRN”, “dob”" in data.card["rules"]


def test_a_patient_gets_one_new_id_in_tables_and_in_scans(tmp_path: Path) -> None:
    key = b"k" * 32
    (tmp_path / "scans").mkdir()
    pixels = np.random.default_rng(0).integers(0, 900, (16, 16))
    for k in range(2):
        write(
            tmp_path / "scans" / f"{k}.dcm", pixels, PatientID=f"P{k}", SeriesInstanceUID=f"1.{k}"
        )
    frame = pd.DataFrame({"patient": ["P0", "P1"] * 5, "age": range(10), "crp": range(10)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    scans = read(tmp_path / "scans", key=key)
    table = read(tmp_path / "t.csv", key=key, group="patient", replace=["patient"])
    assert set(scans.table["patient"]) == set(table.table["patient"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"remove": ["dx"], "label": "dx"}, "“dx” cannot be removed and be the outcome"),
        ({"remove": ["patient_name"], "group": "patient_name"}, "and be the patient"),
        ({"replace": ["dx"]}, "“dx” is the outcome; its values cannot be replaced"),
        ({"replace": ["age"]}, "“age” is learned from"),
        ({"remove": ["age"], "replace": ["age"]}, "“age” is to be removed and replaced"),
        ({"replace": ["nobody"]}, "There is no column “nobody”"),
    ],
)
def test_what_cannot_go_is_a_sentence(tmp_path: Path, options: Any, words: str) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    with pytest.raises(UserError, match=words):
        read(tmp_path / "t.csv", **options)


def test_a_column_of_people_beside_pictures_goes_too(tmp_path: Path) -> None:
    names = [f"{c}/{i}.png" for c in "xy" for i in range(5)]
    sheet = "file,surname,age\n" + "".join(f"{n},Canary{i},{i}\n" for i, n in enumerate(names))
    files = {n: png(20 + i) for i, n in enumerate(names)} | {"sheet.csv": sheet.encode()}
    path = zipped(tmp_path / "a.zip", files)
    found = look(path)
    assert {c["column"]: c["fate"] for c in found["columns of people"]}["surname"] == "remove"
    data = read(path, remove=["surname"])
    assert "surname" not in data.table
    assert "age" in data.table
    assert "Canary" not in json.dumps(data.card)


def test_free_text_that_goes_is_no_text_to_learn_from(tmp_path: Path) -> None:
    lines = [f"{i},{i * 3 % 7},Dr Canary {i} saw her and sent her home with a long letter {i}" for
             i in range(30)]  # fmt: skip
    (tmp_path / "t.csv").write_text("a,b,notes\n" + "\n".join(lines))
    assert read(tmp_path / "t.csv").modality == "text"
    data = read(tmp_path / "t.csv", remove=["notes"])
    assert data.modality == "table"
    assert "notes" not in data.table


def test_signals_of_wfdb_records_are_drawn_and_of_many_a_few(tmp_path: Path) -> None:
    pytest.importorskip("wfdb")
    for k in range(3):
        lost = np.where(np.arange(6000) % 50 == 0, np.nan, 0.0) if k == 2 else 0.0
        segment(tmp_path, f"r{k}", [wave(60, 100, phase=k) + lost, wave(60, 100, 3.0)])
    (tmp_path / "r0.hea").write_text((tmp_path / "r0.hea").read_text() + "# age 63, CANARY\n")
    found = look(tmp_path)
    assert [(p["title"], p["words"]) for p in found["pictures"]] == [
        ("r0.hea", "10 s of 60 s, 2 of 2 channels"),
        ("r2.hea", "10 s of 60 s, 2 of 2 channels, missing samples at 0"),
    ]
    assert all(p["image"].std() > 5 for p in found["pictures"])
    assert "2 of 3 records are shown." in found["notes"]
    assert happens(found)["comments (age, sex, diagnoses, medicines)"] == "removed"
    assert "CANARY" not in json.dumps(found, default=lambda image: "")


def test_a_record_that_is_too_large_to_be_drawn_can_still_come_in(
    tmp_path: Path, monkeypatch: Any
) -> None:
    pytest.importorskip("wfdb")
    segment(tmp_path, "r", [wave(60, 100)])
    monkeypatch.setattr("core.jobs.preview_pictures.RECORD_BYTES", 1000)
    found = look(tmp_path)
    assert found["pictures"] == []
    assert "the import may have room for them" in found["notes"][0]
    assert happens(found)["start date and time"] == "removed"


def test_names_that_files_keep_are_listed_and_none_of_dicom(tmp_path: Path) -> None:
    files = {f"{c}/Jane {i:03}.png": png(i) for c in "xy" for i in range(150)}
    found = look(zipped(tmp_path / "a.zip", files))
    assert (len(found["names"]), found["files"]) == (200, 300)
    assert found["names"][0] == "x/Jane 000.png"
    scans = tmp_path / "scans"
    scans.mkdir()
    stack(scans, np.random.default_rng(0).integers(0, 900, (8, 16, 16)), "axial")
    assert look(scans)["names"] == []
