"""Which cases and which earlier run a training uses: the choices of the training form that need the
workspace.
"""

from __future__ import annotations

import streamlit as st

from app import navigation, state, text
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.stored import class_word
from core.method import Method
from core.registry import methods
from core.training.compatibility import why_not_on
from core.workspace import notes

MOST_VALUES = 12  # a column with more values is no choice of cases


@st.cache_data(max_entries=512, show_spinner=False)
def _why_not_on(home: str, method: str, run: str, dataset: str) -> str | None:
    return why_not_on(
        methods()[method], state.workspace().artifacts(run), state.workspace().dataset(dataset)
    )


def bases(kind: type[Method], data: Dataset) -> tuple[dict[str, str], dict[str, str]]:
    """The finished runs `kind` can build on, newest first: id -> title; and why others cannot:
    title -> reason.
    """
    ws, fits, others = state.workspace(), {}, {}
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    for job in ws.runs(data.name if kind.takes.on_same_data else None):
        if job.status != "done" or not ws.slugs(job.id):
            continue
        title = navigation.run_title(job) + (
            "" if names.get(job.dataset) == data.name else f" · {names.get(job.dataset, '')}"
        )
        why = _why_not_on(str(ws.home), kind.id, job.id, data.name)
        if why is None:
            fits[job.id] = title
        else:
            others[title] = why
    return fits, others


def base(kind: type[Method], data: Dataset) -> str:
    """The earlier run to build on, chosen by the user; "" when the method needs none or none fits
    (said on screen).
    """
    if not kind.takes.on:
        return ""
    fits, others = bases(kind, data)
    if not fits:
        said = " ".join(sorted(set(others.values()))[:2])
        st.info(
            f"It builds on an earlier run that gives {' and '.join(kind.takes.on)}; train one"
            " first." + (f" Those there do not do: {text.label(said, 300)}" if said else "")
        )
        return ""
    help = (
        "The earlier run whose model it takes."
        if "Model" in kind.takes.on
        else "The earlier run whose latent space it works in."
    )
    return st.selectbox(
        "Build on",
        list(fits),
        format_func=lambda i: text.plain(fits[i]),
        help=help,
        key=f"base-{kind.id}",
    )


def named(data: Dataset) -> dict[str, str]:
    """Ways to name some of the cases: the words the command line takes -> what to show. Saved
    groups first, then values of label, site and part.
    """
    found = {
        name: f"group “{name}” ({len(rows):,})"
        for name, rows in notes.load_groups(state.workspace(), data.name).items()
    }
    for role in ("domain", "label", "group"):
        column = data.roles.get(role)
        if column is None:
            continue
        counts = data.frame[column].dropna().map(class_word).value_counts()
        if len(counts) <= MOST_VALUES:
            found |= {
                f"{column}={value}": f"{column} = {value} ({k:,})"
                for value, k in counts.sort_index().items()
            }
    return found


def cases(kind: type[Method], data: Dataset) -> tuple[str, str]:
    """(only, chosen): the cases the run is restricted to, and those the method asks for; "" = all,
    or none.
    """
    ways = named(data)
    chosen = ""
    if kind.takes.chosen != "no":
        if ways:
            # a group is there for a purpose; a whole class is never taken unasked
            saved = bool(notes.load_groups(state.workspace(), data.name))
            chosen = (
                st.selectbox(
                    "Which cases it is about",
                    list(ways),
                    0 if saved else None,
                    format_func=lambda w: text.plain(ways[w]),
                    placeholder="choose the cases",
                    key=f"chosen-{kind.id}",
                    help=(
                        "Select cases anywhere and save them as a group under “Selection” at the"
                        " top; the group then appears here."
                    ),
                )
                or ""
            )
        else:
            st.info(
                "It asks for some cases: select them on the map or in the gallery and save them as"
                " a group under “Selection” at the top."
            )
    only = st.selectbox(
        "Cases used",
        ["", *ways],
        format_func=lambda w: text.plain(ways[w]) if w else f"all {len(data):,}",
        key=f"only-{kind.id}",
        help="A run on some cases learns from them and describes them; the others stay out of it.",
    )
    return only, chosen


def only_normal(kind: type[Method], data: Dataset, only: str) -> bool:
    """Whether the run learns from the normal cases alone and scores all; offered where a method
    gives an anomaly score and there are classes.
    """
    if AnomalyMaps not in kind.gives or kind.takes.labels == "needed" or len(data.classes) < 2:
        return False
    if not data.normal:
        st.caption(
            "Which class is normal is not said; name it on the Data page, and this can learn from"
            " the normal cases alone."
        )
        return False
    guessed = " (a guess by its word)" if data.card.get("normal guessed") else ""
    words = f"Learn from the normal cases only: “{text.label(data.normal, 40)}”{guessed}"
    help = (
        "Suggested for finding unusual cases: what is learned is the normal, and all cases are"
        " scored against it. Cases of other classes are kept out of training and validation."
    )
    if only == f"{data.roles['label']}={data.normal}":
        st.caption(
            "“Cases used” leaves all but the normal ones out of the run, unscored. To score all of"
            " them, use all cases and the switch below."
        )
    return st.toggle(words, key=f"normal-{kind.id}-{data.hash[:6]}", help=help)
