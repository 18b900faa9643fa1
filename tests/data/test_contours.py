"""Outlines drawn by hand, and films: frames of one place at several times, with masks where
somebody drew.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from core.data.readers import read
from core.data.readers.contours import fill_polygon
from core.errors import UserError
from core.evidence import shared_data

DISC = np.array([(8 + 5 * np.cos(a), 6 + 5 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 60)])


def frame(patient, number, place, time, series, frames=1):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        ExplicitVRLittleEndian,
        MRImageStorage,
        generate_uid(),
    )
    made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    made.PatientID, made.SeriesInstanceUID, made.Modality, made.InstanceNumber = (
        patient,
        series,
        "MR",
        number,
    )
    (
        made.Rows,
        made.Columns,
        made.BitsAllocated,
        made.BitsStored,
        made.HighBit,
        made.PixelRepresentation,
    ) = (16, 24, 16, 16, 15, 0)
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelSpacing = (
        1,
        "MONOCHROME2",
        [1.5, 1.5],
    )
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, place], [1, 0, 0, 0, 1, 0]
    if time is not None:
        made.TriggerTime = time
    made.PixelData = np.full((16, 24), 300 + number, np.uint16).tobytes()
    out = io.BytesIO()
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


def films(folder, times=(10, 30, 20)):
    """Two patients, two places each, three frames a place, stored out of order; one inner and one
    outer outline each.
    """
    for p in ("A7", "B9"):
        series = generate_uid()
        (folder / "dicoms" / p).mkdir(parents=True)
        for kind in ("i", "o"):
            (folder / "contours" / p / f"{kind}-contours").mkdir(parents=True)
        for place in (0, 8):
            for k, time in enumerate(times):
                number = 1 + k + (3 if place else 0)
                (folder / "dicoms" / p / f"{number}.dcm").write_bytes(
                    frame(p, number, place, time, series)
                )
        for kind, grown in (("i", 0), ("o", 2)):
            middle = np.array([8.0, 6.0])
            points = middle + (DISC - middle) * (1 + grown / 5)
            text = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
            (
                folder
                / "contours"
                / p
                / f"{kind}-contours"
                / f"IM-0001-0005-{kind}contour-manual.txt"
            ).write_text(text)
    return folder


def test_a_polygon_is_filled_as_its_formula_says():
    square = np.array([(1.5, 0.5), (4.5, 0.5), (4.5, 2.5), (1.5, 2.5)])
    mask = fill_polygon(square, (4, 6))
    assert mask.sum() == 6
    assert mask[1:3, 2:5].all()
    big = 40 + 30 * np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 400)])
    assert fill_polygon(big, (80, 80)).sum() == pytest.approx(np.pi * 900, rel=0.01)
    assert fill_polygon(big - 45, (80, 80)).sum() < np.pi * 900 / 2  # cut off at the border


def test_frames_of_one_place_become_a_clip_in_the_order_of_time_with_masks_where_drawn(tmp_path):
    data = read(films(tmp_path))
    assert data.roles["group"] == "patient"
    assert (data.roles["sequence"], data.roles["time"]) == ("clip", "time_ms")
    assert data.frame["clip"].nunique() == 4
    for _, rows in data.frame.groupby("clip"):
        assert rows["time_ms"].tolist() == [10, 20, 30]
    drawn = data.frame[data.frame["outlined"]]
    assert drawn["position_mm"].tolist() == [8, 8]
    assert drawn["patient"].nunique() == 2
    assert np.array_equal(data.mask().any((1, 2)), data.frame["outlined"])
    # the inner one
    assert np.array_equal(data.mask(drawn.index.to_numpy())[0], fill_polygon(DISC, (16, 24)))
    assert set(data.frame["pixel_mm"]) == {1.5}
    assert data.card["left out"] == ["2 outlines"]
    assert not any(
        "A7" in words or "B9" in words for words in (data.table.to_csv(), str(data.card))
    )


def test_a_zip_gives_the_same_as_the_folder(tmp_path):
    films(tmp_path / "whole" / "heart")
    with zipfile.ZipFile(tmp_path / "heart.zip", "w") as z:
        for p in sorted((tmp_path / "whole").rglob("*")):
            z.write(p, p.relative_to(tmp_path / "whole")) if p.is_file() else None
    one, other = (read(tmp_path / name, key=b"k") for name in ("heart.zip", "whole"))
    assert one.content_hash() == other.content_hash()


def test_slices_without_times_stay_slices(tmp_path):
    films(tmp_path, times=(None, None, None))
    assert "sequence" not in read(tmp_path).roles


def test_a_damaged_outline_is_named_with_its_line(tmp_path):
    films(tmp_path)
    path = next(tmp_path.rglob("*icontour*"))
    path.write_text("1 1\n2 2\n3 x\n4 4")
    with pytest.raises(UserError, match=r"Outline [12] of 2 .*line 3"):
        read(tmp_path)


def test_an_outline_that_could_belong_to_two_scans_is_refused(tmp_path):
    films(tmp_path)
    path = next(tmp_path.rglob("*icontour*"))
    path.rename(tmp_path / "contours" / path.name)
    with pytest.raises(UserError, match="could belong to 2 scans"):
        read(tmp_path)


@pytest.mark.skipif(shared_data() is None, reason="the open data are not here")
def test_the_sunnybrook_hearts_come_in_whole():
    data = read(shared_data() / "sunnybrook_cine_mri")
    assert (len(data), data.frame["clip"].nunique(), int(data.frame["outlined"].sum())) == (
        146,
        37,
        74,
    )
    assert data.frame.groupby("clip")["outlined"].sum().tolist() == [2] * 37
    area = data.mask().sum((1, 2)) * data.frame["pixel_mm"].to_numpy() ** 2
    assert area[area > 0].min() > 100  # mm²: a heart's chamber
    assert area.max() < 6000
    blood = [x[0][m].mean() / x[0].mean() for x, m in zip(data.inputs(), data.mask()) if m.any()]
    assert np.mean(blood) > 2  # the outlines lie on bright blood
