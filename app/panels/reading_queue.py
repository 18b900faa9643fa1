"""Which cases wait in the reading room, and in which order."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels.gallery import score_of
from app.panels.model_answer import predictions_of
from app.state import Context
from core.data import checks

AS_STORED, MIXED = "as stored", "mixed"
UNUSUAL, UNSURE = "most unusual first", "least sure first"
FAILED, DOUBTED = "wrongly predicted, surest first", "suspicious labels first"
FROM_MODEL = (UNUSUAL, UNSURE, FAILED)
HELP = {
    AS_STORED: "in the order of the data",
    MIXED: "shuffled, the same for every reader",
    UNUSUAL: "by the run’s anomaly score",
    UNSURE: "by how close the two likeliest classes are",
    FAILED: "held-out cases whose predicted class is not the stored label",
    DOUBTED: "cases whose stored label contradicts the cases most like them",
}


def offered_orders(context: Context) -> list[str]:
    """The orders that this run and data allow; the first is a neutral one."""
    orders = [MIXED, AS_STORED]
    orders += [UNUSUAL] if score_of(context) is not None else []
    orders += [UNSURE, FAILED] if predictions_of(context) is not None else []
    orders += [DOUBTED] if len(_doubted(context)) else []
    return orders


def describe(orders: list[str]) -> str:
    """What the orders mean, as help."""
    return "\n\n".join(f"{order}: {HELP[order]}" for order in orders)


def offered_sets(context: Context) -> dict[str, np.ndarray]:
    """Which cases can be read: name -> row ids. Groups and the selection where there are some."""
    from core.workspace import notes

    data = context.data
    found: dict[str, np.ndarray] = {}
    chosen = state.selection()
    if len(chosen):
        found[f"the selection ({len(chosen):,})"] = chosen.rows
    for part in ("test", "val", "train"):
        rows = data.part(part).rows if (data.splits == part).any() else np.zeros(0, np.int64)
        if len(rows):
            found[f"{text.part(part)} cases ({len(rows):,})"] = rows
    found[f"all cases ({len(data):,})"] = data.rows
    for name, rows in notes.load_groups(context.ws, data.name).items():
        found[f"group {text.plain(name, 30)} ({len(rows):,})"] = rows
    return {name: rows[np.isin(rows, data.rows)] for name, rows in found.items()}


def order_cases(context: Context, rows: np.ndarray, order: str) -> np.ndarray:
    """Return the row ids in the order they are read; FAILED and DOUBTED leave out the others. O(n
    log n).
    """
    rows = np.sort(rows)
    if order == MIXED:
        return rows[np.random.default_rng(0).permutation(len(rows))]
    if order == UNUSUAL:
        scores = score_of(context)
        assert scores is not None
        rows = rows[np.isin(rows, scores.rows)]
        return rows[np.argsort(-np.asarray(scores.score)[scores.at(rows)], kind="stable")]
    if order in (UNSURE, FAILED):
        return _by_prediction(context, rows, order)
    if order == DOUBTED:
        doubted = _doubted(context)
        return doubted[np.isin(doubted, rows)]
    return rows


def _by_prediction(context: Context, rows: np.ndarray, order: str) -> np.ndarray:
    predicted = predictions_of(context)
    assert predicted is not None
    assert predicted.prob is not None
    rows = rows[np.isin(rows, predicted.rows)]
    if not len(rows):
        return rows
    prob = np.asarray(predicted.prob, np.float64)[predicted.at(rows)]
    best = np.sort(prob, axis=1)
    if order == UNSURE:
        return rows[np.argsort(best[:, -1] - best[:, -2], kind="stable")]
    data = context.data
    whole = data.of(rows)
    known = np.array([c >= 0 and data.classes[c] in predicted.classes for c in whole.labels])
    truth = np.array(
        [predicted.classes.index(data.classes[c]) if k else -1 for c, k in zip(whole.labels, known)]
    )
    wrong = known & (prob.argmax(1) != truth) & (whole.splits != "train")
    return rows[wrong][np.argsort(-best[wrong, -1], kind="stable")]


def _doubted(context: Context) -> np.ndarray:
    """Cases whose label was found suspicious when the data was last looked over, the most
    suspicious first; none where it was not looked over yet.
    """
    return _load_doubted(str(context.ws.home), context.data.name, context.data.hash)


@st.cache_data(max_entries=16, show_spinner=False)
def _load_doubted(home: str, name: str, hash: str) -> np.ndarray:
    found = checks.known_findings(state.workspace(), name) or []
    rows = next((f.rows for f in found if f.kind == "labels doubted"), [])
    return np.array(rows, np.int64)
