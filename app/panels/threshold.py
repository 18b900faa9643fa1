"""The threshold of a run's anomaly score that is in use, and what is known of the truth it is
judged by.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.ground_truth import GroundTruth, find_ground_truth
from core.workspace import notes


@st.cache_data(max_entries=8, show_spinner=False)
def _truth_of(home: str, name: str, hash: str, normal: str) -> GroundTruth:
    return find_ground_truth(state.workspace().dataset(name))


def has_known_truth(context: Context, rows: np.ndarray) -> np.ndarray:
    """bool like `rows`: cases of which it is known whether they are abnormal; cached, as `known`
    is.
    """
    data = context.data
    found = _truth_of(str(context.ws.home), data.name, data.hash, data.normal).judged
    return found[np.searchsorted(data.rows, rows)]


def known(context: Context) -> tuple[np.ndarray | None, str]:
    """Which rows of the data are truly abnormal, and the rule; cached, since it reads every
    mask.
    """
    found = _truth_of(
        str(context.ws.home), context.data.name, context.data.hash, context.data.normal
    )
    return found.abnormal, found.rule


def threshold_of(artifact: AnomalyMaps, context: Context) -> float:
    """The threshold a person set, else the one the method chose, else the 95th percentile."""
    given = notes.load_threshold(context.ws, context.job.id)
    if given:
        return float(given["value"])
    return (
        float(artifact.threshold)
        if artifact.threshold is not None
        else float(np.quantile(artifact.score, 0.95))
    )


def whose_threshold(artifact: AnomalyMaps, context: Context) -> str:
    """Who set the threshold in use, for the middle of a sentence."""
    if notes.load_threshold(context.ws, context.job.id):
        return "the kept threshold"
    return (
        "the method’s own threshold"
        if artifact.threshold is not None
        else "the 95th percentile of all scores"
    )


def describe_flagged(artifact: AnomalyMaps, context: Context) -> str:
    """How many cases lie above the threshold, and whether a person set it or a rule did, which
    flags some cases in any data.
    """
    over = int((np.asarray(artifact.score) > threshold_of(artifact, context)).sum())
    count = f"{over:,} of {len(artifact.rows):,} cases"
    given = notes.load_threshold(context.ws, context.job.id)
    if given:
        why = f" (“{text.label(given['reason'], 120)}”)" if given.get("reason") else ""
        who = f" by {text.label(given['author'], 60)}" if given.get("author") else ""
        return f"{count} lie above the threshold set for this run{who}{why}."
    if artifact.threshold is None:
        return (
            f"{count} are flagged: the 5 % with the highest anomaly score. Nobody has set a"
            " threshold for this run yet."
        )
    normal = context.job.spec.get("only_normal")
    whose = (
        f", counting only cases “{text.label(normal, 40)}”, from which it learned" if normal else ""
    )
    return (
        f"{count} are flagged: their anomaly score is above the method’s default threshold"
        f" ({text.label(artifact.rule, 120)}{whose}). Nobody has set a threshold for this run yet."
    )
