"""A comparison over several tasks: who gains where, who is really better than whom, what choosing
without labels costs, and how long each took.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.state import Context
from core.artifacts import Benchmark
from core.imaging.palette import ACCENT, AMBER, DARK, NONE, OKABE_ITO, PALE, RED
from core.stats import rank_tests

TITLE = "Comparison"
# worse than the baseline, alike, better
LESS_MORE = [[0.0, RED], [0.5, PALE], [1.0, OKABE_ITO[4]]]


def show(artifact: Benchmark, context: Context) -> None:
    """The gains as a heat table, then ranks, choices and times; each part says what to read
    off it.
    """
    gain, base = gains(artifact)
    mean = _mean(gain)
    st.markdown(text.label(headline(artifact, mean, base), 400))
    _heat(artifact, context, gain, mean, base)
    left, right = st.columns(2)
    with left:
        _ranks(artifact, context)
    with right:
        _choices(artifact, context)
    _times(artifact, context)


def baseline(artifact: Benchmark) -> int:
    """The contestant all others are measured against: the first marked as a rival, else the
    first.
    """
    return next(
        (i for i, n in enumerate(artifact.contestants) if artifact.marks.get(n) == "rival"), 0
    )


def competing(artifact: Benchmark) -> list[int]:
    """Positions of the contestants that take part in the ranking: all but those marked as a
    bound.
    """
    return [
        i for i, n in enumerate(artifact.contestants) if "bound" not in artifact.marks.get(n, "")
    ]


def gains(artifact: Benchmark) -> tuple[np.ndarray, int]:
    """(difference to the baseline [m,t], positive = better, NaN = not run; the baseline)."""
    base, score = baseline(artifact), np.asarray(artifact.score, dtype=float)
    return (score - score[base]) * (1 if artifact.higher_is_better else -1), base


def _mean(gain: np.ndarray) -> np.ndarray:
    return np.array([g[np.isfinite(g)].mean() if np.isfinite(g).any() else np.nan for g in gain])


def headline(artifact: Benchmark, mean: np.ndarray, base: int) -> str:
    """Who is best on average, and whether that can be believed, in one or two sentences."""
    own = [i for i in competing(artifact) if np.isfinite(mean[i])]
    name, tasks = artifact.contestants[base], len(artifact.tasks)
    better = [i for i in own if i != base and mean[i] > 0]
    over = f"over {tasks} tasks" if tasks > 1 else "on the one task"
    if not better:
        return f"Nothing is better than “{name}” on average {over} ({artifact.measure})."
    best = max(better, key=lambda i: mean[i])
    said = (
        f"“{artifact.contestants[best]}” is best on average {over}: {mean[best]:+.3f}"
        f" {artifact.measure} against “{name}”."
    )
    p = rank_tests.compare_to_baseline(
        np.asarray(artifact.score, dtype=float)[own], own.index(base)
    )[own.index(best)]
    if p is None:
        return f"{said} That is too few tasks to say whether it is chance."
    return (
        f"{said} {'Chance hardly explains that' if p < 0.05 else 'It may be chance'} (p = {p:.3f},"
        " Wilcoxon, corrected)."
    )


def _heat(
    artifact: Benchmark, context: Context, gain: np.ndarray, mean: np.ndarray, base: int
) -> None:
    order = sorted(range(len(mean)), key=lambda i: -mean[i] if np.isfinite(mean[i]) else np.inf)
    value = np.column_stack([mean, gain])[order]
    error = (
        np.full(gain.shape, np.nan)
        if artifact.error is None
        else np.sqrt(
            np.asarray(artifact.error, float) ** 2 + np.asarray(artifact.error, float)[base] ** 2
        )
    )
    clear = np.column_stack([np.zeros(len(mean), bool), np.abs(gain) > 2 * error])[order]
    score = np.column_stack([_mean(np.asarray(artifact.score, float)), artifact.score])[order]
    reach = max(float(np.nanmax(np.abs(gain), initial=0)), 1e-9)
    said = [
        ["" if np.isnan(v) else f"{v:+.2f}{'*' if c else ''}" for v, c in zip(*line)]
        for line in zip(value, clear)
    ]
    marks = artifact.marks | {artifact.contestants[base]: "baseline"}
    names = [
        text.chart(
            artifact.contestants[i]
            + (f" ({marks[artifact.contestants[i]]})" if artifact.contestants[i] in marks else ""),
            44,
        )
        for i in order
    ]
    shown = ["mean", *(text.chart(t, 44) for t in artifact.tasks)]
    at = list(range(len(shown)))
    figure = go.Figure(
        go.Heatmap(
            z=value,
            x=at,
            y=list(range(len(names))),
            colorscale=LESS_MORE,
            zmid=0,
            zmin=-reach,
            zmax=reach,
            text=said if len(at) <= 24 else None,
            texttemplate="%{text}" if len(at) <= 24 else None,
            customdata=np.dstack(
                [
                    score,
                    np.tile(np.array(shown, dtype=object), (len(order), 1)),
                    np.tile(np.array(names, dtype=object)[:, None], (1, len(at))),
                ]
            ),
            xgap=1,
            ygap=1,
            colorbar={"thickness": 12, "title": "gain"},
            hovertemplate=(
                f"%{{customdata[2]}}<br>%{{customdata[1]}}<br>{text.chart(artifact.measure, 30)}"
                " %{customdata[0]:.3f}, gain %{z:+.3f}<extra></extra>"
            ),
        )
    )
    figure.add_vline(x=0.5, line={"color": NONE, "width": 2})
    figure.update_layout(
        height=190 + 30 * len(names),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={
            "tickvals": at,
            "ticktext": shown,
            "automargin": True,
            "tickangle": -40 if len(at) > 4 else 0,
        },
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "autorange": "reversed",
            "automargin": True,
        },
    )
    st.plotly_chart(
        figure, key=context.key(f"benchmark-heat-{artifact.slug}"), config={"displayModeBar": False}
    )
    st.caption(
        f"Blue: better than “{text.label(artifact.contestants[base], 40)}” on that task; orange:"
        " worse. A star marks a difference of more than two standard errors. Empty: it could not"
        " be run."
    )


def _ranks(artifact: Benchmark, context: Context) -> None:
    """Mean ranks on one line; a bar joins those that do not differ significantly."""
    own = competing(artifact)
    score = np.asarray(artifact.score, dtype=float)[own]
    tasks = rank_tests.complete_tasks(score)
    st.markdown("**Significant differences**")
    if len(tasks) < 3 or len(own) < 3:
        st.caption(
            "Ranks need at least three contestants and three tasks that all of them ran; here"
            f" there are {len(own)} and {len(tasks)}."
        )
        return
    rank = rank_tests.rank_contestants(score[:, tasks], artifact.higher_is_better).mean(1)
    reach, p = rank_tests.critical_difference(len(own), len(tasks)), rank_tests.friedman_test(score)
    order = np.argsort(rank)
    names = [text.chart(artifact.contestants[own[i]], 34) for i in order]
    figure = go.Figure(
        go.Scatter(
            x=rank[order],
            y=list(range(len(order))),
            mode="markers+text",
            marker={"size": 11, "color": OKABE_ITO[4]},
            text=[f"{rank[i]:.1f}" for i in order],
            textposition="middle right",
            hovertext=names,
            hovertemplate="%{hovertext}<br>mean rank %{x:.2f}<extra></extra>",
            showlegend=False,
        )
    )
    for k, (low, high) in enumerate(rank_tests.find_groups(rank, reach)):
        inside = [j for j, i in enumerate(order) if low - 1e-9 <= rank[i] <= high + 1e-9]
        figure.add_shape(
            type="rect",
            x0=low - 0.08,
            x1=high + 0.08,
            y0=inside[0] - 0.42,
            y1=inside[-1] + 0.42,
            line={"color": OKABE_ITO[k % len(OKABE_ITO)], "width": 2},
            fillcolor="rgba(0,0,0,0)",
        )
    figure.add_scatter(
        x=[1, 1 + reach],
        y=[-1, -1],
        mode="lines",
        line={"color": NONE, "width": 4},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_annotation(
        x=1 + reach / 2,
        y=-1,
        yshift=11,
        text=f"critical difference {reach:.2f}",
        showarrow=False,
        font={"size": 11},
    )
    figure.update_layout(
        height=130 + 30 * len(order),
        margin={"l": 10, "r": 30, "t": 10, "b": 10},
        xaxis={"title": "mean rank (1 = best)", "range": [0.7, len(order) + 0.6]},
        yaxis={
            "tickvals": list(range(len(order))),
            "ticktext": names,
            "range": [len(order) - 0.4, -1.8],
            "automargin": True,
        },
    )
    st.plotly_chart(
        figure,
        key=context.key(f"benchmark-ranks-{artifact.slug}"),
        config={"displayModeBar": False},
    )
    judged = (
        "Some contestants differ significantly"
        if p is not None and p < 0.05
        else "No significant difference; do not read an order into this"
    )
    st.caption(
        f"{judged} (Friedman test over {len(tasks)} tasks, p = {text.number(p, 3)}). A frame holds"
        " contestants whose ranks do not differ significantly (Nemenyi test, 95 %)."
    )


def _choices(artifact: Benchmark, context: Context) -> None:
    """For each scorer and task, how much its choice loses against choosing with labels."""
    if not artifact.choices:
        return
    st.markdown("**Cost of unsupervised model selection**")
    sign = 1 if artifact.higher_is_better else -1
    scorers = list(dict.fromkeys(c["scorer"] for c in artifact.choices))
    lost = {
        s: [sign * (c["oracle_score"] - c["score"]) for c in artifact.choices if c["scorer"] == s]
        for s in scorers
    }
    scorers.sort(key=lambda s: float(np.mean(lost[s])))
    figure = go.Figure()
    for j, scorer in enumerate(scorers):
        mine = [c for c in artifact.choices if c["scorer"] == scorer]
        said = [
            f"{text.chart(c['task'], 44)}<br>chose {text.chart(c['chosen'], 34)}"
            f" ({c['score']:.3f})<br>best to choose: {text.chart(c['oracle'], 34)}"
            f" ({c['oracle_score']:.3f})"
            for c in mine
        ]
        shake = 0.16 * np.sin(2.4 * np.arange(len(mine)))
        figure.add_scatter(
            x=lost[scorer],
            y=j + shake,
            mode="markers",
            marker={"size": 8, "color": ACCENT, "opacity": 0.7},
            hovertext=said,
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[float(np.mean(lost[scorer]))],
            y=[j],
            mode="markers",
            marker={
                "size": 15,
                "symbol": "diamond",
                "color": AMBER,
                "line": {"width": 1, "color": DARK},
            },
            hovertemplate=f"mean of {len(mine)} tasks: %{{x:.3f}}<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(x=0, line={"color": NONE, "dash": "dot"})
    figure.update_layout(
        height=130 + 42 * len(scorers),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis_title=f"{text.chart(artifact.measure, 30)} lost",
        yaxis={
            "tickvals": list(range(len(scorers))),
            "ticktext": [text.chart(s, 34) for s in scorers],
            "autorange": "reversed",
            "automargin": True,
        },
    )
    st.plotly_chart(
        figure,
        key=context.key(f"benchmark-choices-{artifact.slug}"),
        config={"displayModeBar": False},
    )
    st.caption(
        "A dot is one task: what the choice made without the new site's labels loses against the"
        " choice made with them. The diamond is the mean; left is better."
    )


def _times(artifact: Benchmark, context: Context) -> None:
    if artifact.seconds is None:
        return
    spent = np.asarray(artifact.seconds, dtype=float).sum(1)
    order = np.argsort(spent)
    with st.expander("How long did each take?"):
        figure = go.Figure(
            go.Bar(
                x=spent[order],
                y=[text.chart(artifact.contestants[i], 44) for i in order],
                orientation="h",
                marker_color=OKABE_ITO[1],
                hovertemplate="%{y}: %{x:.1f} s<extra></extra>",
            )
        )
        figure.update_layout(
            height=90 + 26 * len(order),
            margin={"l": 10, "r": 10, "t": 10, "b": 10},
            xaxis_title="seconds over all tasks and settings, when they were computed",
            yaxis={"automargin": True},
        )
        st.plotly_chart(
            figure,
            key=context.key(f"benchmark-times-{artifact.slug}"),
            config={"displayModeBar": False},
        )
