"""Choosing a method: the question first, then what fits this data best, then all that fits."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import state, text
from app.panels import cases as _cases
from core.cards import load_card
from core.data.dataset import Dataset
from core.evidence import count_wins
from core.method import Method
from core.registry import methods, purpose, questions
from core.training.compatibility import why_not
from core.training.presets import cases, preset
from core.training.recommend import find_measured_like, measure_standing
from core.training.time_estimate import estimate, guess_seconds

BEST = 3  # methods shown for a question


@st.cache_data(max_entries=32, show_spinner=False)
def _reasons(home: str, hash: str, name: str) -> dict[str, str | None]:
    data = state.workspace().dataset(name)
    return {id: why_not(kind, data) for id, kind in methods().items()}


def choose(data: Dataset, above: DeltaGenerator) -> type[Method] | None:
    """The question, drawn in `above`, the methods that answer it best here, all that fit by search,
    and why the others do not; gives the chosen method.
    """
    reasons = _reasons(str(state.workspace().home), data.hash, data.name)
    waiting = {
        id: " and ".join(methods()[id].takes.on)
        for id, why in reasons.items()
        if why is None and methods()[id].takes.on and not _cases.bases(methods()[id], data)[0]
    }
    fits = [id for id, why in reasons.items() if why is None and id not in waiting]
    if not fits:
        st.info("No method fits this data; see below why.")
    else:
        _ask(data, fits, above)
    others = [id for id in reasons if id not in fits]
    if others:
        with st.expander(f"What does not fit, and why ({len(others)})"):
            for id in others:
                why = (
                    reasons[id]
                    or f"Builds on an earlier run that gives {waiting[id]}; train one first."
                )
                st.markdown(f"**{methods()[id].title}**  \n{text.label(why, 200)}")
    chosen = state.value("method")
    return methods()[chosen] if chosen in fits else None


def answers(id: str) -> str:
    """What the method answers, by its card; "" without one."""
    about = load_card(id)
    return about.sections.get("Answers", "") if about else ""


def _ask(data: Dataset, fits: list[str], above: DeltaGenerator) -> None:
    """The question, its best methods, and all that fit."""
    fits = sorted(fits, key=lambda id: purpose(methods()[id]))
    asked: dict[str, list[str]] = {}
    for id in fits:
        family = methods()[id].family
        asked.setdefault(questions().get(family, f"Methods of your own ({family})"), []).append(id)
    best = {words: rank(ids, data) for words, ids in asked.items()}
    chosen = state.kept("method", best[next(iter(best))][0], fits)
    state.set_value("method", chosen)
    now = next(words for words, ids in asked.items() if chosen in ids)
    state.set_value("question", now)
    state.kept("question", now, list(asked))
    above.selectbox(
        "What do you want to know?",
        list(asked),
        key="w-question",
        on_change=_answer,
        args=({words: ids[0] for words, ids in best.items()},),
        width=560,
    )
    shown = best[now][:BEST]
    if chosen not in shown:
        shown = [chosen, *shown[: BEST - 1]]
    st.caption(
        "Best for this data first"
        if len(asked[now]) > 1
        else "The one method here that answers it",
        help=(
            "First what a method says of itself; then whether it was ahead of its rivals on data"
            " like this, which counts against it where it was behind; how often it was elsewhere;"
            " and its time."
        ),
    )
    # Trap: without a box of their own, more or fewer of them would move what is below, and a
    # browser closes a folded list that moved.
    with st.container():
        for id in shown:
            _card(id, data, id == chosen)
    with st.expander(f"All methods that fit ({len(fits)})"):
        find = st.text_input(
            "Search", key="find-method", placeholder="a name, or a word of its card", max_chars=60
        ).lower()
        for id in fits:
            if find in " ".join([id, methods()[id].title, answers(id)]).lower():
                st.button(
                    methods()[id].title,
                    key=f"find-{id}",
                    on_click=_pick,
                    args=(id,),
                    type="primary" if id == chosen else "tertiary",
                    width="stretch",
                    help=text.label(answers(id), 200),
                )


def rank(ids: list[str], data: Dataset) -> list[str]:
    """Sort methods that answer one question: those that name themselves a first choice; those ahead
    of their rivals on data like this before those not measured on such, and these before those
    behind; then by the share of data on which they are ahead, then by time.
    """
    like = measured_like(data)

    def key(id: str) -> tuple[float, int, float, float, str]:
        kind = methods()[id]
        stands = measure_standing(kind, like)
        first = min(kind.suggested_for.values(), default=float("inf"))
        return first, -stands.like, -stands.share, _seconds(kind, data), id

    return sorted(ids, key=key)


def measured_like(data: Dataset) -> str:
    """Return how benchmarks call the data that `data` is like, "" where none is."""
    return _like(str(state.workspace().home), data.hash, data.name)


@st.cache_data(max_entries=64, show_spinner=False)
def _like(home: str, hash: str, name: str) -> str:
    return find_measured_like(state.workspace().dataset(name))


def _seconds(kind: type[Method], data: Dataset) -> float:
    values = preset(kind, next(iter(kind.presets)), cases(kind, data))
    found = estimate(state.workspace(), kind, values, data).seconds
    return guess_seconds(kind, values, data) if found is None else found


def _card(id: str, data: Dataset, chosen: bool) -> None:
    """One method: its name, what it answers, what was measured, and its time."""
    kind = methods()[id]
    ahead, tables = count_wins(id)
    said = (
        f"ahead of its rivals in {ahead} of {tables} table{'s' * (tables != 1)}"
        if tables
        else "not measured against rivals"
    )
    like = measure_standing(kind, measured_like(data)).like
    said += {1: ", and on data like this", 0: "", -1: "; behind them on data like this"}[like]
    values = preset(kind, next(iter(kind.presets)), cases(kind, data))
    time = text.duration(estimate(state.workspace(), kind, values, data).seconds)
    st.button(
        kind.title,
        key=f"choose-{id}",
        type="primary" if chosen else "secondary",
        width="stretch",
        on_click=_pick,
        args=(id,),
    )
    st.caption(
        f"{text.explain(text.label(answers(id), 140))}  \n:material/straighten: {said}"
        + (f" · :material/schedule: {time}" if time else "")
    )


def _pick(id: str) -> None:
    state.set_value("method", id)


def _answer(first: dict[str, str]) -> None:
    state.keep("question")
    state.set_value("method", first[state.value("question")])
