"""DICOM segmentation objects (SEG) as masks of the slices they were drawn on; files without a
picture named by kind."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core.data.checks import Facts, check_dataset
from core.data.readers import read
from tests.data._dicom import DIRECTIONS, item, made

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
Y, X = np.mgrid[:20, :24]
DISC = (X - 10) ** 2 + (Y - 8) ** 2 < 30


def series(folder, n=6, patient="P1", uid="1.2.3", prefix="", step=2.0, at=0.0):
    """CT slices 2 mm apart; gives their SOP instances, from the feet upwards."""
    uids = []
    for k in range(n):
        pixels = (1000 + X * 5 + 500 * DISC).astype(np.uint16)
        d = made(
            pixels,
            PatientID=patient,
            SeriesInstanceUID=uid,
            InstanceNumber=k + 1,
            RescaleIntercept=-1000,
        )
        d.ImagePositionPatient, d.SliceThickness, d.FrameOfReferenceUID = (
            [0, 0, at + step * k],
            step,
            f"9.{uid}",
        )
        d.save_as(folder / f"{prefix}{k:02}.dcm", enforce_file_format=True)
        uids.append(d.SOPInstanceUID)
    return uids


def seg(
    path,
    frames,
    on=None,
    z=None,
    segments=None,
    patient="P1",
    uid="1.2.3",
    spacing=(1.0, 1.0),
    corner=(0.0, 0.0),
    kind="BINARY",
    directions="axial",
):
    """A SEG object of bool `frames` [k,H,W]: drawn `on` these SOP instances, at heights `z`, or
    nowhere."""
    frames = np.asarray(frames)
    d = made(np.zeros(frames.shape[1:], np.uint16))
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = SEG
    for word in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(d, word)
    d.Modality, d.PatientID, d.SeriesInstanceUID, d.NumberOfFrames = (
        "SEG",
        patient,
        "7.7",
        len(frames),
    )
    d.FrameOfReferenceUID, d.SegmentationType = f"9.{uid}", kind
    if kind == "BINARY":
        d.BitsAllocated = d.BitsStored = 1
        d.HighBit = 0
        bits = np.packbits(frames.astype(np.uint8).ravel(), bitorder="little").tobytes()
        d.PixelData = bits + b"\0" * (len(bits) % 2)
    else:
        d.BitsAllocated = d.BitsStored = 8
        d.HighBit, d.MaximumFractionalValue = 7, 200
        d.PixelData = frames.astype(np.uint8).tobytes()
    if z is not None or on is not None:
        groups = []
        for k in range(len(frames)):
            g = Dataset()
            g.SegmentIdentificationSequence = item(
                ReferencedSegmentNumber=segments[k] if segments else 1
            )
            if on is not None:
                g.DerivationImageSequence = item(
                    SourceImageSequence=item(ReferencedSOPInstanceUID=on[k])
                )
            if z is not None:
                g.PlanePositionSequence = item(ImagePositionPatient=[*corner, z[k]])
            groups.append(g)
        d.PerFrameFunctionalGroupsSequence = Sequence(groups)
    if z is not None:
        d.SharedFunctionalGroupsSequence = Sequence([Dataset()])
        shared = d.SharedFunctionalGroupsSequence[0]
        shared.PlaneOrientationSequence = item(ImageOrientationPatient=DIRECTIONS[directions])
        shared.PixelMeasuresSequence = item(PixelSpacing=list(spacing), SliceThickness=2.0)
    d.save_as(path, enforce_file_format=True)


def marked(data):
    return data.mask().reshape(len(data), -1).sum(1).tolist()


@pytest.mark.parametrize("how", ["names", "place", "both"])
def test_frames_of_a_seg_are_masks_of_the_slices_they_were_drawn_on(tmp_path, how):
    uids = series(tmp_path)
    seg(
        tmp_path / "seg.dcm",
        [DISC] * 3,
        on=None if how == "place" else uids[2:5],
        z=None if how == "names" else [4, 6, 8],
    )
    data = read(tmp_path)
    assert (len(data), data.modality, data.card["unit"]) == (6, "image", "HU")
    assert marked(data) == [0, 0, *[DISC.sum()] * 3, 0]
    assert np.array_equal(data.mask()[3], DISC)
    assert (data.raw()[3, 0][data.mask()[3]] >= 500).all()
    assert data.outlined.all()
    assert any(
        "1 segmentation object (SEG) as masks: 3 of 6 frames" in r for r in data.card["rules"]
    )
    assert "SEG" not in set(data.table["scan type"])


def test_a_seg_that_says_no_place_is_left_out_in_words(tmp_path):
    series(tmp_path)
    seg(tmp_path / "seg.dcm", [DISC] * 3)
    data = read(tmp_path)
    assert (len(data), data.masks, data.card["unit"]) == (6, None, "HU")
    assert data.card["left out"] == [
        "1 segmentation object (SEG) that does not say on which of these slices it lies"
    ]


def test_segments_are_codes_by_their_number_and_shares_count_from_a_half(tmp_path):
    uids = series(tmp_path)
    rest = np.roll(DISC, 10, 1)
    seg(
        tmp_path / "seg.dcm", [DISC, rest, DISC], on=[uids[1], uids[1], uids[4]], segments=[1, 3, 3]
    )
    data = read(tmp_path)
    assert set(np.unique(data.masks[1])) == {0, 1, 3}
    assert set(np.unique(data.masks[4])) == {0, 3}
    seg(tmp_path / "seg.dcm", [DISC * 150 + rest * 90], on=[uids[1]], kind="FRACTIONAL")
    data = read(tmp_path)
    assert np.array_equal(data.mask()[1], DISC)
    assert any("from a half on" in r for r in data.card["rules"])


def test_a_seg_on_a_finer_grid_is_brought_over_by_the_nearest_pixel(tmp_path):
    series(tmp_path)
    fine = np.kron(DISC[2:, 2:], np.ones((2, 2), bool))
    seg(tmp_path / "seg.dcm", [fine], z=[4.0], spacing=(0.5, 0.5), corner=(1.75, 1.75))
    data = read(tmp_path)
    assert marked(data) == [0, 0, DISC.sum(), 0, 0, 0]
    assert np.array_equal(data.mask()[2], DISC)
    assert any("nearest pixel" in r for r in data.card["rules"])


def test_other_patients_and_spaces_are_not_marked_and_their_truth_is_not_known(tmp_path):
    series(tmp_path, prefix="a")
    series(tmp_path, prefix="b", patient="P2", uid="1.2.4")
    seg(tmp_path / "seg.dcm", [DISC] * 2, z=[4, 6])
    data = read(tmp_path)
    assert marked(data) == [0, 0, DISC.sum(), DISC.sum(), 0, 0] + [0] * 6
    assert data.outlined.tolist() == [True] * 6 + [False] * 6


def test_masks_of_volumes_are_turned_as_their_pictures_are(tmp_path):
    for k in range(3):
        uids = series(tmp_path, prefix="abc"[k], patient=f"P{k}", uid=f"1.2.{k}")
        seg(tmp_path / f"z{k}.dcm", [DISC], on=[uids[1]], patient=f"P{k}", uid=f"1.2.{k}")
    data = read(tmp_path)
    assert (data.modality, len(data)) == ("volume", 3)
    assert marked(data) == [DISC.sum()] * 3
    assert np.array_equal(np.unique(np.argwhere(data.mask()[0])[:, 0]), [1])
    assert (data.raw()[0, 0][data.mask()[0]] >= 500).all()


def test_segmentations_alone_are_shown_and_are_a_finding(tmp_path):
    for k in range(2):
        seg(tmp_path / f"{k}.dcm", [DISC, ~DISC], z=[4, 6])
    data = read(tmp_path)
    assert len(data) == 4
    assert any("without the scan they were drawn on" in r for r in data.card["rules"])
    assert [f.total for f in check_dataset(data, Facts()) if f.kind == "like segmentations"] == [4]


def test_objects_without_a_picture_are_named_by_kind(tmp_path):
    series(tmp_path)
    for k, uid in enumerate(["481.3", "88.11", "88.33", "11.1", "88.59", "77.99"]):
        d = made(np.zeros((2, 2), np.uint16))
        d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.{uid}"
        del d.PixelData
        d.save_as(tmp_path / f"x{k}.dcm", enforce_file_format=True)
    assert read(tmp_path).card["left out"] == [
        "2 reports (SR)",
        "1 structure set (RTSTRUCT)",
        "1 presentation state (PR)",
        "1 key object selection (KO)",
        "1 DICOM file without a picture",
    ]


def test_planes_far_apart_mark_no_slices_between_them(tmp_path):
    """Empty planes are left out of many segmentations."""
    series(tmp_path)
    seg(tmp_path / "seg.dcm", [DISC, DISC], z=[10, 0])
    assert marked(read(tmp_path)) == [DISC.sum(), 0, 0, 0, 0, DISC.sum()]
