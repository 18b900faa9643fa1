"""The look before an import at damaged files: pictures or a sentence, never a fault of ours."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from core.data.geometry import Geometry
from core.errors import UserError
from core.imaging import orientation
from core.jobs.import_preview import look
from tests.hostile import _fuzz

COPIES = 6


@pytest.mark.parametrize("name", _fuzz.SEEDS)
def test_damaged_copies_are_looked_at_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    warnings.simplefilter("ignore")
    for k in range(COPIES):
        path = _fuzz.laid(_fuzz.copy(name, k), tmp_path / str(k))
        try:
            found = look(path)
        except UserError:
            continue
        assert not [n for n in found.get("notes", []) if "fault of Lightbox" in n]


@pytest.mark.parametrize("name", [n for n in _fuzz.SEEDS if n not in ("fasta", "fasta packed")])
def test_a_whole_file_is_looked_at(name: str, tmp_path: Path) -> None:
    seed = _fuzz.SEEDS[name]
    found = look(_fuzz.laid(seed.outer(seed.inner()), tmp_path / "whole"))
    assert not [n for n in found["notes"] if "stop there" in n or "fault" in n]
    if seed.reader in ("images", "dicom", "nifti", "edf", "contours"):
        assert found["pictures"]


def test_spacings_that_cannot_be_meant_stretch_no_picture() -> None:
    at = orientation.display_planes(Geometry("PL", (1e-6, 1e6)), 2)[0]
    picture = np.zeros((4, 4, 3), np.uint8)
    assert orientation.make_pixels_square(picture, at).shape == (4, 4, 3)
    at = orientation.display_planes(Geometry("PL", (4.0, 1.0)), 2)[0]
    assert orientation.make_pixels_square(picture, at).shape == (16, 4, 3)
