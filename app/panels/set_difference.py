"""Set A against set B: what tells them apart, in columns and in the latent space, with the mean
picture and typical cases of each.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import sets, state, text
from app.components import download
from app.panels.gallery import thumbs
from app.panels.paired_chart import paired_chart
from app.state import Context
from core.artifacts import Embedding
from core.errors import UserError
from core.explain.group_differences import Difference
from core.explain.set_differences import (
    NEAREST,
    Mixing,
    compare_columns,
    latent_columns,
    measure_mixing,
    most_typical,
    part_sets,
)
from core.imaging import render
from core.jobs.run_folder import find_artifact
from core.sampling import evenly_spaced
from core.words import q_value

MEAN_OF = 300  # cases of a set whose mean picture is drawn
TYPICAL = 5
TILE = 128


def show(context: Context, key: str) -> None:
    """Keep the selection as A or B, and compare the two."""
    chosen, held = state.selection(), sets.kept()
    line = st.container(horizontal=True, vertical_alignment="center")
    for name in sets.NAMES:
        line.button(
            f"Keep the {len(chosen):,} selected as {name}" if len(chosen) else f"Keep as {name}",
            key=f"{key}-keep-{name}",
            on_click=sets.keep,
            args=(name, chosen.rows),
            disabled=not len(chosen),
            help=f"On the map the key {name} does the same.",
        )
    for name, rows in held.items():
        line.button(
            f"Select {name} ({len(rows):,})",
            key=f"{key}-select-{name}",
            on_click=state.select,
            args=(rows, f"set {name}"),
        )
        line.button(
            f"Forget {name}",
            key=f"{key}-forget-{name}",
            on_click=sets.keep,
            args=(name, np.zeros(0, np.int64)),
            type="tertiary",
        )
    if len(held) < 2:
        missing = " and ".join(n for n in sets.NAMES if n not in held)
        st.caption(
            f"Select some cases and keep them as {missing}; A is ringed on the map by circles, B by"
            " squares. Then both are set beside each other here."
        )
        return
    line.button("Swap A and B", key=f"{key}-swap", on_click=sets.swap, type="tertiary")
    _compare(context, held["A"], held["B"], key)


def _compare(context: Context, whole_a: np.ndarray, whole_b: np.ndarray, key: str) -> None:
    a, b, both = part_sets(whole_a, whole_b)
    if len(both):
        st.markdown(
            f":orange[:material/join_inner: {text.counted(len(both), 'case')} of both sets] stand"
            f" on neither side; compared are {len(a):,} of A alone and {len(b):,} of B alone."
        )
    if min(len(a), len(b)) < 3:
        st.caption("Each set needs at least 3 cases that are not in the other.")
        return
    columns = [c for c in context.columns.values() if c.source != "group"]
    found = compare_columns(columns, context.data.rows, a, b)
    left, right = st.columns([3, 2])
    with left:
        _differences(found, a, b)
    with right:
        _latent(context, a, b)
    _charts(context, a, b, key)
    _pictures(context, a, b)
    _export(context, found, a, b, key)


def _differences(found: list[Difference], a: np.ndarray, b: np.ndarray) -> None:
    beyond = [d for d in found if d.q < 0.05]
    if not beyond:
        st.markdown("No column sets A apart from B beyond chance.")
        return
    st.markdown(
        f"The {len(a):,} cases of A differ from the {len(b):,} of B most in"
        f" **{text.label(beyond[0].name)}**, which {text.label(beyond[0].words, 200)}."
    )
    for d in beyond[:5]:
        st.markdown(
            f"- **{text.label(d.name)}** {text.label(d.words, 200)}  \n  effect"
            f" {d.effect:+.2f}, {q_value(d.q)}, n = {d.n[0]:,} and {d.n[1]:,}"
        )
    st.caption(
        "Effect: rank-biserial correlation for numbers (positive: higher in A), Cramér’s V for"
        " categories. q: share of false findings to expect among these (Benjamini–Hochberg)."
    )


@st.cache_data(max_entries=16, show_spinner="Comparing the sets")
def _spaced(
    home: str, run: str, hash: str, a: np.ndarray, b: np.ndarray
) -> tuple[tuple[Mixing, Mixing] | None, list[Difference], np.ndarray, np.ndarray] | None:
    context = state.context_of(run)
    try:
        space = find_artifact(context.ws, run, Embedding)
    except UserError:
        return None
    groups = None
    if (patients := context.data.groups) is not None:
        groups = dict(zip(context.data.rows.tolist(), patients))
    axes = compare_columns(latent_columns(space, context.data.rows), context.data.rows, a, b)
    typical = [most_typical(space, side, TYPICAL) for side in (a, b)]
    return measure_mixing(space, a, b, groups), axes, typical[0], typical[1]


def _of_space(
    context: Context, a: np.ndarray, b: np.ndarray
) -> tuple[tuple[Mixing, Mixing] | None, list[Difference], np.ndarray, np.ndarray] | None:
    return _spaced(str(context.ws.home), context.job.id, context.data.hash, a, b)


def _latent(context: Context, a: np.ndarray, b: np.ndarray) -> None:
    spaced = _of_space(context, a, b)
    if spaced is None or spaced[0] is None:
        st.caption("This run has no latent space in which both sets lie.")
        return
    st.markdown("**In the latent space**")
    for name, one in zip(sets.NAMES, spaced[0]):
        low, high = one.interval.low, one.interval.high
        bounds = (
            f"95 % interval {text.percent(low)} to {text.percent(high)}, "
            if low is not None and high is not None
            else ""
        )
        st.markdown(
            f"Of the {NEAREST} cases of both sets nearest to one of {name},"
            f" **{text.percent(one.own)}** are of {name} too ({bounds}n = {one.n:,}); by chance"
            f" {text.percent(one.chance)} would be."
        )
    top = spaced[1][:3]
    if top:
        st.markdown(
            "Axes: "
            + "; ".join(
                f"**{text.label(d.name, 30)}** effect {d.effect:+.2f}, {q_value(d.q)}" for d in top
            )
            + "."
        )
    st.caption(
        "Sets that were drawn around groups on a map of this space lie apart in it for that reason"
        " alone: these figures say how far, not that it means something."
    )


def _charts(context: Context, a: np.ndarray, b: np.ndarray, key: str) -> None:
    """Classes and scores of A and B, beside each other."""
    columns = list(context.columns.values())
    label = context.data.roles.get("label")
    shown = [c for c in columns if c.name == label and c.kind == "category"][:1]
    shown += [c for c in columns if c.source == "run" and c.kind == "amount"][:1]
    shown = shown or columns[:1]
    for cell, column in zip(st.columns(2), shown):
        cell.caption(text.label(column.name))
        cell.plotly_chart(
            paired_chart(column, context.data.rows, {"A": a, "B": b}),
            key=f"{key}-ab-{column.name}",
            config={"displayModeBar": False},
        )


def _pictures(context: Context, a: np.ndarray, b: np.ndarray) -> None:
    """Of each set its mean picture and the cases nearest to its middle in the latent space."""
    if not render.is_drawable(context.data):
        return
    spaced = _of_space(context, a, b)
    for name, side, typical in zip(
        sets.NAMES, (a, b), spaced[2:] if spaced is not None else (a[:TYPICAL], b[:TYPICAL])
    ):
        sample = side[evenly_spaced(len(side), MEAN_OF)]
        mean = thumbs(context.data, sample, TILE).astype(np.float32).mean(0).astype(np.uint8)
        cells = st.columns(TYPICAL + 2, vertical_alignment="center")
        cells[0].image(mean, width="stretch", alt=f"The mean picture of set {name}")
        cells[0].caption(f"**{name}**: mean of {len(sample):,}")
        for cell, row, picture in zip(cells[1:], typical, thumbs(context.data, typical, TILE)):
            named = context.data.of(np.array([row])).names()[0]
            cell.image(picture, width="stretch", alt=f"A typical case of set {name}")
            cell.button(
                text.label(named, 14),
                key=f"typical-{name}-{row}",
                on_click=state.look_at,
                args=(int(row),),
                type="tertiary",
                width="stretch",
            )
    st.caption(
        "Beside each mean the cases nearest to the middle of their set in the latent space."
        if spaced is not None
        else "Beside each mean the first cases of its set."
    )


def _export(
    context: Context, found: list[Difference], a: np.ndarray, b: np.ndarray, key: str
) -> None:
    from core.export import SAFE, safe_csv

    spaced = _of_space(context, a, b)
    every = [("column", d) for d in found]
    every += [("latent axis", d) for d in spaced[1]] if spaced is not None else []
    table = pd.DataFrame(
        [(kind, d.name, d.effect, d.q, d.n[0], d.n[1], d.words) for kind, d in every],
        columns=["kind", "name", "effect", "q", "n of A", "n of B", "difference"],
    )
    with st.expander(f"All {len(table):,} comparisons as a table"):
        st.dataframe(table, hide_index=True, width="stretch")
    download.button(
        st,
        "Export as CSV",
        safe_csv(table),
        "a-against-b.csv",
        "text/csv",
        key=f"{key}-ab-csv",
        icon=":material/download:",
        help=SAFE,
        what=f"run {context.job.id}: differences of two sets",
    )
