"""The inspector of one case: used by every exploring page, the same everywhere."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels import (
    heat,
    hot_areas,
    nearest_normal,
    reconstruction,
    texts,
    unusual_values,
    viewer,
)
from app.panels.gallery import score_of, small_tile, thumbs
from app.state import Context
from core.artifacts import Embedding
from core.imaging import render


def inspector(context: Context, on_map: bool = False) -> None:
    """The case under the eye: picture, facts, anomaly score as rank and value, nearest real cases,
    and what to do with it. `on_map`: the page has the latent map, on which the case is ringed.
    """
    row, place = state.selection().primary, state.selection().place
    data = context.data
    if row is None or not (data.rows == row).any():
        st.caption("Click a case to look at it closely.")
        return
    name = data.of(np.array([row])).names()[0]
    st.markdown(f"**{text.label(name, 40)}**" + ("" if name == f"row {row}" else f" · row {row}"))
    scores = score_of(context)
    if viewer.fits(data):
        level = heat.level_in_use(scores, context)
        key, run = context.key("inspect-viewer"), context.job.id
        viewer.case(data, row, key, 440, scores, run, place=place, level=level)
        if st.button(
            "A closer look", key="inspect-closer", icon=":material/open_in_full:", width="stretch"
        ):
            viewer.closer(data, row, scores, context.job.id, place, level)
    elif render.is_drawable(data):
        st.image(render.draw_case(data, row, 320), width="stretch", alt="The case")
    elif data.modality == "text":
        with st.container(height=320):
            texts.show_text(data.of(np.array([row])).texts[0])
    elif data.modality == "sequence":
        st.text(text.plain(data.of(np.array([row])).texts[0], 1200))
    at = int(np.flatnonzero(data.rows == row)[0])
    st.caption("  \n".join(_facts(context, at)))
    if data.modality == "table":
        unusual_values.of_case(context, row)
    reconstruction.show(context, row, place)
    if scores is not None:
        hot_areas.show(scores, context, row)
    _neighbours(context, row)
    if scores is not None:
        nearest_normal.show(scores, context, row)
    if (
        not on_map
        and nearest(context, row, 1)
        and st.button(
            "On the map",
            key="inspect-map",
            icon=":material/my_location:",
            width="stretch",
            help="Where this case lies among the others: it is ringed on the latent map",
        )
    ):
        from app.navigation import page

        st.switch_page(page("latent"))
    left, right = st.columns(2)
    left.button(
        "Select it",
        on_click=state.select,
        args=(np.array([row]), "one case", "add", row),
        key="inspect-select",
        width="stretch",
    )
    if right.button(
        "Traverse",
        key="inspect-traverse",
        width="stretch",
        help="Change this case along what the model learned",
    ):
        from app.navigation import page

        st.switch_page(page("traversal"))


def _facts(context: Context, at: int) -> list[str]:
    """What the columns say of the case at position `at`, as lines."""
    facts = []
    for column in list(context.columns.values())[:12]:
        value = column.values[at]
        if column.kind == "amount":
            rank = int((column.values > value).sum()) + 1
            extra = (
                f" · rank {rank:,} of {np.isfinite(column.values).sum():,}"
                if column.source == "run"
                else ""
            )
            said = f"{value:.4g}" if column.source == "data" else text.number(float(value))
            facts.append(f"{text.label(column.name, 24)}: {said}{extra}")
        elif value is not None:
            facts.append(f"{text.label(column.name, 24)}: {text.label(value, 24)}")
    return facts


@st.cache_data(max_entries=512, show_spinner=False)
def _nearest(home: str, run: str, row: int, k: int) -> list[int]:
    from core.jobs.run_folder import find_artifact

    embedding: Embedding = find_artifact(state.workspace(), run, Embedding)
    at = embedding.at(np.array([row]))
    if not len(at):
        return []
    z = np.asarray(embedding.z)
    if embedding.metric == "cosine":
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    distance = np.square(z - z[at[0]]).sum(1)
    distance[at[0]] = np.inf
    return embedding.rows[np.argsort(distance, kind="stable")[: min(k, len(z) - 1)]].tolist()


def nearest(context: Context, row: int, k: int = 4) -> list[int]:
    """Row ids of the nearest cases in latent space; [] when the run has no embedding. O(n d), one
    pass.
    """
    from core.errors import UserError

    try:
        return _nearest(str(context.ws.home), context.job.id, row, k)
    except UserError:
        return []


def _neighbours(context: Context, row: int) -> None:
    near = nearest(context, row)
    if not near:
        return
    st.caption(
        "Most similar, by what the model learned:",
        help="Nearest in the latent space itself, not on the picture of the map.",
    )
    pics = (
        thumbs(context.data, np.array(near), small_tile(context.data))
        if render.is_drawable(context.data)
        else None
    )
    names = context.data.of(np.array(near)).names()
    for i, (cell, other) in enumerate(zip(st.columns(len(near)), near)):
        with cell, st.container(key=f"picture-near-{i}", gap="small"):
            if pics is not None:
                st.image(pics[i], width="stretch", alt=text.plain(names[i], 60))
            st.button(
                text.label(names[i], 8) if pics is None else "look",
                key=f"near-{i}",
                on_click=state.look_at,
                args=(other,),
                type="tertiary",
                help=text.label(names[i]),
                width="stretch",
            )
