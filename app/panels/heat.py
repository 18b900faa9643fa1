"""Pictures of cases with their heat, as colours laid over, as lines, or as the line at the
threshold in use; on one scale a run.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import streamlit as st

from app import state, text
from app.panels import threshold
from app.panels.gallery import thumbs
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.geometry import case_geometry
from core.explain.marked_places import Level, find_level
from core.imaging import orientation, render
from core.imaging.contours import draw_contours
from core.imaging.windowing import DisplaySettings

Style = Literal["overlay", "contour", "threshold", "none"]
STYLES = get_args(Style)
OPACITY = 0.4  # at first: what lies beneath stays readable


def has_heat(artifact: AnomalyMaps, data: Dataset) -> bool:
    """Whether the artifact has a map of the size of the cases."""
    return artifact.map is not None and artifact.map.shape[1:] == data.shape[1:]


@st.cache_data(max_entries=64, show_spinner=False)
def reach(home: str, run: str, slug: str) -> tuple[float, float]:
    """The one heat scale of a run, cached."""
    artifact = state.workspace().artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    return artifact.heat_range()


@st.cache_data(max_entries=256, show_spinner=False)
def level(home: str, run: str, slug: str, at: float) -> Level:
    """The heat at which the line lies while the threshold of the cases is `at`, cached."""
    artifact = state.workspace().artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    return find_level(artifact, at, reach(home, run, slug))


def level_in_use(
    artifact: AnomalyMaps | None, context: Context, moved: bool = True
) -> Level | None:
    """The heat at which the line lies: at the threshold in use, or, where it was `moved` with the
    slider and not kept yet, there; None where there is no heat of the size of the cases.
    """
    if artifact is None or not has_heat(artifact, context.data):
        return None
    at = threshold.threshold_of(artifact, context)
    if moved:
        at = state.value(context.key("threshold"), at)
    return level(str(context.ws.home), context.job.id, artifact.slug, float(at))


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(
    home: str,
    name: str,
    hash: str,
    run: str,
    slug: str,
    rows: tuple[int, ...],
    opacity: float,
    style: Style,
    at: float | None,
    truth: bool,
    tile: int,
    window: str,
    side: str,
) -> np.ndarray:
    data, artifact = state.context_of(run).data, state.workspace().artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    assert artifact.map is not None
    out = np.zeros((len(rows), tile, tile, 3), np.uint8)
    hot = np.asarray(artifact.map[artifact.at(np.array(rows))])
    marked = None
    if style == "threshold" and at is not None:
        marked = level(home, run, slug, at).mark(artifact, hot)
    for i, made in enumerate(
        render.draw_heat_maps(
            data,
            hot,
            np.array(rows),
            reach(home, run, slug),
            opacity if style != "none" else 0.0,
            tile,
            truth,
            DisplaySettings(window, side),
            contour=style == "contour",
            marked=marked,
        )
    ):
        out[i] = render.fit_into_square(made, tile, smooth=True)
    return out


def overlays(
    artifact: AnomalyMaps,
    context: Context,
    rows: np.ndarray,
    opacity: float = OPACITY,
    style: Style = "overlay",
    at: float | None = None,
    truth: bool = True,
    tile: int = 256,
) -> np.ndarray:
    """Pictures uint8 [n,tile,tile,3] of `rows` with their heat, all on the run's scale, with
    `truth` the mask outlined where there is one; without heat as they are. `at`: the threshold of
    the cases, for the style of that name, else the one in use. Cached.
    """
    data, look = context.data, state.look()
    if not has_heat(artifact, data):
        return thumbs(data, rows, tile)
    if style == "threshold" and at is None:
        at = threshold.threshold_of(artifact, context)
    return _drawn(
        str(context.ws.home),
        data.name,
        data.hash,
        context.job.id,
        artifact.slug,
        tuple(int(r) for r in rows),
        round(opacity, 3),
        style,
        at if style == "threshold" else None,
        truth,
        tile,
        look.window,
        look.side,
    )


def slices_shown(artifact: AnomalyMaps, data: Dataset, rows: np.ndarray) -> dict[int, str]:
    """For each volume, which of its slices `overlays` shows, in words for the end of a caption."""
    assert artifact.map is not None
    found = {}
    for row, i in zip(rows.tolist(), artifact.at(rows)):
        at = orientation.display_planes(case_geometry(data, row), 3)[0]
        hottest = render.hottest_slice(np.asarray(artifact.map[i]), at) + 1
        found[row] = f" · {hottest}/{data.shape[1:][at.order[0]]}"
    return found


def colour_bar(low: float, high: float, opacity: float, style: Style = "overlay") -> np.ndarray:
    """The heat scale over mid grey, uint8 [18,360,3]; as lines for contours."""
    ramp = np.tile(np.linspace(low, high, 360), (18, 1))
    ground = np.full((18, 360, 3), 90, np.uint8)
    if style == "contour":
        return draw_contours(ground, ramp, low, high, render.colour_ramp(), width=5)
    return render.overlay_heat(ground, ramp, low, high, opacity)


def choose(context: Context, cells: list[st.delta_generator.DeltaGenerator]) -> tuple[Style, float]:
    """How heat is drawn, and its opacity, as two widgets in two cells."""
    style = cells[0].selectbox(
        "Heat",
        STYLES,
        key=context.key("heat"),
        help=(
            "Where in the picture the model sees something unusual. Overlay: colours laid over."
            " Contour: lines at a quarter, half and three quarters of the scale. Threshold: one"
            " line around what lies above the threshold chosen below, which moves with it. With"
            " lines the picture itself stays untouched."
        ),
    )
    opacity = cells[1].slider(
        "Opacity",
        0.1,
        1.0,
        OPACITY,
        0.05,
        key=context.key("opacity"),
        disabled=style != "overlay",
        help="How much the colours cover; the scale stays the same.",
    )
    return style, float(opacity)


def scale(artifact: AnomalyMaps, context: Context, opacity: float, style: Style, at: float) -> None:
    """The one heat scale of the pictures, or where the line lies at the threshold `at`."""
    truth = " Blue outline: the marked truth." if context.data.masks is not None else ""
    if style == "threshold":
        found = level(str(context.ws.home), context.job.id, artifact.slug, at)
        st.caption(f"{describe_level(found, artifact)}{truth}")
        return
    low, high = reach(str(context.ws.home), context.job.id, artifact.slug)
    bar, words = st.columns([1, 2], vertical_alignment="center")
    bar.image(
        colour_bar(low, high, opacity, style),
        width="stretch",
        alt="Colours of the heat, low to high",
    )
    below = "no line below a quarter of it" if style == "contour" else "clear below it"
    words.caption(
        f"{text.number(low)} to {text.number(high)} {text.label(artifact.unit)}: one scale for"
        f" all pictures of this run, {below}.{truth}"
    )


def describe_level(found: Level, artifact: AnomalyMaps) -> str:
    """What the orange line is, in sentences."""
    where = f"above {text.number(found.value)} {text.label(artifact.unit, 40)}"
    if found.of == "cases":
        return (
            f"Orange line: what lies {where}, the threshold chosen below; it moves with it, and is"
            " the same for all pictures."
        )
    why = (
        "Scores of this run are on another scale than its heat, so it stays where it is when the"
        " threshold of the cases moves."
    )
    whose = (
        "the method’s own threshold of pixels"
        if found.of == "pixels"
        else "half of the heat scale, since the method sets no threshold of pixels"
    )
    return f"Orange line: what lies {where}, {whose}. {why}"
