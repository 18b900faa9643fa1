"""The traversal bench: sliders sorted by effect, the live picture, paths between cases and towards
a class.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.components import download
from app.panels import axis_names, traversal_bench
from app.panels.traversal_bench import axis_help, axis_name, axis_reach
from app.pin import pin_button
from app.state import Context
from app.views import traversal as traverse
from core.artifacts import Traversal
from core.explain import traversal
from core.imaging import render
from core.imaging.windowing import DisplaySettings
from core.report import figures


def _as_given() -> DisplaySettings:
    """Beside what a model makes stands what it is given, whatever window the user has chosen."""
    return DisplaySettings("range", state.look().side)


def axis_sliders(context: Context, row: int) -> None:
    """Sliders and the decoded case, which starts at its own place; below, all of one axis."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    embedding = axis_names.with_names(context, embedding)
    effect = traverse.effects(str(context.ws.home), context.job.id)
    order = np.argsort(-effect, kind="stable")
    asked = state.value("axis")  # an axis chosen on another page comes first
    if isinstance(asked, int) and 0 <= asked < len(order):
        order = np.concatenate([[asked], order[order != asked]])
    if render.is_drawable(context.data):
        traversal_bench.show(context, row, order, effect)
    else:
        _value_sliders(context, row, order, effect)
    with st.expander("Along one axis", expanded=True):
        chosen = st.selectbox(
            "Latent axis",
            [int(a) for a in order],
            format_func=lambda a: axis_name(embedding, a),
            key=f"strip-{context.job.id}",
        )
        path = traversal.traverse_axis(model, context.data, embedding, row, chosen, 9)
        traverse.strip(path, context)
        traverse.curves(path, model.classes)
        pin(path, context, "axis")
    axis_names.show(context)


@st.fragment
def _value_sliders(context: Context, row: int, order: np.ndarray, effect: np.ndarray) -> None:
    """Of a table: sliders, and what becomes of the case's values."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    embedding = axis_names.with_names(context, embedding)
    start = traversal.latent_position(embedding, row)
    z = start.copy()
    middle, right = st.columns([2, 1])
    with right:
        head = st.columns([2, 1], vertical_alignment="center")
        head[0].markdown("**Latent axes**, largest effect first")
        head[1].button("Reset", on_click=_reset, args=(context, row), width="stretch")
        front, more = (
            right.container(),
            (right.expander("More axes") if len(order) > traverse.KNOBS else right),
        )
        for place, axis in enumerate(order[: traversal_bench.AXES]):
            low, high = axis_reach(embedding, int(axis))
            holder = front if place < traverse.KNOBS else more
            own = float(np.clip(start[axis], low, high))
            value = holder.slider(
                text.label(axis_name(embedding, int(axis))),
                low,
                high,
                own,
                (high - low) / 100,
                key=f"axis-{context.job.id}-{row}-{axis}",
                format="%.2f",
                help=axis_help(float(effect[axis])),
            )
            if abs(value - own) > 1e-6:
                z = traversal.set_coordinate(embedding, z, int(axis), value)
    here, frame = traversal.decode(model, np.stack([start, z]))
    with middle:
        st.markdown(
            "**Reconstruction**",
            help="What the model makes of the case, at the place in latent space that is set here.",
        )
        traverse.values_table(context, row, here, frame)
        traverse.gauge(float(traversal.distance_percentile(context.data, embedding, z[None])[0]))
        if "predict" in model.abilities:
            predicted = traversal.predict(model, frame[None])
            assert predicted is not None
            for name, p in zip(model.classes, predicted[0]):
                st.progress(float(p), text=f"{text.label(name)}: {text.percent(p)}")
    traverse.real_cases(context, np.asarray(traversal.nearest_cases(embedding, z[None], 3)[0]))


def pin(path: Traversal, context: Context, key: str) -> None:
    """Pin a path, or take its frames, marked as generated, as one moving picture."""
    with st.container(horizontal=True):
        pin_button(
            lambda: figures.traversal_figure(context.data, path),
            context,
            f"{path.axis} (made by the model)",
            f"path-{key}",
        )
        if render.is_drawable(context.data):
            download.button(
                st,
                "Take as GIF",
                lambda: render.encode_gif(
                    [traverse.draw_generated(f, context, 256) for f in path.frames]
                ),
                "traversal.gif",
                "image/gif",
                icon=":material/download:",
                key=f"gif-{key}-{context.job.id}",
                what=f"run {context.job.id}: a path",
            )


def _reset(context: Context, row: int) -> None:
    for key in [k for k in st.session_state if str(k).startswith(f"axis-{context.job.id}-{row}-")]:
        del st.session_state[key]


def between(context: Context, row: int) -> None:
    """A straight path from one case to another; its ends are the reconstructions of the two."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    rows = context.data.rows
    chosen = [r for r in state.selection().rows.tolist() if r != row]
    start = (
        chosen[0]
        if chosen
        else int(rows[(int(np.flatnonzero(rows == row)[0]) + len(rows) // 2) % len(rows)])
    )
    other = st.number_input(
        "To case (row number)",
        int(rows.min()),
        int(rows.max()),
        start,
        key=f"other-{context.job.id}-{row}",
        help="Any row of the data.",
    )
    if other not in set(embedding.rows.tolist()):
        st.caption("That case is not in this run.")
        return
    path = traversal.traverse_between(model, context.data, embedding, row, int(other), 9)
    cells = st.columns([1, 6, 1], vertical_alignment="center")
    if render.is_drawable(context.data):
        cells[0].image(
            render.draw_case(context.data, row, 110, _as_given()),
            caption="the first case",
            alt="The first case",
            width="stretch",
        )
        cells[2].image(
            render.draw_case(context.data, int(other), 110, _as_given()),
            caption="the other case",
            alt="The other case",
            width="stretch",
        )
    with cells[1]:
        traverse.strip(path, context)
    traverse.curves(path, model.classes)
    pin(path, context, "between")


def toward(context: Context, row: int) -> None:
    """From the case in the direction that parts one class from the rest."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    label = st.selectbox(
        "Towards", context.data.classes, format_func=text.plain, key=f"toward-{context.job.id}"
    )
    path = state.attempt(
        traversal.traverse_toward_label, model, context.data, embedding, row, label, 9
    )
    if path is not None:
        st.caption(text.label(path.axis, 200))
        traverse.strip(path, context)
        traverse.curves(path, model.classes)
        pin(path, context, "toward")
