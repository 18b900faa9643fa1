"""Rules that set the threshold with one press: from the scores of the cases it is picked on."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state
from app.state import Context
from core.stats import operating

SHARES = {"normal": ("rule-normal", 95.0), "sensitivity": ("rule-sensitivity", 90.0)}
NEEDS_BOTH = "Needs abnormal and normal cases among those the threshold is picked on."


def buttons(
    context: Context,
    score: np.ndarray,
    truth: np.ndarray | None,
    cheapest: float,
    key: str,
    why_not: str = "",
) -> None:
    """One button a rule; a press moves the slider whose kept value is `key`.

    Parameters: `score` [n] and bool `truth` [n] of the cases it is picked on whose truth is known,
    all scores and None where it is not, or must not be used; `cheapest`: the threshold of least
    expected cost, NaN where there is none; `why_not`: why rules that need the truth are off.
    """
    normal, least = (_share(kind) for kind in SHARES)
    what = "normal cases" if truth is not None else "cases"
    ill = np.zeros(len(score), bool) if truth is None else truth
    rules = (
        (
            f"{normal:.4g} % of {'normals' if truth is not None else 'cases'}",
            operating.normal_quantile(score, ill, normal / 100),
            f"The threshold below which {normal:.4g} of 100 {what} lie, so that about"
            f" {100 - normal:.3g} in 100 of them are flagged.",
            "There is no normal case among those the threshold is picked on.",
        ),
        (
            f"Sensitivity {least:.4g} %",
            operating.at_sensitivity(score, ill, least / 100),
            f"The highest threshold that flags at least {least:.4g} of 100 abnormal cases.",
            why_not or NEEDS_BOTH,
        ),
        (
            "Best F1",
            operating.best_f1(score, ill) if not ill.all() else float("nan"),
            "The threshold with the largest F1: alarms that are right and abnormal cases that are"
            " found, weighed alike, at the share of abnormal cases here.",
            why_not or NEEDS_BOTH,
        ),
        (
            "Least expected cost",
            cheapest,
            "The threshold at which misses and false alarms together cost least, at the prevalence"
            " and the worth of a miss given above; marked in the histogram.",
            why_not or NEEDS_BOTH,
        ),
    )
    cells = st.columns([1.1, 1.15, 0.8, 1.3, 0.75], vertical_alignment="bottom")
    for i, (cell, (name, value, help, off)) in enumerate(zip(cells, rules)):
        cell.button(
            name,
            key=context.key(f"rule-{i}"),
            on_click=state.set_value,
            args=(key, value),
            disabled=not np.isfinite(value),
            help=help if np.isfinite(value) else off,
            width="stretch",
        )
    with cells[4].popover("Rules", help="The percentages of the rules", width="stretch"):
        _ask("normal", "Normal cases below the threshold, %")
        _ask("sensitivity", "Abnormal cases flagged at least, %")


def _share(kind: str) -> float:
    key, usual = SHARES[kind]
    return float(state.value(key, usual))


def _ask(kind: str, words: str) -> None:
    key, usual = SHARES[kind]
    state.kept(key, usual)
    st.number_input(words, 1.0, 100.0, step=1.0, key=f"w-{key}", on_change=state.keep, args=(key,))
