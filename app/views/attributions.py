"""What in the input moved the result: signed maps over pictures, signed bars for tables, one scale
for all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import Attributions
from core.explain.baselines import blurred, list_baselines
from core.imaging import render
from core.imaging.palette import OKABE_ITO

TITLE = "Why"


def draw_maps(
    artifact: Attributions,
    context: Context,
    at: np.ndarray,
    side: int = 200,
    reach: float | None = None,
) -> list[np.ndarray]:
    """Pictures with their signed maps, full colour at the 99th percentile of all shown values."""
    value = np.asarray(artifact.value[at]).sum(1)
    if value.ndim == 4:
        value = value[:, value.shape[1] // 2]
    reach = reach or artifact.full_colour()
    inputs = context.data.of(artifact.rows[at]).inputs()
    return [
        render.draw_attribution(x, v, reach, context.data, side, state.look())
        for x, v in zip(inputs, value)
    ]


def quality(artifact: Attributions) -> str:
    """The completeness gap in words, where the method promises one."""
    if artifact.residual is None or artifact.output is None:
        return "This way gives no guarantee that the parts add up to the whole."
    size = float(np.abs(np.asarray(artifact.value).reshape(len(artifact.rows), -1).sum(1)).mean())
    gap = float(np.mean(artifact.residual))
    share = gap / max(size, 1e-9)
    if share < 0.05:
        words = "adds up"
    elif share < 0.2:
        words = "adds up roughly"
    else:
        words = "does NOT add up: read it with doubt"
    return (
        f"The explanation {words}: the parts miss the whole by {gap:.2g} on average"
        f" ({text.percent(share)} of it)."
    )


def show(artifact: Attributions, context: Context) -> None:
    """The selected case first, then the others."""
    rows = np.asarray(artifact.rows)
    row = state.selection().primary
    order = np.argsort(rows != row, kind="stable")
    st.markdown(text.label(quality(artifact), 300))
    if context.data.modality == "table":
        baseline(artifact, context, order[:1])
        bars(artifact, context, int(order[0]))
        return
    baseline(artifact, context, order[:1])
    st.caption(
        f"Orange raised it, blue lowered it; full colour at ±{artifact.full_colour():.2g}, the same"
        f" for all {len(rows):,} cases."
    )
    pages = -(-len(rows) // 12)
    page = st.pagination(pages, key=context.key("why-page")) - 1 if pages > 1 else 0
    part = order[page * 12 : (page + 1) * 12]
    names = context.data.of(rows[part]).names()
    images = draw_maps(artifact, context, part)
    for start in range(0, len(part), 6):
        for i, cell in enumerate(st.columns(6)[: len(part) - start]):
            k = start + i
            cell.image(
                images[k],
                width="stretch",
                alt="Where the input raised the result, and where it lowered",
            )
            said = (
                ""
                if artifact.output is None
                else f" · {text.number(float(artifact.output[part[k]]))}"
            )
            cell.button(
                text.label(Path(names[k]).stem, 14) + said,
                key=context.key(f"why-{rows[part[k]]}"),
                on_click=state.look_at,
                args=(int(rows[part[k]]),),
                type="tertiary",
            )


def baseline(artifact: Attributions, context: Context, at: np.ndarray) -> None:
    """What the cases were compared with: its name, and for the first of the cases at `at` the
    picture.
    """
    if not artifact.baseline:
        return
    title = list_baselines(context.data).get(artifact.baseline, artifact.baseline)
    words = f"Compared with {title} (map baseline): the map shows only what differs from it."
    picture, row = None, None
    if artifact.against is not None:
        row = int(np.asarray(artifact.against)[at][0])
        there = np.isin(row, context.data.rows)
        name = context.data.of(np.array([row])).names()[0] if there else "excluded since"
        words += f" Of the first case: {Path(name).name}."
        row = row if there else None
    if context.data.modality in ("image", "series"):
        picture = _baseline_picture(artifact, context, at, row)
    if picture is None:
        st.caption(text.explain(text.label(words, 300)))
        return
    left, right = st.columns([1, 9], vertical_alignment="center")
    left.image(picture, width=72, alt="What the cases are compared with")
    right.caption(text.explain(text.label(words, 300)))


def _baseline_picture(
    artifact: Attributions, context: Context, at: np.ndarray, row: int | None
) -> np.ndarray | None:
    if artifact.against is not None:
        return None if row is None else render.draw_case(context.data, row, 72, state.look())
    if artifact.baseline == "mean" and artifact.usual is not None:
        base = np.asarray(artifact.usual)
    elif artifact.baseline == "blur":
        base = blurred(context.data.of(artifact.rows[at]).inputs())[0]
    elif artifact.baseline == "zero":
        base = np.zeros(context.data.shape, np.float32)
    else:
        return None
    blank = np.zeros(base.shape[-2:] if base.ndim > 2 else base.shape[-1:], np.float32)
    return render.draw_attribution(
        np.clip(base / 0.6, 0, 1) if base.ndim > 2 else base,
        blank,
        1.0,
        context.data,
        72,
        state.look(),
    )


def bars(artifact: Attributions, context: Context, at: int, top: int = 15) -> None:
    """Of one case: the columns that moved the result most. Of all: how much each matters on
    average.
    """
    value = np.asarray(artifact.value)
    left, right = st.columns(2)
    for cell, title, numbers in (
        (
            left,
            f"Case {text.plain(context.data.of(artifact.rows[at : at + 1]).names()[0], 30)}",
            value[at],
        ),
        (right, "All cases, on average", np.abs(value).mean(0)),
    ):
        order = np.argsort(-np.abs(numbers))[:top]
        colours = [OKABE_ITO[0] if v > 0 else OKABE_ITO[1] for v in numbers[order]]
        figure = go.Figure(
            go.Bar(
                x=numbers[order],
                y=[text.chart(context.data.features[j], 32) for j in order],
                orientation="h",
                marker_color=colours,
            )
        )
        figure.update_layout(
            title={"text": text.chart(title, 50), "font": {"size": 14}},
            height=420,
            yaxis={"autorange": "reversed", "automargin": True},
            margin={"t": 40, "b": 10},
        )
        cell.plotly_chart(
            figure, key=context.key(f"bars-{title}"), config={"displayModeBar": False}
        )
    st.caption("Orange raised the result, blue lowered it; at right the sizes alone.")
