"""The gate: nothing of a header, a file's or a folder's name gets through but what is on the list
(faults 29 and 30); ids and dates stay true to a patient.
"""

from __future__ import annotations

import gzip
import json
import logging
import sqlite3
import warnings
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary

from core.data import deidentify
from core.data.dataset import Dataset
from core.data.readers import read
from core.errors import UserError
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.data._dicom import item, made, stack, write

CANARY = "CANARY"
TEXT = {
    "AE": 16,
    "AS": 4,
    "CS": 16,
    "DS": 16,
    "IS": 12,
    "LO": 60,
    "LT": 60,
    "PN": 60,
    "SH": 16,
    "ST": 60,
    "UC": 60,
    "UR": 60,
    "UT": 60,
    "UI": 60,
    "DA": 8,
    "DT": 20,
    "TM": 14,
}
NEEDED = {
    "TransferSyntaxUID",
    "MediaStorageSOPClassUID",
    "MediaStorageSOPInstanceUID",
    "PhotometricInterpretation",
    "SpecificCharacterSet",
}
PIXELS = np.arange(48).reshape(6, 8) * 10


def seeded(pixels, place, numbers=False):
    """A file with a canary in every text element of the dictionary, in private elements, an
    overlay, a curve and a nested sequence.
    """
    with deidentify.silence_dicom_libraries():
        d = made(pixels, ImagePositionPatient=[0, 0, place])
        for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
            if kind not in TEXT or tag >> 16 in (0, 2, 4, 6) or keyword in NEEDED or not keyword:
                continue
            if kind in ("DS", "IS", "AS", "DA", "DT", "TM", "UI") and not numbers:
                continue
            if kind in ("DS", "IS") and keyword in (
                "ImagePositionPatient",
                "RescaleSlope",
                "RescaleIntercept",
                "NumberOfFrames",
            ):
                continue
            element = pydicom.DataElement(
                tag,
                "LO" if kind in ("DS", "IS") else kind,
                f"{CANARY}{keyword}"[: TEXT[kind]],
                validation_mode=0,
            )
            element.VR = kind if kind not in ("DS", "IS") else "LO"
            d[tag] = element
        d.add_new(0x00090010, "LO", f"{CANARY} CREATOR")
        d.add_new(0x00091001, "LT", f"{CANARY} private note")
        d.add_new(0x60000022, "LO", f"{CANARY} overlay")
        d.add_new(0x60003000, "OW", f"{CANARY}overlay bits ".encode())
        d.ReferencedPatientSequence = item(
            PatientName=f"{CANARY}^NESTED", OtherPatientIDsSequence=item(PatientID=f"{CANARY}deep")
        )
        d.add_new(0x0040A730, "SQ", item(TextValue=f"{CANARY} structured", ValueType="TEXT"))
    return d


def everything(folder):
    """All bytes below a folder: as they are, unpacked, table cells, database cells."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        yield path, data
        yield path, str(path.relative_to(folder)).encode()
        if data[:2] == b"\x1f\x8b":
            yield path, gzip.decompress(data)
        if path.suffix == ".parquet":
            import pandas as pd

            frame = pd.read_parquet(path)
            yield path, (frame.to_csv() + str(frame.columns.tolist())).encode()
        if data[:15] == b"SQLite format 3":
            with sqlite3.connect(path) as base:
                yield path, "\n".join(base.iterdump()).encode()
    for path in folder.rglob("dataset.json"):
        data = Dataset.load(path.parent)
        yield (
            path,
            json.dumps(data.card, default=str).encode()
            + data.frame.to_csv().encode()
            + b"".join(str(n).encode() for n in data.names()),
        )


def found(folder):
    return {
        str(p.name) for p, data in everything(folder) if CANARY.lower().encode() in data.lower()
    }


@pytest.mark.parametrize("numbers", [False, True])
def test_canaries_in_tags_and_names_appear_nowhere(tmp_path, numbers, capfd, caplog):
    """Fault 29, through the importing job: store, database, logs, what is printed."""
    source = tmp_path / f"{CANARY}_Doe_Jane"
    (source / f"{CANARY} study").mkdir(parents=True)
    for k in range(4):
        with deidentify.silence_dicom_libraries():
            seeded(PIXELS + k, 5.0 * k, numbers).save_as(
                source / f"{CANARY} study" / f"{CANARY}-{k}.dcm", enforce_file_format=True
            )
    (source / f"{CANARY}.txt").write_text("a note")
    (source / f"{CANARY}.csv").write_text(
        "file,finding\n"
        + "".join(f"{CANARY}-{k}.dcm,{'ill' if k % 2 else 'well'}\n" for k in range(4))
    )
    assert found(source)  # the search itself finds them
    assert (source / f"{CANARY} study" / f"{CANARY}-0.dcm").read_bytes().count(
        CANARY.encode()
    ) > 1000
    capfd.readouterr()
    caplog.clear()
    ws = Workspace(tmp_path / "home")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        stored = ws.add(read(source, key=ws.key))
    assert len(stored) == 4
    # the table beside the scans was joined by the old names
    assert stored.table["finding"].tolist() == ["well", "ill", "well", "ill"]
    out, err = capfd.readouterr()
    assert CANARY not in out + err + caplog.text + "".join(str(w.message) for w in heard)
    with zipfile.ZipFile(tmp_path / f"{CANARY}.zip", "w") as z:
        for p in source.rglob("*.dcm"):
            z.write(p, p.relative_to(source))
    ws.remove_dataset(stored.name)
    job = queue.wait(ws, queue.import_data(ws, tmp_path / f"{CANARY}.zip").id)
    assert job.status == "done", job.error
    assert found(ws.home) == set()
    kept = ws.dataset(job.dataset).card["deidentified"]
    assert kept["removed"]["PatientName"] == 4
    assert kept["removed"]["private tags"] == 4
    assert kept["removed"]["overlays"] == 4
    assert kept["profile"][0][0] == "113100"


def test_canaries_do_not_come_back_in_errors(tmp_path):
    """A folder whose second file is damaged, in ways that make the library quote what it found."""
    source = tmp_path / f"{CANARY}"
    source.mkdir()
    with deidentify.silence_dicom_libraries():
        seeded(PIXELS, 0).save_as(source / f"{CANARY}1.dcm", enforce_file_format=True)
    good = (source / f"{CANARY}1.dcm").read_bytes()
    for broken in (
        good[: len(good) - 40],
        good.replace(b"MONOCHROME2 ", b"CANARYCOLOUR"),
        good.replace(b"1.2.840.10008.1.2.1\0", b"CANARY.1.2.3.4.5.6.7"),
    ):
        (source / f"{CANARY}2.dcm").write_bytes(broken)
        with pytest.raises(UserError) as e:
            read(source)
        assert CANARY not in str(e.value)
        assert str(e.value).startswith("File 2 of 2")
        ws = Workspace(tmp_path / "home")
        job = queue.wait(ws, queue.import_data(ws, source).id)
        assert job.status == "failed"
        assert not job.bug
        assert found(ws.home) == set()
    assert logging.root.manager.disable == 0  # the libraries' log lines are back


def test_a_patient_keeps_one_id_and_true_intervals_within_a_workspace_only(tmp_path):
    days = {"Jane": ("20200105", "20200210"), "John": ("20200105", "20210301")}
    for who, when in days.items():
        for k, day in enumerate(when):
            write(
                tmp_path / f"{who}{k}.dcm",
                PIXELS,
                PatientID=who,
                StudyDate=day,
                ImagePositionPatient=[0, 0, k],
                SeriesInstanceUID=f"1.{k + 1}",
            )
    here, again, elsewhere = (read(tmp_path, key=k).table for k in (b"a", b"a", b"b"))
    assert here["patient"].tolist() == again["patient"].tolist()
    assert not set(here["patient"]) & set(elsewhere["patient"])
    assert here["patient"].str.fullmatch(r"patient [0-9b-df-hj-np-tv-z]{8}").all()
    shifted = here["study date (shifted)"].map(date.fromisoformat)
    between = [(d.max() - d.min()).days for _, d in shifted.groupby(here["patient"])]
    assert sorted(between) == [36, 421]
    assert not set(here["study date (shifted)"]) & {"2020-01-05", "2020-02-10", "2021-03-01"}
    (tmp_path / "alone").mkdir()
    for k in (0, 1):
        (tmp_path / f"Jane{k}.dcm").rename(tmp_path / "alone" / f"{k}.dcm")
    alone = read(tmp_path / "alone", key=b"a").table
    assert set(alone["patient"]) < set(here["patient"])
    assert set(alone["study date (shifted)"]) < set(here["study date (shifted)"])


@pytest.mark.filterwarnings("ignore")
def test_characteristics_are_kept_as_known_words_and_capped_years(tmp_path):
    write(
        tmp_path / "a.dcm",
        PIXELS,
        PatientSex="F",
        PatientAge="045Y",
        BodyPartExamined="CHEST",
        Manufacturer="SIEMENS Healthineers",
    )
    write(
        tmp_path / "b.dcm",
        PIXELS,
        PatientSex="Jane",
        PatientAge="101Y",
        BodyPartExamined="Jane Doe",
        Manufacturer="GE MEDICAL SYSTEMS",
        ImagePositionPatient=[0, 0, 1],
    )
    write(
        tmp_path / "c.dcm",
        PIXELS,
        PatientBirthDate="19800303",
        StudyDate="20200302",
        ImagePositionPatient=[0, 0, 2],
    )
    data = read(tmp_path)
    assert data.table["sex"].fillna("").tolist() == ["F", "", ""]
    assert data.table["age"].tolist() == [45, 90, 39]
    assert data.table["body part"].fillna("").tolist() == ["chest", "", ""]
    assert data.table["scanner"].fillna("").tolist() == ["Siemens", "GE", ""]
    assert [c for c, _ in data.card["deidentified"]["profile"]] == ["113100", "113107", "113108"]


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"Modality": "US"}, "ultrasound"),
        ({"Modality": "OT"}, "secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4"}, "secondary capture"),
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "saved screen"),
        ({"ImageType": ["DERIVED", "SECONDARY"], "ImagePositionPatient": None}, "without a place"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, None),
        ({"BurnedInAnnotation": "NO"}, None),
    ],
)
def test_pictures_that_may_carry_names_are_held(tmp_path, tags, why):
    """Fault 30: by rules on the header, row by row."""
    write(tmp_path / "a.dcm", PIXELS)
    write(
        tmp_path / "b.dcm",
        PIXELS,
        **({"ImagePositionPatient": [0, 0, 5], "InstanceNumber": 2} | tags),
    )
    data = read(tmp_path)
    held = data.table["held"].dropna().tolist() if "held" in data.table else []
    assert len(held) == (why is not None)
    assert all(why in h for h in held)
    assert data.card["unit"] == "HU"  # what is held does not take the unit of the others away
    assert data.card["deidentified"]["held"] == len(held)
    assert "held" not in data.shown


@pytest.mark.parametrize(
    ("tags", "faces"),
    [
        ({"BodyPartExamined": "HEAD"}, True),
        ({"StudyDescription": "MRT Schädel nativ"}, True),
        ({"BodyPartExamined": "CHEST"}, False),
        ({"BodyPartExamined": "HEAD", "Modality": "CR"}, False),
    ],
)
def test_scans_of_heads_carry_a_warning(tmp_path, tags, faces):
    stack(
        tmp_path, np.stack([PIXELS] * 3), "axial", **({"SpecificCharacterSet": "ISO_IR 192"} | tags)
    )
    assert read(tmp_path).card["deidentified"]["faces"] is faces


def test_the_new_names_follow_the_order_of_the_rows(tmp_path):
    stack(tmp_path, np.stack([PIXELS] * 3), "axial")
    data = read(tmp_path)
    patient, series, number = zip(*(f.split("/") for f in data.table["file"]))
    assert set(patient) == set(data.table["patient"])
    assert set(series) == set(data.table["series"])
    assert number == ("0001", "0002", "0003")
    assert Path(data.name).name.startswith("CT scans ")
    assert data.card["source"] == "DICOM files"
