"""The data page: samples, and the open dataset with its check."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.components import allowed
from app.navigation import page
from app.panels import hidden_cases, issues, privacy, quick_start, texts, viewer
from app.panels.gallery import thumbs
from core.data.dataset import Dataset
from core.data.role_guess import guesses_from_card
from core.data.samples.catalogue import SAMPLES, make_sample
from core.imaging import render
from core.imaging.palette import OKABE_ITO
from core.report import flow
from core.sampling import evenly_spaced
from core.workspace import decisions, review

LONG = 256  # samples of a series from which its picture is drawn larger


def samples() -> None:
    """The built-in samples, each with a picture and one press."""
    there = {e["name"] for e in state.workspace().catalogue.datasets()}
    for cell, name in zip(st.columns(len(SAMPLES)), SAMPLES):
        data = _sample(name)
        with cell, st.container(border=True):
            st.markdown(f"**{text.label(name)}**")
            if render.is_drawable(data):
                st.image(
                    render.draw_grid(
                        render.draw_thumbnails(data, data.rows[evenly_spaced(len(data), 16)], 48),
                        4,
                    ),
                    width="stretch",
                    alt=f"Sixteen cases of {text.plain(name, 60)}",
                )
            elif data.modality == "table":
                st.image(
                    render.enlarge(render.draw_table(data, 30), 300),
                    width="stretch",
                    alt=f"The values of {text.plain(name, 60)} as colours",
                )
            st.caption(text.label(data.card["about"], 300))
            st.caption(
                f"{len(data):,} cases · {text.label(data.card['licence'])}"
                + (" · made up" if data.card.get("synthetic") else " · real")
            )
            if name in there:
                st.button("Open", key=f"open-{name}", on_click=_open, args=(name,), width="stretch")
            elif (
                st.button(
                    "Add",
                    key=f"add-{name}",
                    width="stretch",
                    type="primary",
                    **allowed.lock("data"),
                )
                and state.attempt(state.workspace().add, make_sample(name), True) is not None
            ):
                state.open_dataset(name)
                st.session_state["just-imported"] = True
                st.switch_page(page("data"))


def _open(name: str) -> None:
    state.open_dataset(name)
    st.session_state["just-imported"] = True


@st.cache_resource(show_spinner=False)
def _sample(name: str) -> Dataset:
    return make_sample(name)


def overview(data: Dataset) -> None:
    """What is held back, pictures or lines, the issues, the card, the balance, and removing it."""
    # stored files that were changed are found when they are read, and the data can still be removed
    state.attempt(_parts, data)
    removal(data.name)


def _parts(data: Dataset) -> None:
    hidden_cases.show(data.name)
    if not len(data):
        st.markdown(
            "Every case of this data is excluded or hidden pending review. Below are the"
            " decisions; undo one to use its cases again."
        )
    left, right = st.columns([3, 2], gap="large")
    with left:
        _look(data)
        _flow(data)
    with right:
        st.markdown("**What do you want to know?**")
        quick_start.ask(data)
        st.markdown("**Dataset check**")
        issues.show(data)
        st.markdown("**What it is**")
        _card(data)
        _normal(data)
        privacy.show(data)
        _balance(data)


def removal(name: str) -> None:
    """The way to remove the dataset called `name`. Its one button is a call back: what it asks for
    is done first, whatever the page is busy with.
    """
    with st.popover("Remove this data", icon=":material/delete:", **allowed.lock("data")):
        runs = len(state.workspace().runs(name))
        st.markdown(
            f"Removes **{text.label(name)}** and its {runs} run{'s' * (runs != 1)} from this"
            " workspace. Your own files stay where they are."
        )
        st.button(
            "Remove it",
            key=f"remove-{state.workspace().entry(name)['id']}",
            type="primary",
            on_click=state.attempt,
            args=(state.workspace().remove_dataset, name),
        )


def _look(data: Dataset) -> None:
    if not len(data):
        return
    if render.is_drawable(data):
        side, across, many = (
            (160, 5, 30) if data.modality == "series" and data.shape[1] > LONG else (72, 10, 60)
        )
        pages = -(-len(data) // many)
        at = st.pagination(pages, key=f"look-{data.hash[:8]}") - 1 if pages > 1 else 0
        # spread over the whole set, so that each page shows every kind of case
        rows = data.rows[at::pages]
        st.image(
            render.draw_grid(thumbs(data, rows, side), across),
            width="stretch",
            alt=f"{len(rows)} cases of {text.plain(data.name, 60)}",
        )
        if pages > 1:
            st.caption(f"{len(rows)} of {len(data):,} cases, spread evenly over the whole set.")
    viewer.browse(data)
    if data.modality == "text":
        texts.browse(data)
        st.markdown("**As a table**")
    st.dataframe(data.shown.head(500), height=460 if data.modality == "table" else 240)
    cut = "; of each text the first 80 letters" if data.modality == "text" else ""
    if len(data) > 500 or cut:
        st.caption(f"The first {min(500, len(data)):,} of {len(data):,} lines{cut}.")


def _card(data: Dataset) -> None:
    card = data.card
    if card.get("about"):
        st.markdown(text.label(card["about"], 400))
    missing = sorted(card.get("missing values", {}).items(), key=lambda m: -m[1])
    facts = {
        "source": card.get("source"),
        "licence": card.get("licence"),
        "kind": data.modality,
        "cases": f"{len(data):,}",
        "values of a case" if data.modality == "table" else "size of a case": " x ".join(
            map(str, data.shape)
        ),
        "split": card.get("split rule"),
        "made up": "yes" if card.get("synthetic") else None,
        "missing values": (
            ", ".join(f"{k}: {v}" for k, v in missing[:6]) + (" …" if len(missing) > 6 else "")
            or "none"
        ),
    }
    st.caption("  \n".join(f"{k}: {text.label(v, 120)}" for k, v in facts.items() if v))
    if columns := _columns_in_words(data):
        st.caption(f":material/view_column: {columns}")
    for rule in card.get("rules", []):
        st.caption(f":material/rule: {text.label(rule, 240)}")


def _columns_in_words(data: Dataset) -> str:
    """What the columns that are no plain inputs were taken for, escaped; "" for data brought in
    before that was kept.
    """
    found = [g for g in guesses_from_card(data.card) if g.role not in ("file", "text", "input")]
    said = [
        f"“{text.label(g.column, 30)}” {g.role}{' (a guess)' if g.doubtful else ''}" for g in found
    ]
    return f"columns: {', '.join(said[:12])}{' …' if len(said) > 12 else ''}" if said else ""


def _normal(data: Dataset) -> None:
    """Which class is normal: asked once, kept as a decision, followed by training, Anomalies and
    measures.
    """
    if not 2 <= len(data.classes) <= 50:
        return
    guessed = data.card.get("normal guessed")
    said = {"": "not said"} | (
        {data.normal: f"{text.plain(data.normal, 40)} (a guess by its word)"}
        if guessed and data.normal
        else {}
    )
    options = ["", *data.classes]
    key = f"normal-{data.hash[:8]}-{data.normal}"
    chosen = st.selectbox(
        "Normal class",
        options,
        options.index(data.normal),
        format_func=lambda c: said.get(c, text.plain(c, 40)),
        key=key,
        **allowed.lock(
            "data",
            help="Methods that look for the unusual can learn from the normal cases alone, and how"
            " often an alarm is right is counted against the others.",
        ),
    )
    if (
        chosen != data.normal
        and state.attempt(review.name_normal, state.workspace(), data.name, chosen) is not None
    ):
        st.rerun()
    if guessed and data.normal:
        st.button(
            "That is right",
            key=f"{key}-right",
            on_click=state.attempt,
            args=(review.name_normal, state.workspace(), data.name, data.normal),
            **allowed.lock("data", help="Keep it as yours, no longer a guess."),
        )


def _flow(data: Dataset) -> None:
    """From the files to the parts, as boxes with counts; the same picture as in the report."""
    st.markdown("**How the cases came about**")
    png, words = _flowing(
        str(state.workspace().home),
        data.hash,
        data.name,
        decisions.decisions_stamp(state.workspace().dataset_folder(data.name)),
    )
    with st.container(key="drawn-flow"):
        st.image(png, width="stretch", alt=text.plain(words, 300))
    st.caption(text.label(words, 600))


@st.cache_data(max_entries=8, show_spinner=False)
def _flowing(home: str, hash: str, name: str, decided: str) -> tuple[bytes, str]:
    counted = flow.count_flow(state.workspace(), name)
    return flow.flow_figure(counted), flow.describe_flow(counted)


def _balance(data: Dataset) -> None:
    if not data.classes or len(data.classes) > 40:
        return
    figure = go.Figure()
    for i, split in enumerate(s for s in ("train", "val", "test") if (data.splits == s).any()):
        labels = data.part(split).labels
        figure.add_bar(
            x=[text.chart(c, 16) for c in data.classes],
            y=np.bincount(labels[labels >= 0], minlength=len(data.classes)),
            name=split,
            marker={"color": OKABE_ITO[i], "pattern": {"shape": ("", "/", ".")[i]}},
        )
    figure.update_layout(
        barmode="stack",
        height=220,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis_type="category",
        yaxis_title="cases",
        legend={"orientation": "h", "y": 1.15},
    )
    st.plotly_chart(figure, key=f"balance-{data.hash[:8]}", config={"displayModeBar": False})
