"""Features of a sparse embedding: how often each is on, the cases at its two ends, what they have
in common, and what to do with it.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.components import allowed
from app.navigation import page
from app.panels.gallery import strip
from app.state import Context
from core import columns
from core.artifacts import Embedding, Model
from core.data.dataset import Dataset
from core.errors import UserError
from core.explain.feature_scores import NameScore, score_names
from core.imaging.palette import ACCENT, AMBER
from core.jobs.run_folder import find_artifact
from core.workspace import notes

TITLE = "Features"
PAGE, TOP = 8, 6
ORDERS = {
    "most telling of a class": "class",
    "most often on": "often",
    "strongest": "strong",
    "used from both sides": "both",
}


def fits(artifact: Embedding, data: Dataset) -> bool:
    """Codes of a sparse autoencoder."""
    return artifact.geometry == "sparse"


@st.cache_data(max_entries=16, show_spinner="Reading the features")
def facts(home: str, run: str, slug: str) -> dict[str, np.ndarray]:
    """Per feature: share of cases it is on, largest strength, share of the rarer side, and how far
    its ends lean to a class (0..1).
    """
    ws = state.workspace()
    codes = ws.artifact(run, slug)
    assert isinstance(codes, Embedding)
    z = np.asarray(codes.z)
    plus, minus = (z > 0).sum(0), (z < 0).sum(0)
    lean = (
        np.array([sum(mark in name for mark in ("+ ", "− ")) for name in codes.axes])
        if codes.axes
        else np.zeros(z.shape[1])
    )
    return {
        "often": (z != 0).mean(0),
        "strong": np.abs(z).max(0),
        "both": np.minimum(plus, minus) / np.maximum(plus + minus, 1),
        "class": lean + (z != 0).mean(0),
    }


def show(artifact: Embedding, context: Context) -> None:
    """The list of features, eight a page; each with the cases at its ends and its three buttons."""
    if artifact.geometry != "sparse":
        st.caption("These coordinates are not sparse; the latent map draws them.")
        return
    known = facts(str(context.ws.home), artifact.made_by.run or context.job.id, artifact.slug)
    dead = int((known["often"] == 0).sum())
    st.caption(
        f"{artifact.z.shape[1]:,} features, {dead:,} of them never on. Each case is described by a"
        " few of them. Look at the cases at both ends before you give a feature a meaning: the"
        " class named beside it is only what its strongest cases have in common."
    )
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    how = left.selectbox("Order", list(ORDERS), key=context.key("feature-order"))
    find_ = right.text_input(
        "Find", key=context.key("feature-find"), placeholder="a class or a number", max_chars=40
    )
    order = [
        int(j)
        for j in np.argsort(-known[ORDERS[how]], kind="stable")
        if known["often"][j] > 0
        and find_.lower() in columns.feature_column(artifact, int(j)).lower()
    ]
    if not order:
        st.caption("No feature matches.")
        return
    pages = -(-len(order) // PAGE)
    at = st.pagination(pages, key=context.key("feature-page")) - 1 if pages > 1 else 0
    for j in order[at * PAGE : (at + 1) * PAGE]:
        _feature(artifact, context, j, float(known["often"][j]))


def _feature(artifact: Embedding, context: Context, j: int, often: float) -> None:
    value = np.asarray(artifact.z[:, j])
    name, run = columns.feature_column(artifact, j), artifact.made_by.run or context.job.id
    with st.container(border=True):
        head, *buttons = st.columns([4, 1, 1, 1, 1], vertical_alignment="center")
        head.markdown(f"**{text.label(name, 60)}** · on in {text.percent(often, 1)} of cases")
        on = artifact.rows[value != 0]
        buttons[0].button(
            "Select",
            key=context.key(f"f-select-{j}"),
            on_click=state.select,
            args=(on, name),
            width="stretch",
            help=f"Select the {len(on):,} cases in which it is on",
        )
        if buttons[1].button(
            "Colour",
            key=context.key(f"f-colour-{j}"),
            width="stretch",
            **allowed.lock("annotate", help="Colour the map by it"),
        ):
            notes.colour_by_feature(context.ws, run, artifact.slug, j)
            state.set_value("colour", name)
            st.switch_page(page("latent"))
        if _turns(context, run) and buttons[2].button(
            "Turn",
            key=context.key(f"f-turn-{j}"),
            width="stretch",
            help="Turn it in a case and see what the model would change",
        ):
            state.set_value("axis", j)
            st.switch_page(page("traversal"))
        if _steers(context, run) and buttons[3].button(
            "Steer",
            key=context.key(f"f-steer-{j}"),
            width="stretch",
            help="Add it to held-out cases and measure what changes",
        ):
            state.set_value("steer", j)
            state.set_value("traversal-way", "Steer a feature")
            st.switch_page(page("traversal"))
        for said in _score(artifact, context, j):
            st.caption(said)
        ends = [
            (sign, artifact.rows[at], value[at]) for sign in (1, -1) if len(at := _end(value, sign))
        ]
        for cell, (sign, rows, strength) in zip(
            st.columns(2) if len(ends) > 1 else [st.container()], ends
        ):
            with cell:
                mark, colour = ("+", AMBER) if sign > 0 else ("−", ACCENT)
                st.caption(f"**{mark} end** · {_common(context.data, rows)}")
                _cases(context, rows, strength, f"{j}-{sign}", colour)


@st.cache_data(max_entries=512, show_spinner=False)
def _scores(home: str, run: str, slug: str, j: int) -> list[NameScore]:
    codes = state.workspace().artifact(run, slug)
    assert isinstance(codes, Embedding)
    return score_names(codes, state.context_of(run).data, j)


def _score(artifact: Embedding, context: Context, j: int) -> list[str]:
    """How well the class each end is named by foretells it, on held-out cases."""
    found = []
    run = artifact.made_by.run or context.job.id
    for s in _scores(str(context.ws.home), run, artifact.slug, j):
        icon = ":material/check:" if s.holds else ":material/warning:"
        found.append(
            f"{icon} “{text.label(s.name, 24)}” {'foretells' if s.holds else 'does not foretell'}"
            f" the {'+' if s.sign > 0 else '−'} end on held-out cases: AUROC"
            f" {text.interval(s.auroc, s.low, s.high, s.n)}; shuffled names stay below"
            f" {s.chance:.2f}"
        )
    return found


def _turns(context: Context, run: str) -> bool:
    try:
        return run == context.job.id and "decode" in find_artifact(context.ws, run, Model).abilities
    except UserError:
        return False


def _steers(context: Context, run: str) -> bool:
    return run == context.job.id and context.job.kind == "train" and bool(context.job.on_run)


def _end(value: np.ndarray, sign: int) -> np.ndarray:
    """Positions of the strongest cases on one side, strongest first."""
    order = np.argsort(-sign * value, kind="stable")[:TOP]
    return order[sign * value[order] > 0]


def _common(data: Dataset, rows: np.ndarray) -> str:
    """What the cases have in common: the most frequent class and site among them, with counts
    against the whole.
    """
    part, words = data.of(rows), []
    for role in ("label", "domain"):
        name = data.roles.get(role)
        values = part.column(role) if name else None
        if values is None or not len(values):
            continue
        there = [str(v) for v in values if v is not None]
        if there:
            best = max(set(there), key=there.count)
            whole = data.column(role)
            share = (
                np.mean([str(v) == best for v in whole if v is not None])
                if whole is not None
                else 0
            )
            words.append(
                f"{there.count(best)} of {len(rows)} are {text.label(best, 24)}"
                f" ({text.percent(float(share))} of all cases are)"
            )
    return "; ".join(words) or f"the {len(rows)} strongest cases"


def _cases(context: Context, rows: np.ndarray, strength: np.ndarray, key: str, colour: str) -> None:
    if context.data.modality == "text":
        for words, v in zip(context.data.of(rows).texts[:3], strength):
            st.text(f"{v:+.2f}  {text.plain(words, 160)}")
        return
    strip(context, rows, [f"{v:+.1f}" for v in strength], f"f-{key}", TOP, 72, 10)
