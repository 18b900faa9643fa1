"""More cases like a few marked ones: candidates one after the other, what people say of each, and
how many of those reviewed were right.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels.gallery import strip
from app.state import Context
from core.artifacts import Embedding
from core.errors import UserError
from core.explain import more_like
from core.imaging import render
from core.jobs.run_folder import find_artifact
from core.workspace import notes, searches

AHEAD = 8  # candidates shown beside the one that is asked about
WORDS: dict[searches.Said, str] = {
    "it": "This is it",
    "not it": "This is not it",
    "unclear": "Cannot tell",
}


def fits(context: Context) -> bool:
    """Whether the open run has a latent space in which cases can be alike."""
    return any(s.startswith("embedding") for s in context.ws.slugs(context.job.id))


@st.fragment
def show(context: Context, key: str) -> None:
    """Begin a search from the selection, or go on with one."""
    data, ws = context.data, context.ws
    known = searches.load_searches(ws, data.name)
    chosen = state.selection()
    if len(chosen):
        _begin(context, chosen.rows, key)
    if not known:
        if not len(chosen):
            st.caption("Select a few cases of something new; then others like them can be found.")
        return
    names = list(known)
    now = st.session_state.get("search")
    name = st.selectbox(
        "Search",
        names,
        index=names.index(now) if now in names else len(names) - 1,
        format_func=text.plain,
        key=f"{key}-search-{len(names)}-{now}",
        width=320,
    )
    st.session_state["search"] = name
    _review(context, known[name], key)


def _begin(context: Context, rows: np.ndarray, key: str) -> None:
    with st.form(f"{key}-begin-search", border=False, clear_on_submit=True):
        left, right = st.columns([3, 2], vertical_alignment="bottom")
        name = left.text_input(
            f"What do the {len(rows):,} selected cases show?",
            placeholder="a name, such as: a tube",
            max_chars=50,
            help="Two cases at least. What is found becomes a group of this name.",
        )
        if right.form_submit_button(
            "Find more like these",
            type="primary",
            width="stretch",
            **allowed.lock("annotate"),
        ):
            begun = state.attempt(
                searches.begin_search,
                context.ws,
                context.data.name,
                name,
                context.job.id,
                rows,
            )
            if begun is not None:
                st.session_state["search"] = begun.name
                st.rerun()


def _review(context: Context, search: searches.Search, key: str) -> None:
    data = context.data
    try:
        space = find_artifact(context.ws, context.job.id, Embedding)
        found = more_like.find_candidates(
            space, search.found, search.said("not it"), search.said("unclear"), data.rows
        )
    except UserError as e:
        st.caption(text.label(e, 300))
        return
    left, right = st.columns([2, 3], gap="large")
    with right:
        _figures(search)
        _actions(context, search, key)
    if not len(found.rows):
        left.markdown("Every case has been reviewed.")
        return
    with left:
        _ask(context, search, int(found.rows[0]), key)
    st.caption(f"Next of {len(found.rows):,} candidates, the most alike first:")
    ahead = found.rows[1 : 1 + AHEAD]
    strip(context, ahead, ["" for _ in ahead], f"{key}-ahead", AHEAD)


def _ask(context: Context, search: searches.Search, row: int, key: str) -> None:
    """The candidate, and a button for each thing that can be said of it."""
    data = context.data
    name = data.of(np.array([row])).names()[0]
    st.markdown(f"**Is this “{text.label(search.name, 40)}”?** {text.label(name, 40)}")
    if render.is_drawable(data):
        st.image(render.draw_case(data, row, 320), width=320, alt=text.plain(name, 60))
    elif data.modality == "text":
        with st.container(height=240):
            st.text(text.plain(data.of(np.array([row])).texts[0], 4000))
    else:
        st.dataframe(data.of(np.array([row])).shown.T.astype(str), height=240)
    for cell, (i, (said, words)) in zip(st.columns(3), enumerate(WORDS.items(), 1)):
        cell.button(
            words,
            key=f"{key}-say-{i}",
            shortcut=str(i),
            width="stretch",
            on_click=partial(_say, context, search.name, row, said),
            **allowed.lock("annotate"),
        )


def _say(context: Context, name: str, row: int, said: searches.Said) -> None:
    by = notes.load_author(context.ws)
    state.attempt(searches.answer, context.ws, context.data.name, name, row, said, by)


def _figures(search: searches.Search) -> None:
    """How many were reviewed, and the share that was right."""
    right, wrong, unclear = (len(search.said(w)) for w in searches.SAID)
    st.markdown(
        f"**{text.counted(right + wrong + unclear, 'candidate')} reviewed**: {right} it, {wrong}"
        f" not it, {unclear} that cannot be told, kept apart. Begun from"
        f" {text.counted(len(search.marked), 'marked case')}."
    )
    rate = more_like.measure_precision(right, wrong)
    if rate.value is None:
        st.caption("What share of the candidates is right is shown as you review them.")
        return
    st.markdown(
        f"Precision {rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f}), n = {rate.n}: the share of"
        " reviewed candidates that were it."
    )
    few = (
        f" Of fewer than {more_like.ENOUGH} reviews it says little."
        if rate.n < more_like.ENOUGH
        else ""
    )
    st.caption(
        "In brackets: 95 % interval (Wilson). The most alike come first, so expect less of those"
        f" that follow.{few}"
    )


def _actions(context: Context, search: searches.Search, key: str) -> None:
    name, ws, data = search.name, context.ws, context.data.name
    row = st.columns(3)
    row[0].button(
        "Undo",
        key=f"{key}-search-undo",
        icon=":material/undo:",
        width="stretch",
        on_click=state.attempt,
        args=(searches.undo_answer, ws, data, name),
        **allowed.lock("annotate", not search.answers, "Take the last answer back"),
    )
    if row[1].button(
        f"Select the {len(search.found):,} found",
        key=f"{key}-search-select",
        width="stretch",
        help="They are a group of this name as well, under Selection and Colour by.",
    ):
        state.select(np.sort(search.found), f"found as {name}")
        st.rerun()
    if row[2].button(
        "End the search", key=f"{key}-search-end", width="stretch", **allowed.lock("annotate")
    ):
        state.attempt(searches.remove_search, ws, data, name)
        st.rerun()
    st.caption("Keys: 1 this is it, 2 this is not it, 3 cannot tell.")
