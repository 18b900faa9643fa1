"""Text files of labels beside the data: joined by name, by row, or by column of a table that is
turned.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.data.readers import read

TAXA = ["k__A|p__B|g__C", "k__A|p__B|g__D", "k__A|p__B|g__D", "k__E|p__F"]
VALUES = np.random.default_rng(0).random((4, 30)).round(4)
LABELS = ["ibd" if i % 3 else "n" for i in range(30)]


def brought(folder, **files: str):
    for name, words in files.items():
        (folder / name.replace("__", ".")).write_text(words)
    return read(folder)


def test_a_table_with_a_sample_a_column_is_turned(tmp_path) -> None:
    lines = "\n".join("\t".join([t, *map(str, row)]) for t, row in zip(TAXA, VALUES))
    data = brought(tmp_path, abundance__tsv=lines, labels__txt="\n".join(LABELS))
    assert len(data) == 30
    assert data.features == ("k__A|p__B|g__C", "k__A|p__B|g__D", "k__A|p__B|g__D (2)", "k__E|p__F")
    assert np.allclose(data.inputs(), VALUES.T)
    assert data.frame["label"].tolist() == LABELS
    assert "turned" in data.card["rules"][0]


@pytest.mark.parametrize("header", [True, False])
def test_a_label_a_row(tmp_path, header: bool) -> None:
    rows = [",".join(map(str, r)) for r in VALUES.T]
    data = brought(
        tmp_path,
        x__csv="\n".join([*(["a,b,c,d"] if header else []), *rows]),
        labels__txt="\n".join(LABELS),
    )
    assert data.frame["label"].tolist() == LABELS
    assert data.features == (
        ("a", "b", "c", "d") if header else ("column 1", "column 2", "column 3", "column 4")
    )
    assert np.allclose(data.inputs(), VALUES.T)


@pytest.mark.parametrize("suffix", [".png", ""])
def test_labels_by_the_names_of_pictures(tmp_path, suffix: str) -> None:
    for i in range(12):
        Image.fromarray(np.full((8, 8), 9 * i, np.uint8)).save(tmp_path / f"im{i:02}.png")
    data = brought(
        tmp_path,
        labels__txt="\n".join(f"im{i:02}{suffix} {'ab'[i % 2]}" for i in reversed(range(12))),
    )
    assert [data.classes[k] for k in data.labels] == ["a", "b"] * 6


def test_labels_that_do_not_fit_are_left_out_by_name(tmp_path) -> None:
    rows = [",".join(map(str, r)) for r in VALUES.T]
    data = brought(
        tmp_path, x__csv="\n".join(["a,b,c,d", *rows]), labels__txt="\n".join(LABELS[:7])
    )
    assert "label" not in data.roles
    assert "labels.txt" in data.card["left out"]
