"""Pictures with masks that a model generated: each beside the training picture most like it, and
approved or rejected before it may be used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.components import allowed, download
from app.panels import prompt_builder
from app.panels.gallery import thumbs
from app.state import Context
from core.artifacts import Pairs
from core.evidence import load_evidence
from core.export_pairs import name_of, zip_approved
from core.imaging import render
from core.workspace import notes

TITLE = "Generated pairs"
PAGE = 6  # pairs on a page
TILE = 224
OUTLINE = (86, 180, 233)
STATES = {None: "undecided", True: "approved", False: "rejected"}
ALL = "all"
Decided = dict[int, dict[str, Any]]


def show(artifact: Pairs, context: Context) -> None:
    """The banner, what is shown and decided, a page of pairs, and ways to go on with them."""
    st.warning(
        "**Generated: not patient data.** A model made these pictures and their masks. None is used"
        " for anything until a person approves it, and none ever enters a dataset by itself.",
        icon=":material/warning:",
    )
    decided = notes.load_pair_decisions(context.ws, context.job.id)
    author = _author(context)
    shown = _chosen(artifact, decided, context)
    _sheet(artifact, shown, decided, author, context)
    _use(artifact, decided, author, shown, context)
    prompt_builder.show(artifact, context)
    _gains(artifact)


def _author(context: Context) -> str:
    """The field for the name that decisions are kept with."""
    return allowed.author(
        st,
        "Your name",
        notes.load_author(context.ws),
        key=context.key("pairs-author"),
        placeholder="who approves or rejects",
        max_chars=60,
        width=320,
        help="Kept with each decision and written into the file of approved pictures.",
    )


def _state(number: int, decided: Decided) -> bool | None:
    found = decided.get(number)
    return None if found is None else bool(found["approved"])


def _chosen(artifact: Pairs, decided: Decided, context: Context) -> np.ndarray:
    """Chips for the prompt and the decision; numbers of the pairs that fit both."""
    prompts = np.array(artifact.prompts)
    states = np.array([STATES[_state(k, decided)] for k in range(len(prompts))])
    kinds = [ALL, *dict.fromkeys(prompts.tolist())]
    prompt = st.pills(
        "Asked for",
        kinds,
        format_func=lambda p: text.label(p, 60),
        default=ALL,
        key=context.key("pairs-prompt"),
        required=True,
        wrap=True,
    )
    state_ = st.segmented_control(
        "Decision",
        [ALL, *STATES.values()],
        default=ALL,
        key=context.key("pairs-state"),
        required=True,
    )
    fits = (prompt == ALL) | (prompts == prompt)
    fits &= (state_ == ALL) | (states == state_)
    empty = ~artifact.mask.reshape(len(prompts), -1).max(1) & (np.asarray(artifact.mix).max(1) > 0)
    words = f"{len(prompts):,} pairs, {int((states == 'approved').sum()):,} approved,"
    words += f" {int((states == 'rejected').sum()):,} rejected."
    if empty.any():
        words += f" {int(empty.sum()):,} were to show something abnormal and have an empty mask."
    st.caption(words)
    return np.flatnonzero(fits)


def _sheet(
    artifact: Pairs, shown: np.ndarray, decided: Decided, author: str, context: Context
) -> None:
    """One page of pairs; of the one pressed, where its tokens looked."""
    if not len(shown):
        st.caption("No pair fits these filters.")
        return
    pages = math.ceil(len(shown) / PAGE)
    at = 0
    if pages > 1:
        at = st.pagination(pages, key=context.key("pairs-page")) - 1
    part = shown[at * PAGE : (at + 1) * PAGE]
    looked = state.value(context.key("pairs-looked"))
    for k in part:
        with st.container(border=True):
            _pair(artifact, int(k), decided, author, context)
            if looked == int(k):
                _attention(artifact, int(k), context)


def _pair(artifact: Pairs, k: int, decided: Decided, author: str, context: Context) -> None:
    """A pair beside the training pictures most like it, and its buttons."""
    now = _state(k, decided)
    cells = st.columns([1, 1, 1, 1, 1.1], gap="small")
    cells[0].image(
        drawn(artifact, k, context), width="stretch", caption="generated", alt="A generated picture"
    )
    cells[1].image(
        drawn(artifact, k, context, True), width="stretch", caption="its mask", alt="Its mask"
    )
    for cell, rows, words in (
        (cells[2], artifact.nearest, "most like it, real"),
        (cells[3], artifact.closest, "most like it, abnormal"),
    ):
        _real(cell, int(rows[k]), words, context)
    said = {None: "", True: " · :green[approved]", False: " · :red[rejected]"}[now]
    if now is not None and decided[k]["author"]:
        said += f" by {text.label(decided[k]['author'], 30)}"
    said = f"**{k + 1}** · {text.label(artifact.prompts[k], 50)}{said}"
    run, ws, side = context.job.id, context.ws, cells[4]
    side.markdown(said)
    if artifact.mix[k].max() > 0:
        side.caption(
            f"distance {float(artifact.distance[k]):.2f}",
            help="From the abnormal training picture most like it: 1 = as far as these usually lie"
            " from one another, 0 = a copy. Turned copies count as copies.",
        )
    choices = (("Approve", True), ("Reject", False)) if now is None else (("Undo", None),)
    for word, value in choices:
        side.button(
            word,
            key=context.key(f"pairs-{word}-{k}"),
            on_click=state.attempt,
            args=(notes.decide_pairs, ws, run, [k], value, author),
            **allowed.lock("annotate"),
            width="stretch",
        )
    key = context.key("pairs-looked")
    open_ = state.value(key) == k
    side.button(
        "Attention",
        key=context.key(f"pairs-attention-{k}"),
        icon=":material/expand_less:" if open_ else ":material/expand_more:",
        on_click=state.set_value,
        args=(key, None if open_ else k),
        help="Where each token of the prompt looked",
        width="stretch",
    )


def drawn(artifact: Pairs, k: int, context: Context, outlined: bool = False) -> np.ndarray:
    """Pair k as a picture uint8 [h,w,3] marked GENERATED, its mask outlined where wanted."""
    data, look = context.data, state.look()
    image = render.input_to_rgb(np.asarray(artifact.image[k]))
    image = render.enlarge(render.orient_like(image, data, look), TILE)
    if outlined:
        mask = render.orient_like(np.asarray(artifact.mask[k]), data, look)
        image = render.draw_outline(image, mask, OUTLINE, 2)
    return render.mark_generated(image, 0)


def _real(cell: Any, row: int, words: str, context: Context) -> None:
    """A training picture, or a line where it was excluded since."""
    if row not in context.data.rows:
        cell.caption(f"{words}: excluded since")
        return
    name = text.label(context.data.of(np.array([row])).names()[0], 20)
    words = f"{words}: {name}"
    cell.image(
        thumbs(context.data, np.array([row]), TILE)[0],
        width="stretch",
        caption=words,
        alt=words,
    )


def _attention(artifact: Pairs, k: int, context: Context) -> None:
    """Where each token of the prompt looked when picture k was made, each on its own scale."""
    st.markdown(f"**Where the tokens looked in picture {k + 1}**")
    maps = np.asarray(artifact.attention[k], np.float32)
    asked = [j for j, seen in enumerate(maps) if float(seen.max()) > 1e-4]
    base = render.input_to_rgb(np.asarray(artifact.image[k])).astype(np.float32)
    for cell, j in zip(st.columns(max(6, len(asked))), asked):
        seen = maps[j]
        low, high = float(seen.min()), float(seen.max())
        grown = seen.repeat(base.shape[0] // seen.shape[0], 0)
        grown = grown.repeat(base.shape[1] // seen.shape[1], 1)
        heat = render.overlay_heat(base.astype(np.uint8), grown, low, max(high, low + 1e-9))
        heat = render.orient_like(heat, context.data, state.look())
        cell.image(
            render.mark_generated(heat, TILE),
            caption=f"{text.label(artifact.tokens[j], 24)}: {low:.2f} to {high:.2f}",
            alt=f"Where {text.plain(artifact.tokens[j], 24)} looked",
            width="stretch",
        )
    st.caption(
        "Warm: the token's share of the attention is highest there; each picture has a scale of its"
        " own, from the first to the second number."
    )


def _use(
    artifact: Pairs, decided: Decided, author: str, shown: np.ndarray, context: Context
) -> None:
    """Decide on all that are shown, and take out what is approved."""
    left, right, _ = st.columns([1, 1, 1])
    open_ = [int(k) for k in shown if _state(int(k), decided) is None]
    left.button(
        f"Reject {len(open_)} undecided",
        key=context.key("pairs-reject-all"),
        on_click=state.attempt,
        args=(notes.decide_pairs, context.ws, context.job.id, open_, False, author),
        width="stretch",
        **allowed.lock(
            "annotate",
            not open_,
            "All pages of what the filters show. Approving is done one by one.",
        ),
    )
    approved = sum(v["approved"] for v in decided.values())
    download.button(
        right,
        f"{approved} approved as ZIP",
        lambda: zip_approved(artifact, context.data, decided, context.job.id),
        f"GENERATED-{context.data.name}-{context.job.id}.zip",
        "application/zip",
        key=context.key("pairs-zip"),
        icon=":material/download:",
        disabled=not approved or artifact.image.shape[1] not in (1, 3),
        width="stretch",
        help=f"PNG files such as {name_of(0)}, their masks, and a table of who approved them."
        " Train on them, never validate or test on them.",
        what=f"run {context.job.id}: {approved} generated pictures",
    )


def _gains(artifact: Pairs) -> None:
    """What stored benchmarks of the method say about training on what it generates."""
    found = load_evidence(artifact.made_by.method) or {"tables": []}
    tables = [t for t in found["tables"] if "gain" in t["title"].lower()]
    if not tables:
        return
    with st.expander("Does training on generated pairs help? What was measured"):
        for table in tables:
            st.markdown(f"**{text.label(table['title'], 120)}** {text.label(table['data'], 120)}")
            st.dataframe(
                [
                    {
                        "trained on": text.plain(r["name"]),
                        table["measure"]: r["value"],
                        "least of seeds": r["low"],
                        "largest of seeds": r["high"],
                    }
                    for r in table["rows"]
                ],
                hide_index=True,
            )
            st.caption(f"n = {table['n']}. {text.label(table['verdict'], 400)}")
