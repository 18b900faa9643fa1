"""Where the threshold in use is wrong: normal cases that are flagged and abnormal ones that are
missed, the most confident first, and what they have in common.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import streamlit as st

from app import state, text
from app.panels import heat, nearest_normal, threshold, unusual_values
from app.panels.gallery import gallery, thumbs
from app.state import Context
from core.artifacts import AnomalyMaps
from core.columns import Column
from core.explain.group_differences import Difference, find_differences
from core.imaging import render
from core.stats.bootstrap import units
from core.words import q_value

Kind = Literal["false alarms", "missed"]
PAGE = 12


def find(
    artifact: AnomalyMaps, context: Context, kind: Kind, at: float
) -> tuple[np.ndarray, np.ndarray, str]:
    """Row ids int64 of the failures of a kind, the most confident first; those of the same truth
    that were judged rightly; and of which part they are.

    Test cases where there are some of known truth, else validation cases, else all.
    """
    data, (truth, _) = context.data, threshold.known(context)
    assert truth is not None
    for part in ("test", "val", ""):
        rows = data.part(part).rows if part else data.rows
        rows = rows[np.isin(rows, artifact.rows)]
        rows = rows[threshold.has_known_truth(context, rows)]
        if len(rows):
            break
    score = np.asarray(artifact.score, dtype=np.float64)[artifact.at(rows)]
    ill = truth[np.searchsorted(data.rows, rows)]
    of = ~ill if kind == "false alarms" else ill
    wrong = of & ((score > at) == (kind == "false alarms"))
    order = np.argsort(-score if kind == "false alarms" else score, kind="stable")
    return rows[order[wrong[order]]], rows[of & ~wrong], part


@st.cache_data(max_entries=64, show_spinner=False)
def _common(
    home: str, run: str, hash: str, wrong: tuple[int, ...], right: tuple[int, ...]
) -> list[Difference]:
    context = state.context_of(run)
    rows = np.array(sorted([*wrong, *right]), dtype=np.int64)
    place = np.searchsorted(context.data.rows, rows)
    columns = [
        Column(c.name, c.values[place], c.kind, c.source)
        for c in context.columns.values()
        if c.source == "data" and c.name != context.data.roles.get("group")
    ]
    return find_differences(columns, np.isin(rows, np.array(wrong, dtype=np.int64)), top=3)


def show(
    artifact: AnomalyMaps,
    context: Context,
    style: heat.Style = "overlay",
    opacity: float = heat.OPACITY,
) -> None:
    """The failures at the threshold in use, with their heat in this style; nothing where the truth
    is not known.
    """
    if threshold.known(context)[0] is not None:
        with st.container(border=True):
            _show(artifact, context, style, opacity)


def _show(artifact: AnomalyMaps, context: Context, style: heat.Style, opacity: float) -> None:
    at = threshold.threshold_of(artifact, context)
    kinds: tuple[Kind, ...] = get_args(Kind)
    found = {kind: find(artifact, context, kind, at) for kind in kinds}
    part = {"test": "test cases", "val": "validation cases", "": "cases"}[found["missed"][2]]
    st.markdown(
        f"**Where it is wrong**: {part} at {threshold.whose_threshold(artifact, context)}, {at:.4g}"
    )
    titles = {
        kind: f"{kind.capitalize()}: {len(wrong):,} of {len(wrong) + len(right):,}"
        + (" normal" if kind == "false alarms" else " abnormal")
        for kind, (wrong, right, _) in found.items()
    }
    picked = st.segmented_control(
        "Kind of error",
        kinds,
        default="false alarms" if len(found["false alarms"][0]) else "missed",
        format_func=titles.__getitem__,
        key=context.key("failures-kind"),
        required=True,
        label_visibility="collapsed",
        help="False alarms: normal cases above the threshold. Missed: abnormal ones below it.",
    )
    kind: Kind = "missed" if picked == "missed" else "false alarms"
    wrong, right, _ = found[kind]
    if not len(wrong):
        st.caption(
            "No normal case is flagged."
            if kind == "false alarms"
            else "No abnormal case is missed."
        )
        return
    _say_common(context, kind, wrong, right)
    key = context.key(f"failures-{kind}")
    if context.data.modality == "table":
        unusual_values.ranked(artifact, context, wrong, at, key)
    else:
        _pictures(artifact, context, wrong, key, style, opacity)
    st.button(
        "Select this one" if len(wrong) == 1 else f"Select these {len(wrong):,}",
        key=context.key("failures-select"),
        on_click=state.select,
        args=(np.sort(wrong), kind),
        help="To look at them on the map, or to save them as a group.",
    )


def _pictures(
    artifact: AnomalyMaps,
    context: Context,
    rows: np.ndarray,
    key: str,
    style: heat.Style,
    opacity: float,
) -> None:
    """The gallery of `rows`, in pages, each with its score."""
    score = np.asarray(artifact.score)[artifact.at(rows)]
    now = st.session_state.get(f"{key}-page", 1) - 1 if len(rows) > PAGE else 0
    shown = rows[now * PAGE : (now + 1) * PAGE]
    images = None
    if render.is_drawable(context.data):
        images = heat.overlays(artifact, context, shown, opacity, style)
        if st.toggle(
            "Each with the nearest normal case below it",
            key=f"{key}-normal",
            help="What a normal case like it looks like.",
        ):
            images = _with_normal(artifact, context, shown, images)
    gallery(
        context,
        rows,
        key,
        images=images,
        across=6,
        page_size=PAGE,
        captions=[text.figures(s) for s in score],
    )


def _with_normal(
    artifact: AnomalyMaps, context: Context, rows: np.ndarray, images: np.ndarray
) -> np.ndarray:
    """Pictures uint8 [n,t,t,3] of `rows`, each above that of its nearest normal case (grey where
    there is none): [n,2t+gap,t,3]; with a caption that says by what it is nearest.
    """
    tile = images.shape[1]
    found = [nearest_normal.nearest_of(artifact, context, int(row)) for row in rows]
    near = {i: one for i, one in enumerate(found) if one is not None and len(one.near.rows)}
    if not near:
        st.caption("There is no normal case to set beside these.")
        return images
    there, first = list(near), next(iter(near.values()))
    other = np.array([int(one.near.rows[0]) for one in near.values()])
    normal = np.full((len(rows), tile, tile, 3), 235, np.uint8)
    normal[there] = thumbs(context.data, other, tile)
    by = f"by {first.by}" if first.by else "in the latent space of the run"
    st.caption(
        f"Above: the case with its heat. Below: the nearest normal one {by}, among"
        f" {nearest_normal.name_normal(first)}.",
        help=nearest_normal.explain(first),
    )
    gap = np.full((len(rows), 6, tile, 3), 255, np.uint8)
    return np.concatenate([images, gap, normal], 1)


def _say_common(context: Context, kind: Kind, wrong: np.ndarray, right: np.ndarray) -> None:
    """What the failures have in common, beside cases of the same truth judged rightly."""
    beside = (
        "normal cases that are not flagged"
        if kind == "false alarms"
        else "abnormal cases that are found"
    )
    if min(len(wrong), len(right)) < 3:
        st.caption(f"Too few to say what sets them apart from the {beside}.")
        return
    found = _common(
        str(context.ws.home),
        context.job.id,
        context.data.hash,
        tuple(wrong.tolist()),
        tuple(right.tolist()),
    )
    if not found:
        st.caption(
            f"No column sets them apart from the {len(right):,} {beside} beyond chance; the most"
            " confident come first."
        )
        return
    said = "; ".join(f"**{text.label(d.name)}** {text.label(d.words, 200)}" for d in found)
    st.markdown(f"Set beside the {len(right):,} {beside} (“elsewhere”): {said}.")
    st.caption(
        f"Largest {q_value(max(d.q for d in found))}: share of false findings to expect among these"
        " (Benjamini–Hochberg); at most three columns."
        + (
            f" The {len(wrong):,} come from {_patients(context, wrong):,} patients, of whom each"
            " counts with all its cases."
            if context.data.groups is not None
            else ""
        )
    )


def _patients(context: Context, rows: np.ndarray) -> int:
    return len(np.unique(units(len(rows), context.data.of(np.sort(rows)).groups)))
