"""The live case of the traversal: sliders whose every place was decoded ahead, what changed, how
far from real cases it is, and what the model would predict there.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.components.traversal import bench, message
from app.panels import axis_names
from app.state import Context
from app.views import traversal as views
from core.artifacts import Embedding
from core.explain import traversal
from core.imaging import orientation, render
from core.imaging.windowing import DisplaySettings

STEPS = 15  # places of a slider
AXES = 16  # sliders
WAIT = 0.5  # seconds that decoding and drawing ahead may take; the slowest has one axis ahead
FIRST = 0.25  # the same where a case is opened: what is not ahead then is decoded when it is moved
TILE, WIDE = 240, 480  # pixels


def show(context: Context, row: int, order: np.ndarray, effect: np.ndarray) -> None:
    """The bench of the case `row`; `order` are the axes, the first on top, `effect [d]` how much
    each changes.
    """
    _bench(context, row, order[:AXES].tolist(), effect)


@st.fragment
def _bench(context: Context, row: int, order: list[int], effect: np.ndarray) -> None:
    key = f"bench-{context.job.id}-{row}"
    event = (st.session_state.get(key) or {}).get("event") or {"place": {}, "last": None}
    place = {int(j): float(v) for j, v in event["place"].items() if int(j) in order}
    last = event["last"]
    model, embedding = views.opened(str(context.ws.home), context.job.id)
    embedding = axis_names.with_names(context, embedding)
    start = traversal.latent_position(embedding, row)
    z = start.copy()
    for axis, value in place.items():
        z = traversal.set_coordinate(embedding, z, axis, value)
    began = time.monotonic()
    here, now = traversal.decode(model, np.stack([start, z]))
    draw = _drawer(context, here)
    tiles = [draw(here), draw(now)]
    each = (time.monotonic() - began) / 2
    first = [int(last)] if last is not None and int(last) in order else []
    sorted_axes = first + [j for j in order if j not in first]
    wait, most = (WAIT, len(order)) if first else (FIRST, views.KNOBS)
    many = int(np.clip(wait / max(each * STEPS, 1e-6), 1, most))
    reach = {j: axis_reach(embedding, j) for j in sorted_axes}
    ahead = traversal.decode_ahead(
        model, context.data, embedding, z, {j: reach[j] for j in sorted_axes[:many]}, STEPS
    )
    tiles += [draw(f) for row_ in ahead.frames for f in row_]
    at = {int(j): i for i, j in enumerate(ahead.axes)}
    classes = list(model.classes) if ahead.output is not None else []
    axes = [_axis(embedding, j, reach[j], z, effect, j in place, at.get(j), ahead) for j in order]
    series = context.data.modality == "series"
    look = DisplaySettings("range", state.look().side)
    bench(
        message(
            id=f"{key}-{context.data.hash[:8]}",
            case=render.draw_case(context.data, row, WIDE if series else TILE, look),
            tiles=tiles,
            here=0,
            now=1,
            axes=axes,
            classes=[text.plain(c, 40) for c in classes],
            compare=not series,
        ),
        key,
    )
    views.real_cases(context, np.asarray(traversal.nearest_cases(embedding, z[None], 3)[0]))


def _drawer(context: Context, here: np.ndarray) -> Any:
    """What draws a decoded case, marked as generated; of a series with its own place in grey."""
    if context.data.modality != "series":
        at = orientation.common_plane(context.data, state.look().side)  # once for all of them

        def draw(frame: np.ndarray) -> np.ndarray:
            picture = render.input_to_rgb(np.asarray(frame))
            hung = picture if at is None else orientation.orient(picture, at)
            return render.mark_generated(hung, TILE)

        return draw
    return lambda frame: render.draw_generated(
        np.asarray(frame), context.data, WIDE, np.asarray(here), state.look()
    )


def _axis(
    embedding: Embedding,
    axis: int,
    reach: tuple[float, float],
    z: np.ndarray,
    effect: np.ndarray,
    moved: bool,
    place: int | None,
    ahead: traversal.Ahead,
) -> dict[str, Any]:
    """One slider as the browser takes it, see `app.components.traversal.message`."""
    if place is None:
        values = np.linspace(*reach, STEPS)
        at = int(np.abs(values - z[axis]).argmin())
        values[at] = np.clip(z[axis], *reach)
    else:
        values, at = ahead.values[place], int(ahead.at[place])
    known = place is not None
    output = ahead.output[place] if known and ahead.output is not None else np.zeros((0, 0))
    far = [float(p) for p in ahead.distance[place]] if known else []
    return {
        "axis": axis,
        "name": text.plain(axis_name(embedding, axis), 60),
        "help": axis_help(float(effect[axis])),
        "values": [float(v) for v in values],
        "at": at,
        "set": moved,
        "first": 2 + place * STEPS if place is not None else -1,
        "distance": [round(p, 2) for p in far],
        "said": [_sentence(traversal.describe_distance(p)) for p in far],
        "output": [[round(float(p), 4) for p in row] for row in output],
    }


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."


def axis_help(effect: float) -> str:
    """What moving an axis does, in a sentence; `effect` as `traversal.axis_effects` gives it."""
    return (
        "Moving it by two typical steps changes the reconstruction by"
        f" {text.number(effect)} on average."
    )


def axis_name(embedding: Embedding, axis: int) -> str:
    """What an axis is called; numbered from 1 where it has no name."""
    return embedding.axes[axis] if embedding.axes else f"axis {axis + 1}"


def axis_reach(embedding: Embedding, axis: int) -> tuple[float, float]:
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
