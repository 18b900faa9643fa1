"""Pictures of cases in a grid, and the inspector of one case: used by every exploring page, the
same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from app import state, text
from app.panels import texts, unusual_values, viewer
from app.state import Context
from core.artifacts import AnomalyMaps, Embedding
from core.data.dataset import Dataset
from core.imaging import render
from core.imaging.windowing import DisplaySettings


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbs(
    home: str, name: str, hash: str, rows: tuple[int, ...], tile: int, window: str, side: str
) -> np.ndarray:
    data = state.dataset()
    if data is None or data.hash != hash:
        data = state.workspace().dataset(name)
    return render.draw_thumbnails(data, np.array(rows), tile, DisplaySettings(window, side))


def thumbs(data: Dataset, rows: np.ndarray, tile: int = 96) -> np.ndarray:
    """uint8 [n,tile,tile,3] through the window chosen for all pictures, cached."""
    look = state.look()
    return _thumbs(
        str(state.workspace().home),
        data.name,
        data.hash,
        tuple(int(r) for r in rows),
        tile,
        look.window,
        look.side,
    )


def gallery(
    context: Context,
    rows: np.ndarray,
    key: str,
    *,
    captions: Sequence[str] | None = None,
    images: np.ndarray | None = None,
    across: int = 8,
    page_size: int = 24,
    marked: Callable[[int], str | None] | None = None,
) -> None:
    """A paged grid of cases in the order given; a press on a picture, or on the button under it,
    puts it into the inspector. `images` uint8 [m,h,w,3] replace the pictures of the m cases on the
    present page (its number, from 1, is in session state under `<key>-page`).
    """
    data = context.data
    if not len(rows):
        st.caption("No cases to show.")
        return
    pages = -(-len(rows) // page_size)
    at = 0
    if pages > 1:
        at = st.pagination(pages, key=f"{key}-page") - 1
    part = slice(at * page_size, (at + 1) * page_size)
    shown = np.asarray(rows)[part]
    names = dict(zip(shown.tolist(), data.of(shown).names()))
    drawn = render.is_drawable(data)
    opening = dict(zip(shown.tolist(), data.of(shown).texts)) if data.modality == "text" else {}
    longest = 24  # letters of a name
    if not drawn:  # named in words instead
        across, longest = (1, 130) if opening else (3, 44)
    if viewer.fits(data) and state.look().side == "neurological":
        st.caption(
            "Neurological display: the patient’s right is at the right edge, where the orientation"
            " is known."
        )
    pics = None
    if drawn:
        pics = thumbs(data, shown) if images is None else images
    if data.modality == "volume" and images is None:
        st.caption("Of each volume its middle slice.")
    for start in range(0, len(shown), across):
        for i, (cell, row) in enumerate(
            zip(st.columns(across, gap="small"), shown[start : start + across])
        ):
            with cell, st.container(key=f"picture-{key}-{start + i}", gap="small"):
                if pics is not None:
                    st.image(pics[start + i], width="stretch")
                name = names[int(row)]
                caption = captions[at * page_size + start + i] if captions is not None else None
                words = text.plain(name, 14 if drawn else 40) if caption is None else caption
                if not drawn and (caption is not None or opening):
                    words = f"{words} · {text.plain(opening.get(int(row), name), 100)}"
                icon = marked(int(row)) if marked else None
                st.button(
                    text.label(words, longest),
                    key=f"{key}-{start + i}-{row}",
                    on_click=state.look_at,
                    args=(int(row),),
                    width="stretch",
                    type="tertiary",
                    icon=icon,
                    help=f"Look at {text.label(name)} (row {row})",
                )


def inspector(context: Context) -> None:
    """The case under the eye: picture, facts, anomaly score as rank and value, nearest real cases,
    and what to do with it.
    """
    row, place = state.selection().primary, state.selection().place
    data = context.data
    if row is None or not (data.rows == row).any():
        st.caption("Click a case to look at it closely.")
        return
    name = data.of(np.array([row])).names()[0]
    st.markdown(f"**{text.label(name, 40)}**" + ("" if name == f"row {row}" else f" · row {row}"))
    if viewer.fits(data):
        scores = score_of(context)
        viewer.case(
            data, row, context.key("inspect-viewer"), 440, scores, context.job.id, place=place
        )
        if st.button(
            "A closer look", key="inspect-closer", icon=":material/open_in_full:", width="stretch"
        ):
            viewer.closer(data, row, scores, context.job.id, place)
    elif render.is_drawable(data):
        st.image(render.draw_case(data, row, 320), width="stretch")
    elif data.modality == "text":
        with st.container(height=320):
            texts.show_text(data.of(np.array([row])).texts[0])
    elif data.modality == "sequence":
        st.text(text.plain(data.of(np.array([row])).texts[0], 1200))
    at = int(np.flatnonzero(data.rows == row)[0])
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
    st.caption("  \n".join(facts))
    if data.modality == "table":
        unusual_values.of_case(context, row)
    _neighbours(context, row)
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
    pics = thumbs(context.data, np.array(near), 72) if render.is_drawable(context.data) else None
    names = context.data.of(np.array(near)).names()
    for i, (cell, other) in enumerate(zip(st.columns(len(near)), near)):
        with cell, st.container(key=f"picture-near-{i}", gap="small"):
            if pics is not None:
                st.image(pics[i], width="stretch")
            st.button(
                text.label(names[i], 8) if pics is None else "look",
                key=f"near-{i}",
                on_click=state.look_at,
                args=(other,),
                type="tertiary",
                help=text.label(names[i]),
                width="stretch",
            )


def score_of(context: Context) -> AnomalyMaps | None:
    """The anomaly scores of the open run, if it has any."""
    for slug in context.ws.slugs(context.job.id):
        artifact = context.ws.artifact(context.job.id, slug)
        if (
            isinstance(artifact, AnomalyMaps)
            and artifact.shows != "doubt"
            and artifact.place is None
        ):
            return artifact
    return None
