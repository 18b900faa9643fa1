"""What a threshold means on some cases: how many of the abnormal it finds, how often an alarm is
right, and how many alarms there would be in a clinic.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels import threshold
from app.state import Context
from core.artifacts import AnomalyMaps
from core.stats.operating import OperatingPoint, operating_point
from core.stats.proportions import Rate

PREVALENCE, RATIO = "prevalence", "cost-ratio"  # keys of what is asked once for all runs
USUAL = {PREVALENCE: 10.0, RATIO: 10.0}


def ask_prevalence(cell: st.delta_generator.DeltaGenerator) -> float:
    """Share of abnormal cases in the user's clinic, 0 to 1; kept over pages and runs."""
    state.kept(PREVALENCE, USUAL[PREVALENCE])
    given = cell.number_input(
        "Abnormal cases per 100 in your clinic",
        0.1,
        99.9,
        step=1.0,
        format="%.4g",
        key=f"w-{PREVALENCE}",
        on_change=state.keep,
        args=(PREVALENCE,),
        help=(
            "How common the abnormality is where this would be used (the prevalence). Changes how"
            " often an alarm is right, not how many of the abnormal cases are found."
        ),
    )
    return float(given) / 100


def ask_ratio(cell: st.delta_generator.DeltaGenerator) -> float:
    """How many false alarms a missed case is worth; kept over pages and runs."""
    state.kept(RATIO, USUAL[RATIO])
    return float(
        cell.number_input(
            "One miss is worth how many false alarms",
            0.1,
            10000.0,
            step=1.0,
            format="%.4g",
            key=f"w-{RATIO}",
            on_change=state.keep,
            args=(RATIO,),
            help=(
                "How many false alarms you would accept to find one more abnormal case. 1: both"
                " errors are equally bad. The dearer a miss, the lower the threshold of least"
                " expected cost. The figure is yours: the app does not know it."
            ),
        )
    )


@st.cache_data(max_entries=256, show_spinner=False)
def _counted(
    alarm: bytes, truth: bytes, groups: tuple[object, ...] | None, prevalence: float
) -> OperatingPoint:
    units = None if groups is None else np.array(groups, dtype=object)
    return operating_point(
        np.frombuffer(alarm, bool), np.frombuffer(truth, bool), prevalence, units
    )


def show(
    artifact: AnomalyMaps,
    context: Context,
    rows: np.ndarray,
    at: float,
    prevalence: float | None,
    lead: str,
    part: str,
) -> None:
    """After the words `lead` about a `part` ("test" or "picked"), how many of `rows` lie above the
    threshold `at`; where the truth is known, how many of the abnormal and of the normal ones, and
    what an alarm means at the prevalence, over patients.
    """
    alarm = np.asarray(artifact.score)[artifact.at(rows)] > at
    st.markdown(f"**{lead}**, at {at:.4g}: **{int(alarm.sum()):,}** lie above the threshold.")
    truth, _ = threshold.known(context)
    if truth is None or prevalence is None:
        return
    sure = threshold.has_known_truth(context, rows)
    alarm, place = alarm[sure], np.searchsorted(context.data.rows, rows[sure])
    groups = context.data.groups
    found = _counted(
        alarm.tobytes(),
        truth[place].tobytes(),
        None if groups is None else tuple(groups[place]),
        prevalence,
    )
    per = f"where {100 * prevalence:.3g} of 100 cases are abnormal"
    cells = st.container(key=f"controls-operating-{part}").columns(5)
    for cell, (name, rate, times, help) in zip(
        cells,
        (
            ("Sensitivity", found.sensitivity, 1, "Share of the abnormal cases that are flagged"),
            (
                "Specificity",
                found.specificity,
                1,
                "Share of the normal cases that are not flagged",
            ),
            (
                "PPV",
                found.ppv,
                1,
                f"Positive predictive value: how often an alarm is right, {per}",
            ),
            (
                "NPV",
                found.npv,
                1,
                f"Negative predictive value: how often no alarm is right, {per}",
            ),
            ("Alerts per 100", found.alerts, 100, f"Flagged of 100 cases, {per}"),
        ),
    ):
        _metric(cell, name, rate, times, help)
    if found.missed is not None and found.alerts.value is not None:
        right = prevalence - found.missed
        said = (
            f"Of 100 cases, {100 * prevalence:.3g} of them abnormal: about"
            f" {_few(100 * found.alerts.value)} alarms,"
            f" {_few(100 * right)} of them right, and {_few(100 * found.missed)} abnormal cases"
            " missed."
            + ("" if found.alerts.low is None else " In brackets: 95 % intervals")
            + (" over patients" if groups is not None and found.alerts.low is not None else "")
            + ("" if found.alerts.low is None else "; the prevalence is taken as known.")
        )
        st.caption(text.explain(said))


def _few(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"


def _metric(
    cell: st.delta_generator.DeltaGenerator, name: str, rate: Rate, times: int, help: str
) -> None:
    if rate.value is None:
        cell.metric(name, "–", help=help)
        cell.caption(rate.note or "there is no such case here")
        return
    shown = _few(times * rate.value) if times > 1 else text.number(rate.value)
    cell.metric(name, shown, help=help)
    if rate.low is None or rate.high is None:
        cell.caption(rate.note)
        return
    low, high = (_few(times * v) if times > 1 else text.number(v) for v in (rate.low, rate.high))
    cell.caption(f"({low}–{high})" + ("" if times > 1 else f", n = {rate.n:,}"))
