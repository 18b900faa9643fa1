"""The threshold a person has set for a run, for reports and exports: who, why, and what it means on
test cases.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.ground_truth import find_ground_truth
from core.stats.operating import operating_point
from core.stats.proportions import Rate
from core.workspace import notes
from core.workspace.workspace import Workspace

ON = {
    "val": "picked on validation cases",
    "shown": "picked with test cases in view, so its figures flatter it",
}
NAMES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "alerts": "Share of cases that alarm",
}


def describe_threshold(
    ws: Workspace, run: str, data: Dataset, scores: AnomalyMaps | None
) -> dict[str, Any] | None:
    """Return what a person set and what it means, as plain json values; None where nobody did.

    Keys: those of `notes.load_threshold`; `date` and `picked`, in words; `cases`, how many test
    cases (all where there are none) it was counted on, and `table`, a line {"name", "value", "low",
    "high", "n", "note"} a figure of `core.stats.operating`, where the truth is known; predictive
    values where a prevalence was given with it.
    """
    given = notes.load_threshold(ws, run)
    if not given:
        return None
    found = given | {
        "date": f"{datetime.fromtimestamp(given['made']):%Y-%m-%d}",
        "picked": ON[given.get("on", "shown")],
        "cases": 0,
        "part": "",
        "table": [],
    }
    truth = find_ground_truth(data)
    if scores is None or truth.abnormal is None:
        return found
    tested = data.part("test").rows
    rows = tested if len(tested) else data.rows
    rows = rows[np.isin(rows, scores.rows)]
    place = np.searchsorted(data.rows, rows)
    rows, place = rows[truth.judged[place]], place[truth.judged[place]]
    if not len(rows):
        return found
    point = operating_point(
        np.asarray(scores.score)[scores.at(rows)] > given["value"],
        truth.abnormal[place],
        given.get("prevalence") or 0.5,
        None if data.groups is None else data.groups[place],
    )
    shown = list(NAMES) if given.get("prevalence") else ["sensitivity", "specificity"]
    return found | {
        "cases": len(rows),
        "part": "test" if len(tested) else "all",
        "table": [_line(NAMES[key], getattr(point, key)) for key in shown],
    }


def _line(name: str, rate: Rate) -> dict[str, Any]:
    return {"name": name} | vars(rate)
