"""The threshold of an anomaly score: its histogram, what a threshold would mean, and what a kept
one means on test cases.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels import operating_point, threshold_rules
from app.panels.threshold import has_known_truth, known, threshold_of, whose_threshold
from app.state import Context
from core.artifacts import AnomalyMaps, Metric
from core.imaging.palette import ACCENT, NONE, OKABE_ITO
from core.measures.image_anomaly import ImageAnomaly
from core.stats.operating import cost_rate, least_cost
from core.stats.proportions import Rate
from core.workspace import notes


def histogram(
    artifact: AnomalyMaps,
    context: Context,
    rows: np.ndarray,
    at: float,
    cheapest: float = float("nan"),
) -> go.Figure:
    """Scores of `rows`, split by the truth where it is known, with the threshold as a line, and
    `cheapest`, that of least expected cost, as a dotted one.
    """
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
    figure.add_vline(
        at,
        line={"color": ACCENT, "width": 3},
        annotation_text="threshold",
        annotation_position="top right",
        annotation_yanchor="bottom",  # above the bars, not on them
    )
    if np.isfinite(cheapest):
        figure.add_vline(
            cheapest,
            line={"color": OKABE_ITO[2], "width": 2, "dash": "dot"},
            annotation_text="least cost",
            annotation_position="top left",
            annotation_yanchor="bottom",
        )
    figure.update_layout(
        barmode="stack",
        height=260,
        margin={"l": 10, "r": 10, "t": 54, "b": 10},
        bargap=0.02,
        legend={"orientation": "h", "y": 1.2, "yanchor": "bottom"},
        xaxis_title="anomaly score (higher = more unusual)",
        yaxis_title="cases",
    )
    return figure


def bench(artifact: AnomalyMaps, context: Context, rows: np.ndarray) -> None:
    """The threshold bench: what errors cost, rules, slider and histogram over validation cases,
    what that threshold means there, and what the kept one means on test cases.

    Without five validation cases the threshold is picked on the cases shown, `rows`, and the words
    say so; no rule then looks at what is known of the truth.
    """
    own, test = (_scored(artifact, context.data.part(part).rows) for part in ("val", "test"))
    apart = len(own) >= 5
    rows = own if apart else rows
    score = np.asarray(artifact.score, dtype=np.float64)[artifact.at(rows)]
    step = float(np.ptp(score)) / 400
    if not step > 0:
        st.caption("Every case has the same score, so no threshold can part them.")
        return
    low, high = float(score.min()) - step, float(score.max())
    key = context.key("threshold")
    truth, why = known(context)
    on = f"{len(rows):,} validation cases" if apart else f"{len(rows):,} cases shown"
    prevalence = ratio = None
    cheapest, judged, ill = float("nan"), score, None
    if truth is not None:
        left, right = st.columns(2)
        prevalence = operating_point.ask_prevalence(left)
        ratio = operating_point.ask_ratio(right)
        sure = has_known_truth(context, rows)
        judged, ill = score[sure], truth[np.searchsorted(context.data.rows, rows[sure])]
        if apart:
            cheapest = least_cost(judged, ill, prevalence, ratio)
    _warn_of_one_kind(context, ill, on)
    off = "" if apart else "Needs validation cases, so that no test case decides the threshold."
    if truth is None:
        off = "It is not known which cases are abnormal."
    counted = (judged, ill) if apart else (score, None)
    threshold_rules.buttons(context, *counted, cheapest, key, off)
    start = min(max(float(state.value(key, threshold_of(artifact, context))), low), high)
    state.set_value(key, start)
    state.kept(key, start)
    at = st.slider(
        f"Threshold, to be picked on the {on}",
        low,
        high,
        key=f"w-{key}",
        step=step,
        format="%.4g",
        on_change=state.keep,
        args=(key,),
        help=(
            "Cases above it count as unusual. The method’s own rule:"
            f" {text.plain(artifact.rule or 'none')}."
        ),
    )
    st.plotly_chart(
        histogram(artifact, context, rows, at, cheapest),
        key=context.key("histogram"),
        config={"displayModeBar": False},
    )
    operating_point.show(artifact, context, rows, at, prevalence, f"Of the {on}", "picked")
    if truth is None:
        st.markdown(text.label(why, 200))
    else:
        if ratio is not None and np.isfinite(cheapest):
            groups = context.data.groups
            if groups is not None:
                groups = groups[np.searchsorted(context.data.rows, rows[sure])]
            _cost(judged, ill, groups, at, cheapest, prevalence, ratio)
        _truth(artifact, context, truth, why)
        st.caption(
            f"Picked on these {len(rows):,} cases, so these figures flatter it: on other cases"
            " expect less."
        )
    _keep(context, at, "val" if apart else "shown", prevalence, ratio)
    if apart and len(test) and truth is not None:
        _on_test(artifact, context, test, prevalence)


def _warn_of_one_kind(context: Context, ill: np.ndarray | None, on: str) -> None:
    """Say so where the cases a threshold is picked on are all normal, or all abnormal."""
    data = context.data
    if ill is None and data.normal and len(data.classes) == 1:
        st.warning(
            f"All labelled cases of this data are “{text.label(data.normal, 40)}”, the normal"
            " class: how many abnormal cases a threshold would find cannot be counted."
        )
    elif ill is not None and len(ill) and not ill.any():
        st.warning(
            f"The {on} are all normal: they tell how many false alarms a threshold gives, not how"
            " many abnormal cases it finds. So only the rule of the normal cases can set it here."
        )
    elif ill is not None and len(ill) and ill.all():
        st.warning(
            f"The {on} are all abnormal: they tell how many cases a threshold finds, not how many"
            " false alarms it gives."
        )


@st.cache_data(max_entries=256, show_spinner=False)
def _cost_rate(
    alarm: bytes, truth: bytes, groups: tuple[object, ...] | None, prevalence: float, ratio: float
) -> Rate:
    units = None if groups is None else np.array(groups, dtype=object)
    return cost_rate(
        np.frombuffer(alarm, bool), np.frombuffer(truth, bool), prevalence, ratio, units
    )


def _cost(
    score: np.ndarray,
    ill: np.ndarray | None,
    groups: np.ndarray | None,
    at: float,
    cheapest: float,
    prevalence: float | None,
    ratio: float,
) -> None:
    """What the threshold and the one of least cost are expected to cost."""
    assert ill is not None
    assert prevalence is not None
    units = None if groups is None else tuple(groups)
    here, best = (
        _cost_rate((score > one).tobytes(), ill.tobytes(), units, prevalence, ratio)
        for one in (at, cheapest)
    )
    st.caption(
        text.explain(
            f"Expected cost of 100 cases, in false alarms, where a miss is worth {ratio:.4g}:"
            f" {_in_words(here)} at this threshold, {_in_words(best)} at {cheapest:.4g}, the least"
            " on these cases (dotted line). In brackets: 95 % intervals; the prevalence and what a"
            " miss is worth are taken as known."
        )
    )


def _in_words(cost: Rate) -> str:
    """The cost of 100 cases with its interval."""
    if cost.value is None:
        return "unknown"
    around = "" if cost.low is None else f" ({100 * cost.low:.1f}–{100 * (cost.high or 0):.1f})"
    return f"{100 * cost.value:.1f}{around}"


def _keep(
    context: Context, at: float, on: str, prevalence: float | None, ratio: float | None
) -> None:
    """The form that keeps the threshold, with who chose it and why."""
    left, middle, right = st.columns([1.2, 2, 1.3], vertical_alignment="bottom")
    allowed.author(
        left,
        "Your name",
        notes.load_author(context.ws),
        key=context.key("author"),
        placeholder="who sets it",
        max_chars=60,
        help="Kept with the threshold and shown in reports; asked for once.",
    )
    middle.text_input(
        "Why this threshold",
        key=context.key("reason"),
        placeholder="e.g. agreed with Dr N., misses cost more",
        max_chars=120,
    )
    right.button(
        "Keep this threshold",
        key=context.key("keep-threshold"),
        on_click=_kept,
        args=(context, at, on, prevalence, ratio),
        **allowed.lock("annotate"),
        width="stretch",
    )
    given = notes.load_threshold(context.ws, context.job.id)
    if given:
        st.caption(
            f"Kept: {given['value']:.4g}"
            + (f", by {text.label(given['author'], 60)}" if given.get("author") else "")
            + f", {text.ago(given['made'])}"
            + (f": “{text.label(given['reason'], 120)}”" if given.get("reason") else "")
            + "."
        )


def _kept(
    context: Context, at: float, on: str, prevalence: float | None, ratio: float | None
) -> None:
    """Keep the threshold before the page is drawn again, so that all of it tells of the new one."""
    author, reason = (str(st.session_state[context.key(k)]) for k in ("author", "reason"))
    before = notes.load_threshold(context.ws, context.job.id)
    given = (at, reason, on, author, prevalence, ratio)
    state.attempt(notes.set_threshold, context.ws, context.job.id, *given)
    if notes.load_threshold(context.ws, context.job.id) != before:
        st.toast("Threshold kept for this run.")


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
            f"**{text.explain('AUROC')} {text.measured(found, n=True)}** {of}{why_none}: how often"
            " an abnormal case scores above a normal one; 0.5 is chance."
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
    whose = whose_threshold(artifact, context)
    lead = f"Of the {len(rows):,} test cases, by {whose}"
    operating_point.show(artifact, context, rows, at, prevalence, lead, "test")
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
