"""The traversal bench: sliders sorted by effect, the live picture, paths between cases and towards
a class.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.pin import pin_button
from app.state import Context
from app.views import traversal as traverse
from core.artifacts import Embedding, Traversal
from core.explain import traversal
from core.imaging import render
from core.imaging.windowing import DisplaySettings
from core.report import figures


def ranges(embedding: Embedding, axis: int) -> tuple[float, float]:
    """What a slider may reach: from the 0.5th to the 99.5th percentile of all cases, widened by a
    fifth; on the simplex 0 to 0.99.
    """
    if embedding.geometry == "simplex":
        return 0.0, 0.99
    if embedding.geometry == "sparse":
        return traversal.axis_range(embedding, axis)
    low, high = np.quantile(embedding.z[:, axis], [0.005, 0.995])
    room = 0.2 * (high - low) or 1.0
    return float(low - room), float(high + room)


def _as_given() -> DisplaySettings:
    """Beside what a model makes stands what it is given, whatever window the user has chosen."""
    return DisplaySettings("range", state.look().side)


def axis_name(embedding: Embedding, axis: int) -> str:
    return embedding.axes[axis] if embedding.axes else f"axis {axis + 1}"


def axis_sliders(context: Context, row: int) -> None:
    """Sliders and the decoded case; everything starts at the case's own place."""
    model, embedding = traverse.opened(str(context.ws.home), context.job.id)
    effect = traverse.effects(str(context.ws.home), context.job.id)
    order = np.argsort(-effect, kind="stable")
    asked = state.value("axis")  # an axis chosen on another page comes first
    if isinstance(asked, int) and 0 <= asked < len(order):
        order = np.concatenate([[asked], order[order != asked]])
    z0 = np.array(embedding.z[embedding.at(np.array([row]))[0]], dtype=np.float32)
    z = z0.copy()
    drawable = render.is_drawable(context.data)
    left, middle, right = st.columns([3, 4, 3] if drawable else [1, 60, 30])
    with right:
        head = st.columns([2, 1], vertical_alignment="center")
        head[0].markdown("**Latent axes**, largest effect first")
        head[1].button("Reset", on_click=_reset, args=(context, row), width="stretch")
        front, more = (
            right.container(),
            (right.expander("More axes") if len(order) > traverse.KNOBS else right),
        )
        for place, axis in enumerate(order[:16]):
            low, high = ranges(embedding, int(axis))
            holder = front if place < traverse.KNOBS else more
            key = f"axis-{context.job.id}-{row}-{axis}"
            start = float(np.clip(z0[axis], low, high))
            value = holder.slider(
                text.label(axis_name(embedding, int(axis))),
                low,
                high,
                start,
                (high - low) / 100,
                key=key,
                format="%.2f",
                help=(
                    "Moving it by two typical steps changes the reconstruction by"
                    f" {effect[axis]:.3g} on average."
                ),
            )
            if abs(value - start) > 1e-6:
                z = traversal.set_coordinate(embedding, z, int(axis), value)
    frame = traversal.decode(model, z[None])[0]
    here = traversal.decode(model, z0[None])[0]
    if drawable:
        with left:
            st.markdown("**The case**")
            st.image(
                render.draw_case(context.data, row, 240, _as_given()),
                width="stretch",
                alt="The case",
            )
            st.markdown("**What changed**")
            st.image(
                difference(frame, here, 240, context),
                width="stretch",
                alt="What changed, as coloured differences",
            )
            st.caption(
                "Grey: as it was. Shaded: where it changes most."
                if context.data.modality == "series"
                else "Orange: brighter than before. Blue: darker."
            )
    with middle:
        st.markdown(
            "**Reconstruction**",
            help="What the model makes of the case, at the place in latent space that is set here.",
        )
        if drawable:
            st.image(
                traverse.draw_generated(frame, context, 480),
                width="stretch",
                alt="Generated: the case at the place in latent space that is set",
            )
        else:
            traverse.values_table(context, row, here, frame)
        traverse.gauge(float(traversal.distance_percentile(context.data, embedding, z[None])[0]))
        if "predict" in model.abilities:
            predicted = traversal.predict(model, frame[None])
            assert predicted is not None
            for name, p in zip(model.classes, predicted[0]):
                st.caption(f"{text.label(name)}: {p:.0%}")
    traverse.real_cases(context, np.asarray(traversal.nearest_cases(embedding, z[None], 3)[0]))
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
            st.download_button(
                "Take as GIF",
                lambda: render.encode_gif(
                    [traverse.draw_generated(f, context, 256) for f in path.frames]
                ),
                "traversal.gif",
                "image/gif",
                icon=":material/download:",
                key=f"gif-{key}-{context.job.id}",
            )


def _reset(context: Context, row: int) -> None:
    for key in [k for k in st.session_state if str(k).startswith(f"axis-{context.job.id}-{row}-")]:
        del st.session_state[key]


def difference(frame: np.ndarray, before: np.ndarray, side: int, context: Context) -> np.ndarray:
    """Signed change of a decoded picture on grey, uint8; full colour at a change of half the range.
    Of a series: both traces, the changed stretch shaded.
    """
    if context.data.modality == "series":
        return render.draw_generated(
            np.asarray(frame), context.data, side, np.asarray(before), state.look()
        )
    change = (np.asarray(frame) - np.asarray(before)).mean(0)
    change = change[change.shape[0] // 2] if change.ndim == 3 else change
    return render.enlarge(
        render.orient_like(
            render.overlay_signed(np.full((*change.shape, 3), 40.0), change, 0.5, 1.0),
            context.data,
            state.look(),
        ),
        side,
    )


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
