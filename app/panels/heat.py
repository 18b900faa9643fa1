"""Pictures of cases with their heat, as colours laid over or as lines, on one scale a run."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import streamlit as st

from app import state, text
from app.panels.gallery import thumbs
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.geometry import case_geometry
from core.imaging import orientation, render
from core.imaging.contours import draw_contours
from core.imaging.windowing import DisplaySettings

Style = Literal["overlay", "contour", "none"]
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
    truth: bool,
    tile: int,
    window: str,
    side: str,
) -> np.ndarray:
    data, artifact = state.context_of(run).data, state.workspace().artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    assert artifact.map is not None
    out = np.zeros((len(rows), tile, tile, 3), np.uint8)
    for i, made in enumerate(
        render.draw_heat_maps(
            data,
            artifact.map[artifact.at(np.array(rows))],
            np.array(rows),
            reach(home, run, slug),
            opacity if style != "none" else 0.0,
            tile,
            truth,
            DisplaySettings(window, side),
            contour=style == "contour",
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
    truth: bool = True,
    tile: int = 256,
) -> np.ndarray:
    """Pictures uint8 [n,tile,tile,3] of `rows` with their heat, all on the run's scale, with
    `truth` the mask outlined where there is one; without heat as they are. Cached.
    """
    data, look = context.data, state.look()
    if not has_heat(artifact, data):
        return thumbs(data, rows, tile)
    return _drawn(
        str(context.ws.home),
        data.name,
        data.hash,
        context.job.id,
        artifact.slug,
        tuple(int(r) for r in rows),
        round(opacity, 3),
        style,
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
            " Contour: lines at a quarter, half and three quarters of the scale; the picture itself"
            " stays untouched."
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


def scale(artifact: AnomalyMaps, context: Context, opacity: float, style: Style) -> None:
    """The one heat scale of the pictures."""
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
        f" all pictures of this run, {below}."
        + (" Blue outline: the marked truth." if context.data.masks is not None else "")
    )
