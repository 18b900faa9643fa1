"""The threshold of an anomaly score: its histogram, what a threshold would mean, and what a kept
one means on test cases.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import AnomalyMaps, Metric
from core.data.ground_truth import GroundTruth, find_ground_truth
from core.imaging.palette import ACCENT, NONE, OKABE_ITO
from core.measures.image_anomaly import ImageAnomaly
from core.stats.proportions import rates
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


def describe_flagged(artifact: AnomalyMaps, context: Context) -> str:
    """How many cases lie above the threshold, and whether a person set it or a rule did, which
    flags some cases in any data.
    """
    over = int((np.asarray(artifact.score) > threshold_of(artifact, context)).sum())
    count = f"{over:,} of {len(artifact.rows):,} cases"
    given = notes.load_threshold(context.ws, context.job.id)
    if given:
        why = f" (“{text.label(given['reason'], 120)}”)" if given.get("reason") else ""
        return f"{count} lie above the threshold set for this run{why}."
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


def histogram(artifact: AnomalyMaps, context: Context, rows: np.ndarray, at: float) -> go.Figure:
    """Scores of `rows`, split by the truth where it is known, with the threshold as a line."""
    truth, _ = known(context)
    score = np.asarray(artifact.score)[artifact.at(rows)]
    if len(score) > 1 and np.ptp(score) > 0:
        edges = np.linspace(float(score.min()), float(np.quantile(score, 0.998)), 41)
    else:
        edges = np.linspace(score.min() - 1, score.max() + 1, 11)
    figure = go.Figure()
    kinds = [("cases", np.ones(len(rows), bool), OKABE_ITO[1], "")]
    if truth is not None:
        ill = truth[np.searchsorted(context.data.rows, rows)]
        sure = has_known_truth(context, rows)
        kinds = [
            ("known normal", sure & ~ill, OKABE_ITO[1], ""),
            ("known abnormal", sure & ill, OKABE_ITO[0], "/"),
        ]
        kinds += [] if sure.all() else [("not known", ~sure, NONE, "")]
    for name, mask, colour, shape in kinds:
        count, _ = np.histogram(np.clip(score[mask], edges[0], edges[-1]), edges)
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=count,
            name=name,
            marker={"color": colour, "pattern": {"shape": shape}},
            width=np.diff(edges),
        )
    figure.add_vline(at, line={"color": ACCENT, "width": 3}, annotation_text="threshold")
    figure.update_layout(
        barmode="stack",
        height=230,
        margin={"l": 10, "r": 10, "t": 24, "b": 10},
        bargap=0.02,
        legend={"orientation": "h", "y": 1.2},
        xaxis_title="anomaly score (higher = more unusual)",
        yaxis_title="cases",
    )
    return figure


def bench(artifact: AnomalyMaps, context: Context, rows: np.ndarray) -> None:
    """The threshold bench: slider and histogram over validation cases, what that threshold means
    there, and what the kept one means on test cases.

    Without validation cases the threshold is picked on the cases shown, `rows`, and the words say
    so.
    """
    own, test = (_scored(artifact, context.data.part(part).rows) for part in ("val", "test"))
    apart = len(own) >= 5 and len(test) > 0
    rows = own if apart else rows
    score = np.asarray(artifact.score)[artifact.at(rows)]
    low, high = float(score.min()), float(score.max())
    if not high > low:
        st.caption("Every case has the same score, so no threshold can part them.")
        return
    start = min(max(threshold_of(artifact, context), low), high)
    key = context.key("threshold")
    state.kept(key, start)
    on = f"{len(rows):,} validation cases" if apart else f"{len(rows):,} cases shown"
    at = st.slider(
        f"Threshold, to be picked on the {on}",
        low,
        high,
        key=f"w-{key}",
        step=(high - low) / 400,
        format="%.4g",
        on_change=state.keep,
        args=(key,),
        help=(
            "Cases above it count as unusual. The method’s own rule:"
            f" {text.plain(artifact.rule or 'none')}."
        ),
    )
    st.plotly_chart(
        histogram(artifact, context, rows, at),
        key=context.key("histogram"),
        config={"displayModeBar": False},
    )
    truth, why = known(context)
    prevalence = None if truth is None else _prevalence()
    _consequences(artifact, context, rows, at, prevalence)
    if truth is None:
        st.markdown(text.label(why, 200))
    else:
        _truth(artifact, context, truth, why)
        st.caption(
            f"Picked on these {len(rows):,} cases, so these figures flatter it: on other cases"
            " expect less."
        )
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    reason = left.text_input(
        "Why this threshold",
        key=context.key("reason"),
        placeholder="e.g. agreed with Dr N., misses cost more",
        max_chars=120,
    )
    if right.button("Keep this threshold", width="stretch"):
        notes.set_threshold(context.ws, context.job.id, at, reason, on="val" if apart else "shown")
        st.toast("Threshold kept for this run.")
    if apart and truth is not None:
        _on_test(artifact, context, test, prevalence)


@st.cache_data(max_entries=64, show_spinner=False)
def _measure_separation(
    home: str, name: str, hash: str, normal: str, run: str, slug: str
) -> Metric:
    """How well a run's score parts abnormal from normal cases: its AUROC with an interval, of test
    cases where there are enough.
    """
    ws = state.workspace()
    return ImageAnomaly().compute(
        ws.dataset(name), ws.artifact(run, slug), rng=np.random.default_rng(0)
    )[0]


def _truth(artifact: AnomalyMaps, context: Context, truth: np.ndarray, why: str) -> None:
    """What counts as abnormal, what the model learned from, and how well the score parts the two,
    whatever the threshold.
    """
    data, job = context.data, context.job
    st.caption(
        f"Truth: {text.label(why, 200)}."
        + (
            f" The model learned from the cases “{text.label(job.spec['only_normal'], 40)}” only."
            if job.spec.get("only_normal")
            else ""
        )
    )
    rows = _scored(artifact, data.rows)
    sure = has_known_truth(context, rows)
    scored = truth[np.searchsorted(data.rows, rows[sure])]
    if not sure.all():
        st.caption(
            f"Of {int((~sure).sum()):,} scored cases it is not known whether they are abnormal;"
            " they count in no figure here."
        )
    if scored.all() or not scored.any():
        kind = "abnormal" if scored.all() else "normal"
        words = (
            "To learn from the normal cases and score all, train on all cases with the switch"
            " “Learn from the normal cases only”."
        )
        st.info(
            f"All cases this run scored are {kind}, so nothing can be counted against them. {words}"
        )
        return
    found = _measure_separation(
        str(context.ws.home), data.name, data.hash, data.normal, job.id, artifact.slug
    )
    if found.value is not None:
        of = {"test": "test cases", "val": "validation cases"}.get(found.split, "cases")
        why_none = f" ({text.label(found.note, 120)})" if found.low is None and found.note else ""
        st.markdown(
            f"**AUROC {text.measured(found, n=True)}** {of}{why_none}: how often an abnormal case"
            " scores above a normal one; 0.5 is chance."
        )
        if found.high is not None and found.high < 0.5:
            st.warning(
                "Here abnormal cases score lower than normal ones: this score does not find them."
                " Try to learn from the normal cases only, or another method."
            )


def _scored(artifact: AnomalyMaps, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` that have a score."""
    return rows[np.isin(rows, artifact.rows)]


def _on_test(
    artifact: AnomalyMaps, context: Context, rows: np.ndarray, prevalence: float | None
) -> None:
    """What the kept threshold, or the method's own, means on the test cases `rows`."""
    given, at = notes.load_threshold(context.ws, context.job.id), threshold_of(artifact, context)
    whose = (
        "the method’s own threshold"
        if artifact.threshold is not None
        else "the 95th percentile of all scores"
    )
    whose = "the kept threshold" if given else whose
    st.markdown(f"**On the {len(rows):,} test cases**, at {whose}, {text.number(at)}:")
    _consequences(artifact, context, rows, at, prevalence)
    if given and given.get("on") != "val":
        st.caption("It was kept with test cases in view, so these figures flatter it as well.")
    elif not given and artifact.threshold is None:
        st.caption(
            "All scores count in that percentile, those of test cases too; keep a threshold to have"
            " it checked on cases it was not picked on."
        )
    else:
        st.caption(
            "No threshold was picked on these cases. That holds for the first look: a threshold"
            " changed for what is seen here is picked on them as well."
        )


def _prevalence() -> float:
    """Share of abnormal cases in the user's clinic."""
    words = (
        "How common the abnormality is where this would be used. Changes how often an alarm is"
        " right."
    )
    return (
        st.number_input(
            "Abnormal cases per 100 in your clinic",
            0.1,
            99.9,
            10.0,
            1.0,
            key="prevalence",
            help=words,
        )
        / 100
    )


def _consequences(
    artifact: AnomalyMaps, context: Context, rows: np.ndarray, at: float, prevalence: float | None
) -> None:
    """How many of `rows` lie above the threshold `at`; where the truth is known, how many of the
    abnormal and of the normal ones, over patients.
    """
    alarm = np.asarray(artifact.score)[artifact.at(rows)] > at
    st.markdown(f"**{int(alarm.sum()):,} of {len(alarm):,} cases** lie above the threshold.")
    truth, _ = known(context)
    if truth is None or prevalence is None:
        return
    sure = has_known_truth(context, rows)
    alarm, place = alarm[sure], np.searchsorted(context.data.rows, rows[sure])
    groups = context.data.groups
    found = rates(alarm, truth[place], groups[place] if groups is not None else None)
    sens, spec = found["sensitivity"], found["specificity"]
    for cell, (name, r, help) in zip(
        st.columns(4),
        (
            ("Sensitivity", sens, "Share of the abnormal cases that are flagged"),
            ("Specificity", spec, "Share of the normal cases that are not flagged"),
        ),
    ):
        if r.value is None:
            cell.metric(name, "–", help=help)
            cell.caption("there is no such case here")
            continue
        cell.metric(
            name, text.number(r.value), help=f"{help}: {text.interval(r.value, r.low, r.high, r.n)}"
        )
        cell.caption(
            "; ".join(
                w
                for w in (text.interval(r.value, r.low, r.high, r.n).partition(" ")[2], r.note)
                if w
            )
        )
    if sens.value is not None and spec.value is not None:
        right, wrong = prevalence * sens.value, (1 - prevalence) * (1 - spec.value)
        missed = prevalence * (1 - sens.value)
        ppv = text.number(right / (right + wrong)) if right + wrong > 0 else "not defined"
        st.caption(
            f"Of 100 cases at that prevalence: about {100 * (right + wrong):.0f} alarms,"
            f" {100 * right:.1f} of them right (an alarm is right with probability {ppv}), and"
            f" {100 * missed:.1f} abnormal cases missed."
        )
