"""Which cases count as abnormal, and which count in no figure since nobody knows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.ground_truth import find_abnormal, find_ground_truth
from core.measures.image_anomaly import ImageAnomaly
from core.methods.anomaly._slices import healthy
from core.training.slices_to_volumes import Fold

UNKNOWN = [2, 3, 8, 9]  # rows without a mask file


def partly() -> Dataset:
    """Ten pictures: the first half marked in rows 0 and 1, four rows without a mask file."""
    masks = np.zeros((10, 16, 16), np.uint8)
    masks[:2, 4:8, 4:8] = 1
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(10)], "split": "test"})
    table["outlined"] = ~np.isin(np.arange(10), UNKNOWN)
    samples = np.random.default_rng(0).random((10, 1, 16, 16)).astype(np.float32)
    return Dataset(
        "t", "image", table, samples, masks, {"file": "file", "split": "split"}, (), (0.0, 1.0), {}
    )


def test_cases_without_a_mask_file_are_neither_normal_nor_abnormal():
    data = partly()
    truth, _ = find_abnormal(data)
    assert np.flatnonzero(truth).tolist() == [0, 1]
    assert np.flatnonzero(~find_ground_truth(data).judged).tolist() == UNKNOWN
    # rows of unknown truth score highest: as normal cases they would make this AUROC 0.33
    score = np.where(find_ground_truth(data).judged, truth.astype(float), 2.0).astype(np.float32)
    found = ImageAnomaly().compute(
        data, AnomalyMaps(rows=data.rows, score=score), rng=np.random.default_rng(0)
    )
    assert found[0].value == 1.0
    assert found[0].n == 6


def test_cases_without_a_label_count_in_no_figure():
    data = partly()
    classes = np.array(["normal", "ill", None] * 3 + ["ill"], dtype=object)
    table = data.table.assign(label=classes).drop(columns="outlined")
    data = Dataset(
        "t",
        "image",
        table,
        data.samples,
        None,
        data.roles | {"label": "label"},
        (),
        (0, 1),
        {"normal": "normal"},
    )
    truth, _ = find_abnormal(data)
    assert np.flatnonzero(truth).tolist() == [1, 4, 7, 9]
    assert np.flatnonzero(~find_ground_truth(data).judged).tolist() == [2, 5, 8]


def test_healthy_slices_to_learn_from_are_those_known_to_be():
    data = partly()
    assert healthy(data).rows.tolist() == [4, 5, 6, 7]
    data.table["outlined"] = False  # of none is the truth known: as data without masks
    assert len(healthy(Dataset(**{**vars_of(data)}))) == 10


def vars_of(data: Dataset) -> dict:
    """The fields of a dataset, to make it anew without what it has cached."""
    keys = (
        "name",
        "modality",
        "table",
        "samples",
        "masks",
        "roles",
        "features",
        "input_range",
        "card",
    )
    return {k: getattr(data, k) for k in keys}


def test_the_threshold_of_volumes_rests_on_those_known_to_be_free():
    data = partly()
    data.table["split"] = "val"
    volumes = Dataset(
        "t",
        "volume",
        data.table,
        data.samples[:, :, None],
        data.masks[:, None],
        data.roles,
        (),
        (0, 1),
        {},
    )
    score = np.arange(10, dtype=np.float32)
    threshold, _ = Fold(volumes, np.ones((10, 1), bool))._threshold(score)
    assert threshold == pytest.approx(np.quantile([4, 5, 6, 7], 0.95))
