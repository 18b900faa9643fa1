"""What the model of a run does to one case, step by step, again at once when a setting is changed
that needs no training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.panels import heat, threshold
from app.state import Context
from core.artifacts import AnomalyMaps, Model
from core.errors import UserError
from core.explain import feature_patches
from core.imaging import render
from core.imaging.palette import ACCENT
from core.registry import methods, open_model
from core.stages import Control, Stage

ACROSS = 4  # pictures in a row
SIDE = 220  # pixels


@st.cache_resource(max_entries=2, show_spinner="Opening the model")
def opened(home: str, run: str) -> Any:
    """The fitted method of a run, on the processor."""
    from core.jobs.run_folder import find_artifact

    return open_model(find_artifact(state.workspace(), run, Model))


def fits(context: Context) -> bool:
    """Whether the method of the run shows its steps, and the data are pictures or volumes, which
    are then looked at slice by slice.
    """
    kind = methods().get(context.job.method)
    data = context.data.modality
    if hasattr(kind, "stages"):
        return data in ("image", "volume")
    return data == "image" and feature_patches.has_features(kind)


def show(
    artifact: AnomalyMaps, context: Context, row: int, place: Sequence[int] | None = None
) -> None:
    """A switch, the settings where there are any, and the steps of the case `row`, of a volume
    those of the slice that `place` (slice, row, column) lies in, or of the one with the highest
    heat.
    """
    kind = methods().get(context.job.method)
    tries = " Also lets you try other settings of the trained model on this case."
    with st.container(border=True):
        name = text.label(context.data.of(np.array([row])).names()[0], 40)
        on = st.toggle(
            f"Step by step: how the model comes to this for case {name}",
            key=context.key("stages"),
            help="The pictures between the case and its heat."
            + (tries if hasattr(kind, "stages") else "")
            + " Press another picture to see that one.",
        )
        if on:
            _steps(artifact, context, row, place)


@st.fragment
def _steps(artifact: AnomalyMaps, context: Context, row: int, place: Sequence[int] | None) -> None:
    """The settings and the pictures; drawn again alone when a setting is moved."""
    try:
        method = opened(str(context.ws.home), context.job.id)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    controls, settings = list[Control](), dict[str, float]()
    if hasattr(method, "stages"):
        controls = method.controls()
        cells = st.columns(max(2, len(controls)))
        settings = ask_settings(controls, cells, context, "stages")
    x, picture = _case(artifact, context, row, place)
    try:
        steps = _stages(method, x, settings)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    scale = heat.reach(str(context.ws.home), context.job.id, artifact.slug)
    tiles = [(picture, "The case", "")]
    tiles += [(draw(step, x[0], context, scale), step.title, step.note) for step in steps]
    if not controls and np.isin(row, artifact.rows):
        tiles.append(_at_threshold(artifact, context, row))
    for _, some in groupby(tiles, lambda tile: tile[1].rpartition(":")[0]):  # “Round 1: ...”
        show_tiles(list(some), ACROSS if controls else len(tiles))
    st.caption(_about(controls, settings, artifact))


def _at_threshold(artifact: AnomalyMaps, context: Context, row: int) -> tuple[np.ndarray, str, str]:
    """The case with the line at the threshold in use, its title and what the line is."""
    at = threshold.threshold_of(artifact, context)
    level = heat.level(str(context.ws.home), context.job.id, artifact.slug, at)
    score = float(artifact.score[artifact.at(np.array([row]))[0]])
    (picture,) = heat.overlays(
        artifact, context, np.array([row]), style="threshold", at=at, tile=SIDE
    )
    side = "above" if score > at else "not above"
    return (
        picture,
        "At the threshold",
        f"line at {text.number(level.value)}; score {text.number(score)}, {side} {text.number(at)}",
    )


def _case(
    artifact: AnomalyMaps, context: Context, row: int, place: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the method is given of a case, float32 [1,C,H,W], and the case as a picture."""
    data, look = context.data, state.look()
    x = data.of(np.array([row])).inputs()
    if x.ndim == 4:
        return x, render.draw_case(data, row, SIDE, look)
    if place is not None:
        at = int(place[0])
    else:
        assert artifact.map is not None
        heat_of = np.asarray(artifact.map[artifact.at(np.array([row]))[0]])
        at = int(heat_of.max((1, 2)).argmax())
    picture = render.orient_like(render.input_to_rgb(x[0][:, at]), data, look)
    return x[:, :, at], render.enlarge(picture, SIDE)


def ask_settings(
    controls: list[Control], cells: list[Any], context: Context, prefix: str
) -> dict[str, float]:
    """Draw a slider for each setting into a cell, its key behind `prefix`; what is set, by name."""
    return {
        control.name: cell.select_slider(
            control.label,
            [value for value, _ in control.choices],
            control.value,
            format_func=control.words,
            key=context.key(f"{prefix}-{control.name}"),
            help=control.help,
        )
        for cell, control in zip(cells, controls)
    }


def show_tiles(tiles: list[tuple[np.ndarray, str, str]], across: int) -> None:
    """Pictures uint8 [h,w,3] in rows, each with its title and note below."""
    for start in range(0, len(tiles), across):
        for cell, (picture, title, note) in zip(st.columns(across), tiles[start:][:across]):
            cell.image(picture, width="stretch", alt=text.plain(title, 60))
            words = f"**{text.label(title, 60)}**"
            cell.caption(f"{words}  \n{text.label(note, 90)}" if note else words)


def _stages(method: Any, x: np.ndarray, settings: dict[str, float]) -> list[Stage]:
    import torch

    with torch.no_grad():
        steps = method.stages if hasattr(method, "stages") else None
        if steps is None:
            return feature_patches.layer_stages(method, torch.from_numpy(x))
        found: list[Stage] = steps(torch.from_numpy(x), **settings)
    return found


def draw(step: Stage, case: np.ndarray, context: Context, scale: tuple[float, float]) -> np.ndarray:
    """A step as a picture uint8 [h,w,3]; heat and places over the `case` [C,H,W]."""
    if step.drawn == "generated":
        return render.draw_generated(step.image, context.data, SIDE, look=state.look())
    if step.drawn in ("input", "grey"):
        image = step.image if step.drawn == "input" else step.image[None]
        picture = render.input_to_rgb(image)
    else:
        picture, over = render.input_to_rgb(case), _at_size(step.image, case.shape[1:])
        if step.drawn == "heat":
            picture = render.overlay_heat(picture, over, *scale)
        else:
            colour = np.array([int(ACCENT[i : i + 2], 16) for i in (1, 3, 5)])
            mixed = (0.4 * picture + 0.6 * colour).astype(np.uint8)
            picture = np.where(over[..., None] > 0.5, mixed, picture)
    return render.enlarge(render.orient_like(picture, context.data, state.look()), SIDE)


def _at_size(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """[S,S] -> [H,W], the nearest value."""
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, image.shape))
    return np.asarray(image[rows][:, columns])


def _about(controls: list[Control], settings: dict[str, float], artifact: AnomalyMaps) -> str:
    """Whether this is what the run has, and what its threshold then means."""
    changed = [c for c in controls if settings[c.name] != c.value]
    if not controls:
        return "All heat is on the one scale of the run, so the pictures can be compared."
    if not changed:
        return "These are the settings of the run: its maps and its threshold come of them."
    own = ", ".join(f"{c.label.lower()} {c.words(c.value)}" for c in changed)
    limit = "" if artifact.threshold is None else f" {text.number(artifact.threshold)}"
    return (
        f"Tried on this case alone, nothing is stored. The run has: {text.label(own, 120)}. Its"
        f" threshold{limit} was set with that and says nothing about other settings."
    )
