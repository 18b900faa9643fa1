"""One press from data to an answer: trains the method that suits a question at its fast preset,
and opens the page that shows the answer.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

import streamlit as st

from app import navigation, progress, state, text
from app.components import allowed
from app.panels import map_choice
from core.data.dataset import Dataset
from core.data.normal import keep_normal_only
from core.errors import UserError
from core.jobs import queue
from core.method import Goal, Method, check_params
from core.registry import methods, rivals, suggested
from core.training.compatibility import why_not
from core.training.presets import cases, preset
from core.training.recommend import advise, find_likeness, finds_alone
from core.training.time_estimate import estimate, guess_seconds
from core.workspace import review
from core.workspace.catalogue import Job

# seconds: the first method that is expected to take no longer is taken, else the quickest
PATIENCE = 180.0
# goal of methods: words, icon, the page with the answer
QUESTIONS: dict[Goal, tuple[str, str, str]] = {
    "map": ("See which cases are similar", "scatter_plot", "latent"),
    "unusual": ("Find unusual cases", "troubleshoot", "anomalies"),
    "words": ("See which words decide", "match_word", "rationales"),
}


def follow() -> None:
    """Open the answer once the run that was asked for is done; called at the top of the pages that
    ask.
    """
    asked = st.session_state.get("asked")
    if not asked:
        return
    job = state.workspace().catalogue.job(asked[1])
    if job is not None and job.status == "done":
        del st.session_state["asked"]
        state.open_run(job.id)
        st.switch_page(navigation.page(QUESTIONS[asked[2]][2]))


def asked_run() -> str:
    """Id of the run that was asked for and is not done; "" when there is none."""
    return st.session_state.get("asked", ("", ""))[1]


def ask(data: Dataset) -> None:
    """A button for each question this data can answer, with the time it will take; then the live
    run.
    """
    ws = state.workspace()
    asked = st.session_state.get("asked")
    if (
        asked is not None
        and asked[0] == data.name
        and (job := ws.catalogue.job(asked[1])) is not None
    ):
        st.markdown(f"**{text.label(navigation.run_title(job))}**")
        progress.live(job.id, curve=True, key="asked")
        return

    learned, whose = normal_cases(data)

    @cache  # questions share methods, and each estimate looks through the earlier runs
    def guess(kind: type[Method]) -> tuple[float, str, type[Method], dict[str, Any]]:
        values = preset(kind, next(iter(kind.presets)), cases(kind, data))
        if (
            data.modality == "volume"
            and len(data) < map_choice.FEW
            and "volumes" in kind.Params.model_fields
        ):
            # of so few a map cannot be drawn, of their slices it can
            values |= {"volumes": "slice by slice"}
        found = estimate(ws, kind, values, data).seconds
        return (
            (guess_seconds(kind, values, data) if found is None else found),
            text.duration(found),
            kind,
            values,
        )

    for goal, (words, _, _) in QUESTIONS.items():
        of = learned if goal == "unusual" else data
        beside = [kind for kind in rivals(goal) if why_not(kind, of) is None]
        why, figures, kinds = "", "", suggested(goal)
        if beside:
            advice = advise(
                _likeness(str(ws.home), data.hash, data.name),
                [kind for kind in methods().values() if finds_alone(kind, of)],
                beside[0],
                lambda kind: guess(kind)[0] <= PATIENCE,
            )
            why, figures = advice.why, advice.figures
            kinds = [advice.kind] if advice.kind else kinds
        guesses = [guess(kind) for kind in kinds if why_not(kind, of) is None]
        if not guesses:
            continue
        first = next((g for g in guesses if g[0] <= PATIENCE), min(guesses, key=lambda g: g[0]))
        offers = [(words, first, True)]
        offers += [
            (f"{words} by {kind.title[0].lower()}{kind.title[1:]}", guess(kind), False)
            for kind in beside
            if kind is not first[2]
        ]
        for label, (_, time, kind, values), main in offers:
            _button(data, goal, label, time, kind, values, main, of is not data)
        if why:
            st.caption(why, help=figures or None)
        if goal == "unusual" and whose:
            st.caption(whose)


def _button(
    data: Dataset,
    goal: Goal,
    label: str,
    time: str,
    kind: type[Method],
    values: dict[str, Any],
    main: bool,
    only_normal: bool,
) -> None:
    """A button that queues a method and remembers what was asked; `main` is the one offered
    first.
    """
    key = f"ask-{goal}" if main else f"ask-{goal}-{kind.id}"
    done = _answered(data, kind, values, only_normal)
    if done is not None:
        if st.button(
            f"{label} · open the answer",
            key=f"{key}-answer",
            icon=f":material/{QUESTIONS[goal][1]}:",
            help=f"Answered by {text.label(navigation.run_title(done))}",
            width="stretch",
        ):
            state.open_run(done.id)
            st.switch_page(navigation.page(QUESTIONS[goal][2]))
        return
    token = state.press(key)
    if not st.button(
        " · ".join(filter(None, (label, time))),
        key=f"{key}-{token}",
        type="primary" if main else "secondary",
        icon=f":material/{QUESTIONS[goal][1]}:",
        **allowed.lock(
            "train",
            help=f"{'Trains' if kind.takes.trains else 'Runs'}: {kind.title}, preset “fast”",
        ),
        width="stretch",
    ):
        return
    job = state.attempt(
        queue.train,
        state.workspace(),
        data.name,
        kind.id,
        values,
        token=token,
        only_normal=only_normal,
    )
    if job is not None:
        state.pressed(key)
        st.session_state["asked"] = (data.name, job.id, goal)
        st.rerun()


def _answered(
    data: Dataset, kind: type[Method], values: dict[str, Any], only_normal: bool
) -> Job | None:
    """The newest finished run of the open data that a press would only train again."""
    wanted = check_params(kind, values)
    for job in state.workspace().runs(data.name):
        same = job.method == kind.id and bool(job.spec.get("only_normal")) == only_normal
        other = job.kind != "train" or job.seed or job.on_run or "only" in job.spec
        if same and not other and job.status == "done" and not _outdated(job):
            with suppress(UserError):  # made with parameters that there are no more
                if check_params(kind, job.params) == wanted:
                    return job
    return None


def _outdated(job: Job) -> bool:
    return bool(review.count_removed_since(state.workspace(), job.id))


@st.cache_data(max_entries=64, show_spinner=False)
def _likeness(home: str, hash: str, name: str) -> str:
    return find_likeness(state.workspace().dataset(name))


def normal_cases(data: Dataset) -> tuple[Dataset, str]:
    """What “Find unusual cases” learns from, and the words for it.

    The normal cases alone where it is known which they are, else the data itself; "" where there
    are no classes.
    """
    if len(data.classes) < 2:
        return data, ""
    if not data.normal:
        return (
            data,
            (
                "Learns from all cases, since it is not said which class is normal; the Data page"
                " asks it (“Normal class”)."
            ),
        )
    guessed = (
        " (a guess by its word; the Data page can change it)"
        if data.card.get("normal guessed")
        else ""
    )
    try:
        learned = keep_normal_only(data)
    except UserError as e:
        return data, f"Learns from all cases: {text.label(e, 300)}"
    if all(why_not(kind, learned) for kind in suggested("unusual")):
        return (
            data,
            "Learns from all cases, since there are too few normal ones to learn from them alone.",
        )
    normal = text.label(data.normal, 40)
    return (
        learned,
        f"Learns from the cases “{normal}” only{guessed}, and scores all cases against them.",
    )
