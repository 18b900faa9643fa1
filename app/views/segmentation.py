"""Segmentation: what the model marked in each picture beside what a person marked, the worst
first.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels.gallery import gallery
from app.state import Context
from core.artifacts import Predictions
from core.data.dataset import Dataset
from core.imaging import orientation, render
from core.imaging.palette import ACCENT
from core.stats.overlap import mask_overlap

TITLE = "Segmentation"
AMBER = (230, 159, 0)
TILE = 256


def fits(artifact: Predictions, data: Dataset) -> bool:
    """Probabilities of pixels, of pictures that are no film."""
    return artifact.prob is not None and artifact.prob.ndim == 4 and "time" not in data.roles


@st.cache_data(max_entries=16, show_spinner=False)
def _compute_dice(
    home: str, run: str, slug: str, name: str, hash: str
) -> tuple[np.ndarray, np.ndarray]:
    """(Dice [n], NaN without truth; share of the picture marked [n]) of all rows; reads every
    mask once.
    """
    ws = state.workspace()
    artifact, data = ws.artifact(run, slug), ws.dataset(name)
    assert isinstance(artifact, Predictions)
    dice, share = np.full(len(artifact.rows), np.nan), np.zeros(len(artifact.rows))
    for i in range(0, len(artifact.rows), 64):
        rows = artifact.rows[i : i + 64]
        made, part = artifact.marked(rows), data.of(rows)
        share[i : i + len(rows)] = made.mean((1, 2))
        if data.masks is not None and data.masks.shape[1:] == made.shape[1:]:
            dice[i : i + len(rows)] = np.where(
                part.outlined, mask_overlap(made, part.mask())[0], np.nan
            )
    return dice, share


def draw_segmentations(
    artifact: Predictions, data: Dataset, rows: np.ndarray, tile: int = TILE
) -> np.ndarray:
    """uint8 [n,tile,tile,3]: pictures with the model's contour in amber over the truth's in
    blue.
    """

    out = np.zeros((len(rows), tile, tile, 3), np.uint8)
    made = artifact.marked(rows)
    part = data.of(rows)
    truth = (
        part.mask() & part.outlined[:, None, None]
        if data.masks is not None
        else np.zeros_like(made)
    )
    look = state.look()
    for i, (row, raw) in enumerate(zip(rows, part.raw())):
        at, window = render.find_plane_and_window(data, int(row), raw, look)
        image = render.enlarge(orientation.orient(render.window_to_rgb(raw, window), at), tile)
        width = max(1, image.shape[0] // 128)
        for mask, colour in ((truth[i], (86, 180, 233)), (made[i], AMBER)):
            image = render.draw_outline(image, orientation.orient(mask, at), colour, width)
        out[i] = render.fit_into_square(orientation.make_pixels_square(image, at), tile)
    return out


def show(artifact: Predictions, context: Context) -> None:
    """How good the segmentations are case by case (a bar selects its cases), then the pictures."""
    if artifact.prob is None or artifact.prob.ndim != 4:
        st.caption("These predictions are about whole cases: no segmentation.")
        return
    data, slug = context.data, artifact.slug
    dice, share = _compute_dice(str(context.ws.home), context.job.id, slug, data.name, data.hash)
    splits = [s for s in ("test", "val", "train") if (data.splits == s).any()]
    top = st.columns([3, 3], vertical_alignment="bottom")
    part = top[0].segmented_control(
        "Cases of",
        [*splits, "all"],
        format_func=text.part,
        default=splits[0],
        key=context.key(f"part-{slug}"),
        required=True,
        help="test: never seen in training",
    )
    rows = data.rows if part == "all" else data.part(str(part)).rows
    rows = rows[np.isin(rows, artifact.rows)]
    at = artifact.at(rows)
    known = np.isfinite(dice[at])
    orders = (["lowest Dice", "highest Dice"] if known.any() else []) + [
        "largest area",
        "smallest area",
    ]
    order = top[1].selectbox("First", orders, key=context.key(f"order-{slug}"))
    if known.any():
        _show_histogram(dice[at][known], rows[known], str(part), context, slug)
    rank = {
        "lowest Dice": np.nan_to_num(dice[at], nan=2.0),
        "highest Dice": -np.nan_to_num(dice[at], nan=-1.0),
        "largest area": -share[at],
        "smallest area": share[at],
    }[str(order)]
    rows = rows[np.argsort(rank, kind="stable")]
    st.caption(
        (
            "Amber: the model’s segmentation. Blue: a person’s. "
            if data.masks is not None
            else "Amber: the model’s segmentation. "
        )
        + "The number is the overlap of the two (Dice, 1 = the same) or, without a person’s"
        " segmentation, the share of the picture marked."
    )
    by_row = {
        int(r): f"Dice {d:.2f}" if np.isfinite(d) else f"{text.percent(s, 1)} marked"
        for r, d, s in zip(artifact.rows, dice, share)
    }
    key, size = context.key(f"outlines-{slug}"), 12
    pages = -(-len(rows) // size)
    now = st.session_state.get(f"{key}-page", 1) - 1 if pages > 1 else 0
    gallery(
        context,
        rows,
        key,
        images=draw_segmentations(artifact, data, rows[now * size : (now + 1) * size]),
        across=6,
        page_size=size,
        captions=[by_row[int(r)] for r in rows],
    )


def _show_histogram(
    dice: np.ndarray, rows: np.ndarray, part: str, context: Context, slug: str
) -> None:
    """How many cases are segmented how well; a pressed bar offers its cases."""
    edges = np.linspace(0, 1, 11)
    place = np.clip(np.digitize(dice, edges) - 1, 0, 9)
    count = np.bincount(place, minlength=10)
    words = [f"{edges[j]:.1f} to {edges[j + 1]:.1f}" for j in range(10)]
    figure = go.Figure(
        go.Bar(
            x=words,
            y=count,
            marker_color=ACCENT,
            hovertemplate="Dice %{x}: %{y} cases<extra></extra>",
        )
    )
    figure.update_layout(
        height=220,
        margin={"t": 30, "b": 10, "l": 10, "r": 10},
        yaxis_title="cases",
        xaxis_title="overlap with the truth (Dice)",
        title={
            "text": (
                f"{text.part(part).capitalize()}: {len(dice):,} cases that a person segmented, mean"
                f" Dice {dice.mean():.2f}"
            ),
            "font": {"size": 14},
        },
    )
    event = st.plotly_chart(
        figure,
        key=context.key(f"dice-{slug}"),
        on_select="rerun",
        selection_mode="points",
        config={"displayModeBar": False},
    )
    points = event["selection"]["points"] if event else []
    if points and points[0]["x"] in words:
        j = words.index(points[0]["x"])
        st.button(
            f"Select the {count[j]:,} cases with Dice {words[j]}",
            on_click=state.select,
            args=(rows[place == j], f"Dice {words[j]}"),
            key=context.key(f"dice-pick-{slug}-{j}"),
        )
