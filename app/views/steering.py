"""A sparse feature added to held-out cases: what happens to the classes, beside controls, to the
neighbours and to the decoded pictures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels.effects import Effect, add_controls, draw_effects
from app.panels.gallery import thumbs
from app.state import Context
from app.views.traversal import draw_generated, gauge, values_table
from core.artifacts import Steering
from core.imaging import render
from core.imaging.palette import FAINT, GREY, OKABE_ITO

TITLE = "Steering"
BARS, LINES = 12, 6
SIDE = 200  # pixels of a picture


def show(artifact: Steering, context: Context) -> None:
    """What it says, the shifts beside the controls, neighbours, distance, and pictures."""
    st.markdown(f"**{text.label(artifact.title, 80)}**: {text.label(artifact.says, 500)}")
    st.caption(_told(artifact))
    if artifact.results:
        _shifts(artifact, context)
    left, right = st.columns(2)
    with left:
        _where(artifact)
    with right:
        _around(artifact)
    _cases(artifact, context)
    st.caption(
        "It shows what the model’s classes follow, in the model’s own space; it is no proof that"
        " the feature causes the class in a patient. No steered case is a real one."
    )


def _told(made: Steering) -> str:
    """How far the cases were moved, and who reads the classes."""
    how = (
        f"Taken out of {len(made.rows):,} held-out cases in which it is on"
        if made.off
        else f"Added {made.strength:+g}× to {len(made.rows):,} held-out cases"
    )
    words = f"{how}: a step of {text.number(made.sd)} standard deviations of the training cases."
    if not made.reader:
        return words
    read = made.reads
    right = (
        f", whose accuracy before is"
        f" {text.interval(read['accuracy'], read['low'], read['high'], read['n'])}"
        f" (always naming the most frequent class: {read['usual']:.2f})"
        if read
        else ""
    )
    return f"{words} Classes by {made.reader}{right}."


def _shifts(made: Steering, context: Context) -> None:
    results = sorted(made.results, key=lambda r: -abs(r["shift"]))
    drawn = results[:BARS]
    names = [text.chart(r["class"], 30) for r in drawn]
    figure = go.Figure()
    for control, words, colour, width in (
        ("feature", f"along {made.features} other features", FAINT, 0.8),
        ("direction", f"in {made.directions} random directions", GREY, 0.4),
    ):
        bands = [
            (n, r[f"{control}_low"], r[f"{control}_high"])
            for r, n in zip(drawn, names)
            if f"{control}_low" in r
        ]
        add_controls(figure, words, bands, colour, 0.5, width)
    shifts = [
        Effect(
            n,
            r["shift"],
            int(np.sign(r["shift"])) if r["stands_out"] else 0,
            r["low"],
            r["high"],
        )
        for r, n in zip(drawn, names)
    ]
    kinds = ("raised", "lowered", "no more than controls")
    draw_effects(figure, shifts, kinds, "mean change of the probability", 150)
    left, right = st.columns([3, 2])
    key = context.key(f"steer-{made.feature}-{made.strength}-{made.off}")
    left.plotly_chart(figure, key=key, config={"displayModeBar": False})
    right.plotly_chart(
        _curve(made, [r["class"] for r in drawn[:LINES]]),
        key=f"{key}-curve",
        config={"displayModeBar": False},
    )
    if len(results) > BARS:
        st.caption(f"The {BARS} largest of {len(results)} classes are drawn; the table has all.")
    with st.expander("Table"):
        st.dataframe(_table(results), hide_index=True)
        st.caption(
            "Change with its 95 % interval over patients. Controls: the middle 95 % of the change"
            " by steps of the same length. A change stands out where its interval excludes 0 and it"
            " is larger than 95 % of either control."
        )


def _curve(made: Steering, order: list[str]) -> go.Figure:
    """Mean probabilities by strength."""
    figure, share = go.Figure(), np.asarray(made.curve["share"])
    for i, name in enumerate(order):
        figure.add_scatter(
            x=[s * (made.strength or 1.0) for s in made.curve["strength"]],
            y=share[:, made.classes.index(name)],
            name=text.chart(name, 20),
            mode="lines+markers",
            marker={"symbol": i},
            line={"color": OKABE_ITO[i % len(OKABE_ITO)]},
        )
    figure.update_layout(
        height=300,
        margin={"t": 10, "b": 10, "l": 10, "r": 10},
        yaxis={"range": [0, min(1.0, 1.15 * float(share.max()))], "title": "mean probability"},
        xaxis={"title": "share taken out" if made.off else "strength (×)"},
        showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"},
    )
    return figure


def _table(results: list[dict[str, object]]) -> pd.DataFrame:
    def control(r: dict[str, object], name: str) -> str:
        return f"{r[f'{name}_low']:+.3f} to {r[f'{name}_high']:+.3f}" if f"{name}_low" in r else ""

    return pd.DataFrame(
        {
            "class": [text.plain(r["class"]) for r in results],
            "before": [f"{r['before']:.3f}" for r in results],
            "after": [f"{r['after']:.3f}" for r in results],
            "change": [
                f"{r['shift']:+.3f}"
                + (f" ({r['low']:+.3f} to {r['high']:+.3f})" if r["low"] is not None else "")
                for r in results
            ],
            "other features": [control(r, "feature") for r in results],
            "random directions": [control(r, "direction") for r in results],
            "stands out": ["yes" if r["stands_out"] else "no" for r in results],
        }
    )


def _where(made: Steering) -> None:
    """How far the steered cases are from real ones."""
    before, after = np.median(np.asarray(made.distance), 0)
    beyond = float((np.asarray(made.distance)[:, 1] >= 99).mean())
    st.markdown("**How far from real cases**")
    gauge(float(after))
    st.caption(
        f"Median steered case; before steering it was {before:.0f} of 100."
        f" {text.percent(beyond)} of steered cases lie beyond 99 of 100."
    )


def _around(made: Steering) -> None:
    """Who the neighbours are before and after."""
    st.markdown("**Nearest training cases**")
    st.caption(
        f"Of the ten nearest {text.percent(float(np.mean(made.kept)))} stay the same"
        " (mean over cases)."
    )
    some = sorted(made.around, key=lambda a: -abs(a["after"] - a["before"]))[:5]
    if some:
        st.dataframe(
            pd.DataFrame(
                {
                    "class": [text.plain(a["class"]) for a in some],
                    "share of neighbours before": [text.percent(a["before"]) for a in some],
                    "after": [text.percent(a["after"]) for a in some],
                }
            ),
            hide_index=True,
        )


def _cases(made: Steering, context: Context) -> None:
    """A few cases, what is decoded before and after, and their nearest real cases."""
    shown = np.asarray(made.shown)
    rows, data = made.at(shown), context.data
    st.markdown(
        "**Cases**",
        help="What the earlier model decodes is marked GENERATED. The nearest real case after"
        " steering stands beside it.",
    )
    if not render.is_drawable(data):
        if made.frames is not None and data.modality == "table" and len(shown):
            before, after = np.asarray(made.frames)[0]
            values_table(context, int(shown[0]), before, after, 10)
        _names(made, context, rows)
        return
    near = np.asarray(made.near)[rows][:, :, 0]
    real = thumbs(data, np.concatenate([shown, near[:, 0], near[:, 1]]), SIDE)
    case, before, after = real[: len(shown)], real[len(shown) : -len(shown)], real[-len(shown) :]
    lines: dict[str, list[np.ndarray]] = {"The case": list(case)}
    if made.frames is not None:
        for k, word in enumerate(("Decoded before", "Decoded after")):
            lines[word] = [draw_generated(f[k], context, SIDE) for f in np.asarray(made.frames)]
    lines |= {"Nearest real case before": list(before), "Nearest real case after": list(after)}
    for k, row in enumerate(shown):
        for cell, (words, pictures) in zip(st.columns(max(5, len(lines))), lines.items()):
            if k == 0:
                cell.caption(words)
            cell.image(pictures[k], width="stretch", alt=words)
            if words == "The case":
                cell.button(
                    text.label(data.of(np.array([row])).names()[0], 16),
                    key=context.key(f"steer-case-{k}-{row}"),
                    on_click=state.look_at,
                    args=(int(row),),
                    type="tertiary",
                )


def _names(made: Steering, context: Context, rows: np.ndarray) -> None:
    """Of what cannot be drawn: the cases and their nearest real ones by name."""
    near = np.asarray(made.near)[rows][:, :, 0]
    names = [
        context.data.of(np.array(r)).names() for r in (made.rows[rows], near[:, 0], near[:, 1])
    ]
    st.dataframe(
        pd.DataFrame(
            {
                title: [text.plain(n, 60) for n in some]
                for title, some in zip(("case", "nearest training case before", "after"), names)
            }
        ),
        hide_index=True,
    )
