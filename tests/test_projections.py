"""Maximum-intensity projections: the highest value in each line, hung like the scan."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.dataset import Dataset
from core.imaging import projections


def volumes(axes="HPL"):
    x = np.zeros((2, 1, 4, 6, 8), np.float32)
    x[1, 0, 2, 1, 5] = 3
    table = pd.DataFrame({"axes": [axes] * 2, "mm_slice": 3.0, "mm_down": 1.0, "mm_across": 1.0})
    return Dataset("v", "volume", table, x)


def slices(numbers=range(5), **more):
    x = np.zeros((len(numbers), 1, 6, 8), np.float32)
    x[2, 0, 1, 5] = 3
    table = pd.DataFrame({"volume": "a", "slice": list(numbers), **more})
    return Dataset("s", "image", table, x)


def peaks(scan, values):
    """Where the highest value lies in each plane, by the plane's name."""
    found = {at.plane: projections.project(scan.volume(values), at) for at in scan.planes}
    return {k: np.unravel_index(v.argmax(), v.shape) for k, v in found.items()}, found


def test_a_volume_is_seen_from_three_sides_with_the_head_on_top():
    data = volumes()
    scan = projections.find_scan(data, 1)
    where, found = peaks(scan, data.samples[scan.rows, 0])
    assert {k: v.shape for k, v in found.items()} == {
        "axial": (6, 8),
        "coronal": (4, 8),
        "sagittal": (4, 6),
    }
    assert all(v.max() == 3 for v in found.values())
    # slices grow to the head, rows to the back, columns to the left of the patient
    assert where == {"axial": (1, 5), "coronal": (1, 5), "sagittal": (1, 1)}
    assert peaks(projections.find_scan(data, 1, "neurological"), data.samples[[1], 0])[0][
        "axial"
    ] == (1, 2)


@pytest.mark.parametrize(("axes", "names"), [("PL", ("axial", "coronal", "sagittal")), ("", None)])
def test_slices_make_one_scan_with_the_first_at_the_top(axes, names):
    sizes = {"mm_slice": 3.0, "mm_down": 1.0, "mm_across": 1.0}
    data = slices(axes=axes, **sizes)
    scan = projections.find_scan(data, 0)
    assert scan.rows.tolist() == [0, 1, 2, 3, 4]
    if names is None:
        assert [at.edges for at in scan.planes] == [{}, {}, {}]
    else:
        assert tuple(at.plane for at in scan.planes) == names
        assert scan.planes[1].edges == {"left": "R", "right": "L"}
        assert scan.planes[2].edges == {"left": "A", "right": "P"}
    assert [at.mm for at in scan.planes] == [(3, 1, 1), (1, 3, 1), (1, 3, 1)]
    places = list(peaks(scan, data.samples[:, 0])[0].values())
    assert places == [(1, 5), (2, 5), (2, 1)]


def test_a_flipped_picture_hangs_alike_in_all_planes():
    data = slices(axes="AR")
    scan = projections.find_scan(data, 0)
    places = peaks(scan, data.samples[:, 0])[0]
    assert places == {"axial": (4, 2), "coronal": (2, 2), "sagittal": (2, 4)}


def test_a_gap_ends_a_scan_and_a_picture_alone_has_none():
    data = slices([0, 1, 2, 7, 8])
    assert projections.find_scan(data, 1).rows.tolist() == [0, 1, 2]
    assert projections.find_scan(data, 3) is None
    alone = Dataset("a", "image", pd.DataFrame({"n": range(3)}), np.zeros((3, 1, 6, 8), "f4"))
    assert projections.find_scan(alone, 1) is None


def test_outlines_lie_around_what_they_are_of_and_later_ones_above():
    data = volumes()
    at = projections.find_scan(data, 1).planes[0]
    mask = np.zeros((4, 6, 8), bool)
    mask[3, 2:4, 3:6] = True
    flat = np.zeros((6, 8), np.float32)
    red, blue = (255, 0, 0), (0, 0, 255)
    made = projections.draw_projection(flat, at, 80, [(mask, red, 1), (mask, blue, 1)])
    around = (made == blue).all(2)
    assert around.any()
    assert not (made == red).all(2).any()
    rows, columns = np.nonzero(around)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (19, 40, 29, 60)
