"""Where it is unusual: cases whose truth nobody drew do not count."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.measures.pixel_anomaly import PixelAnomaly


def test_cases_whose_truth_is_not_known_do_not_count():
    rng = np.random.default_rng(0)
    masks = np.zeros((12, 16, 16), np.uint8)
    masks[:6, 4:8, 4:9] = 1
    heat = masks + rng.random(masks.shape).astype(np.float32) * 0.1
    heat[6:] += 5.0 * (rng.random((6, 16, 16)) > 0.5)  # something there, where nobody drew
    table = pd.DataFrame({"outlined": np.arange(12) < 6})
    data = Dataset("d", "image", table, rng.random((12, 1, 16, 16)), masks)
    maps = AnomalyMaps(rows=np.arange(12), score=heat.max((1, 2)), map=heat)
    found = {m.name: m for m in PixelAnomaly().compute(data, maps, rng=rng)}
    assert found["pixel average precision"].value == 1.0
    assert found["pixel average precision"].n == 6
