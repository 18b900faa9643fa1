"""A case, what the model makes of it, and the difference, on one slider."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import Embedding, Images, Model
from core.data.dataset import Dataset
from core.errors import UserError
from core.imaging import comparison
from core.imaging.windowing import DisplaySettings

SIDE = 320
SOME = 200  # cases from which the one scale of differences is taken


@st.cache_resource(max_entries=4, show_spinner=False)
def _decoder(home: str, run: str) -> tuple[object, Embedding] | None:
    """The opened model of a run and its latent space, where it can draw a case again."""
    from core.jobs.run_folder import find_artifact
    from core.registry import open_model

    try:
        kept: Model = find_artifact(state.workspace(), run, Model)
        if not {"embed", "decode"} <= set(kept.abilities):
            return None
        return open_model(kept), find_artifact(state.workspace(), run, Embedding)
    except UserError:
        return None


def sources(context: Context) -> list[str]:
    """Slugs of the run's reconstructions that have the size of the cases; "" = the model can draw
    them; none = neither.
    """
    ws, run, data = context.ws, context.job.id, context.data
    found = []
    for slug in ws.slugs(run):
        if not slug.startswith("images"):
            continue
        made = ws.artifact(run, slug)
        if (
            isinstance(made, Images)
            and made.role == "reconstruction"
            and made.place is None
            and made.image.shape[1:] == data.shape
        ):
            found.append(slug)
    if found or data.modality != "image":
        return found
    opened = _decoder(str(ws.home), run)
    return [""] if opened is not None and _made(opened, data, data.rows[:1]) is not None else []


def _made(opened: tuple[object, Embedding], data: Dataset, rows: np.ndarray) -> np.ndarray | None:
    """What the model makes of `rows`, in the scale of its input; None where that is of another size
    than the cases.
    """
    from core.explain.traversal import decode

    model, embedding = opened
    at = embedding.at(rows[np.isin(rows, embedding.rows)])
    if not len(at):
        return None
    image = decode(model, np.asarray(embedding.z[at]))
    return image if image.shape[1:] == data.shape else None


def _reconstructions(context: Context, slug: str, rows: np.ndarray) -> np.ndarray | None:
    """float [n,*input] of those of `rows` that have one; None where none has."""
    if not slug:
        opened = _decoder(str(context.ws.home), context.job.id)
        return None if opened is None else _made(opened, context.data, rows)
    made = context.ws.artifact(context.job.id, slug)
    assert isinstance(made, Images)
    at = made.at(rows[np.isin(rows, made.rows)])
    return np.asarray(made.image[at]) if len(at) else None


@st.cache_data(max_entries=32, show_spinner=False)
def _reach(home: str, run: str, hash: str, slug: str) -> float:
    """The difference of full colour, one for the run: the 99.8th percentile of some cases."""
    context = state.context_of(run)
    rows = context.data.rows[:: max(1, len(context.data) // SOME)][:SOME]
    if slug:
        made = context.ws.artifact(run, slug)
        assert isinstance(made, Images)
        rows = rows[np.isin(rows, made.rows)]
    back = _reconstructions(context, slug, rows)
    if back is None or len(back) != len(rows):
        return 1.0
    gap = np.abs(context.data.of(rows).inputs() - back)
    return float(np.quantile(gap, 0.998)) or 1.0


@st.cache_data(max_entries=64, show_spinner=False)
def _pictures(
    home: str, run: str, hash: str, slug: str, row: int, place: int | None, window: str, side: str
) -> comparison.Pair | None:
    context = state.context_of(run)
    back = _reconstructions(context, slug, np.array([row]))
    if back is None:
        return None
    look = DisplaySettings(window, side)
    return comparison.make_pair(
        context.data, row, back[0], _reach(home, run, hash, slug), place, look
    )


def show(context: Context, row: int, place: int | None = None) -> None:
    """The slider of `row`, of a volume at slice `place`; nothing where the run gives no
    reconstruction.
    """
    data = context.data
    if data.modality not in ("image", "volume"):
        return
    slugs = sources(context)
    if not slugs:
        return
    with st.container(key="picture-reconstruction"):
        _slide(context, row, place, slugs)


@st.fragment
def _slide(context: Context, row: int, place: int | None, slugs: list[str]) -> None:
    slug = slugs[0]
    if len(slugs) > 1:
        slug = st.selectbox(
            "Reconstruction",
            slugs,
            format_func=lambda s: text.plain(s.removeprefix("images-").replace("-", " ")),
            key=context.key("reconstruction-which"),
        )
    look, key = state.look(), "reconstruction-share"
    home, run = str(context.ws.home), context.job.id
    pair = _pictures(home, run, data_hash(context), slug, row, place, look.window, look.side)
    if pair is None:
        return
    state.kept(key, 0.0)
    share = st.slider(
        "Original – reconstruction – difference",
        0.0,
        2.0,
        step=0.1,
        format="%.1f",
        key=f"w-{key}",
        on_change=state.keep,
        args=(key,),
        help=(
            "0: the case. 1: as the model draws it again. 2: the difference of the two; what it"
            " cannot draw again is unusual to it. Between, one fades into the next. Arrow keys move"
            " it."
        ),
    )
    st.image(comparison.blend(pair, share, SIDE), width="stretch", alt=comparison.describe(share))
    st.caption(
        f"{comparison.describe(share)} Difference: orange where the case is brighter than its"
        f" reconstruction, blue where darker; full colour at {text.number(pair.reach)} of the"
        " model’s scale of 0 to 1, one for the whole run."
        + (f" {pair.slice}." if pair.slice else "")
    )


def data_hash(context: Context) -> str:
    """Of the open data, for caches."""
    return context.data.hash
