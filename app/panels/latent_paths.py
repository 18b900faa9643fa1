"""More ways through latent space on the Traversal page: a plane by three cases or two axes, along a
column, and a walk over the map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from app import progress, state, text
from app.components import download
from app.panels import map as map_panel
from app.panels.latent_axes import pin
from app.panels.traversal_bench import axis_name
from app.pin import pin_button
from app.state import Context
from app.views import traversal as traverse
from core.artifacts import Map, Traversal
from core.explain import paths, plane
from core.explain.plane import Plane
from core.jobs.counterfactual import find_threshold
from core.maps.projections import AUTOMATIC
from core.report.plane_figure import plane_figure

STEPS = 9
MOST = 12  # cases of a walk
MAP = 380  # pixels


def _show(path: Traversal | None, context: Context, key: str, classes: list[str]) -> None:
    """The strip of a path, its curves, and what to take of it."""
    if path is None:
        return
    st.caption(text.label(path.axis, 300))
    traverse.strip(path, context)
    traverse.curves(path, classes)
    pin(path, context, key)


# -- a plane ---------------------------------------------------------------------------------------
@st.cache_resource(max_entries=8, show_spinner="Decoding the plane")
def _plane(home: str, run: str, hash: str, rows: tuple[int, ...], axes: tuple[int, ...]) -> Plane:
    model, embedding = traverse.opened(home, run)
    data = state.context_of(run).data
    if axes:
        return plane.plane_of_axes(model, data, embedding, rows[0], (axes[0], axes[1]))
    return plane.plane_of_cases(model, data, embedding, (rows[0], rows[1], rows[2]))


def on_a_plane(context: Context, row: int) -> None:
    """Pictures on a grid through three cases, or along two axes from one."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    ways = ["Three cases", "Two axes"]
    how = st.segmented_control(
        "Plane by", ways, default=ways[0], key=context.key("plane-by"), required=True
    )
    rows: tuple[int, ...]
    axes: tuple[int, ...] = ()
    left, right = st.columns(2)
    if how == ways[0]:
        first, second = _others(context, row, embedding.rows)
        low, high = int(context.data.rows.min()), int(context.data.rows.max())
        key = f"{context.job.id}-{row}"
        b = left.number_input("B: case (row number)", low, high, first, key=f"plane-b-{key}")
        c = right.number_input("C: case (row number)", low, high, second, key=f"plane-c-{key}")
        rows = (row, int(b), int(c))
        if not np.isin(rows, embedding.rows).all():
            st.caption("One of these cases is not in this run.")
            return
    else:
        effect = traverse.effects(str(context.ws.home), context.job.id)
        order = [int(a) for a in np.argsort(-effect, kind="stable")]
        chosen = [
            cell.selectbox(
                name,
                order,
                index=min(k, len(order) - 1),
                format_func=lambda a: text.plain(axis_name(embedding, a)),
                key=context.key(f"plane-axis-{k}"),
            )
            for k, (cell, name) in enumerate(((left, "Across"), (right, "Up")))
        ]
        rows, axes = (row,), (int(chosen[0]), int(chosen[1]))
    made = state.attempt(
        _plane, str(context.ws.home), context.job.id, context.data.hash, rows, axes
    )
    if made is not None:
        _draw_plane(made, model, context, rows, axes)


def _others(context: Context, row: int, known: np.ndarray) -> tuple[int, int]:
    """Two cases beside `row`: selected ones, else of other classes, else from afar."""
    chosen = [int(r) for r in state.selection().rows if r != row and r in known]
    data = context.data.of(known)
    own = data.labels[known == row]
    other = [int(known[data.labels == k][0]) for k in np.unique(data.labels) if k not in own]
    apart = [int(known[(int(np.flatnonzero(known == row)[0]) + k * len(known) // 3) % len(known)])
             for k in (1, 2)]  # fmt: skip
    found = [r for r in dict.fromkeys([*chosen, *other, *apart]) if r != row]
    return found[0], found[min(1, len(found) - 1)]


def _draw_plane(
    made: Plane, model: Any, context: Context, rows: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    stamp = f"{context.data.name}, run {context.job.id}, seed {context.job.seed}"
    threshold = find_threshold(context.ws, context.job.id)
    said = context.data, made, list(model.classes), threshold, state.look(), text.plain(stamp, 100)
    png = plane_figure(*said)
    of = "the case’s own place" if axes else "the places of A, B and C"
    # both are there and the page shows that of its theme, which changes without a run of the script
    for theme, shown in (("light", png), ("dark", plane_figure(*said, dark=True))):
        with st.container(key=f"drawn-{theme}-plane"):
            st.image(shown, width="stretch", alt="A plane of pictures the model made")
    st.caption(
        f"At {of} stand the reconstructions of the cases. Lines part where the model’s answer"
        " changes. Behind the pictures: how far that place is from real cases; do not trust what"
        " stands on red."
    )
    with st.container(horizontal=True):
        pin_button(lambda: png, context, "A plane of pictures (made by the model)", "plane")
        download.button(
            st,
            "Take as PNG",
            png,
            "plane.png",
            "image/png",
            icon=":material/download:",
            key=context.key("plane-png"),
            what=f"run {context.job.id}: a plane",
        )


# -- along a column --------------------------------------------------------------------------------
def along_a_column(context: Context, row: int) -> None:
    """From low to high of a column of numbers, or from the mean of one word to that of another."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    numbers, words = paths.path_columns(context.data)
    if not numbers and not words:
        st.caption("The table has no column of numbers or of a few words.")
        return
    cells = st.columns(3)
    column = cells[0].selectbox(
        "Column", [*numbers, *words], format_func=text.plain, key=context.key("along")
    )
    if column in numbers:
        path = state.attempt(
            paths.traverse_column, model, context.data, embedding, row, column, STEPS
        )
    else:
        there = paths.column_words(context.data, column)
        low = cells[1].selectbox(
            "From the mean of", there, format_func=text.plain, key=context.key(f"low-{column}")
        )
        high = cells[2].selectbox(
            "To the mean of",
            there,
            index=1,
            format_func=text.plain,
            key=context.key(f"high-{column}"),
        )
        path = state.attempt(
            paths.traverse_means, model, context.data, embedding, column, low, high, STEPS
        )
    _show(path, context, "column", model.classes)


# -- a walk on the map -----------------------------------------------------------------------------
def over_the_map(context: Context, row: int) -> None:
    """Cases clicked on the map one after another, and the path through them."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    made = _map(context)
    if made is None:
        return
    key = context.key("walk")
    stops = [r for r in state.value(key, []) if r in embedding.rows]
    st.caption("Click points on the map one after another; the path leads through their cases.")
    column = context.columns.get(state.colour_column() or "") or next(
        iter(context.columns.values())
    )
    map_panel.draw(
        made, context, column, f"{context.job.id}-walk", MAP, click=lambda r: _add(key, r)
    )
    names = [text.label(n, 24) for n in context.data.of(np.array(stops, dtype=int)).names()]
    st.markdown("**Walk:** " + (" → ".join(names) or "no case yet"))
    with st.container(horizontal=True):
        st.button(
            "Add the case in the inspector",
            on_click=_add,
            args=(key, row),
            disabled=len(stops) >= MOST,
            icon=":material/add:",
        )
        st.button("Remove the last", on_click=_cut, args=(key,), disabled=not stops)
        st.button("Start over", on_click=state.set_value, args=(key, []), disabled=not stops)
    between = st.toggle(
        "By way of real cases between them",
        key=context.key("walk-between"),
        help=(
            "From each case to the next by the shortest way along nearest neighbours in latent"
            " space, so that the path stays where real cases are. Otherwise straight."
        ),
    )
    if len(stops) < 2:
        st.caption("A walk needs at least two cases.")
        return
    path = state.attempt(
        paths.traverse_through, model, context.data, embedding, stops, STEPS, between
    )
    _show(path, context, "walk", model.classes)


def _map(context: Context) -> Map | None:
    """The map of the run, once it is drawn."""
    job = progress.await_derived("map", {"how": AUTOMATIC, "dims": 2}, context, "walk-map")
    if job is None:
        return None
    made = context.ws.artifact(job.id, "map")
    assert isinstance(made, Map)
    return made


def _add(key: str, row: int) -> None:
    stops = [*state.value(key, []), int(row)][-MOST:]
    # a click may come twice; the same case twice in a row is no step
    stops = [r for i, r in enumerate(stops) if i == 0 or r != stops[i - 1]]
    state.set_value(key, stops)
    state.select(np.array(stops, dtype=np.int64), "walk on the map")
    state.look_at(int(row))


def _cut(key: str) -> None:
    state.set_value(key, state.value(key, [])[:-1])
