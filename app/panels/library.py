"""Cards of methods and measures, with the stored evidence as dots and intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import text
from core import registry
from core.artifacts.tables import KINDS
from core.cards import HEADINGS, Card, load_card
from core.evidence import load_evidence, made_of
from core.imaging.palette import NONE, OKABE_ITO
from core.json_output import method_json


class Entry(NamedTuple):
    """What the list of cards shows of one, and the words it is found by."""

    id: str
    heading: str
    label: str
    words: str


@st.cache_data(show_spinner=False)
def _methods() -> list[Entry]:
    """The list of methods, worked out once for all sessions."""
    found = []
    for id, kind in sorted(registry.methods().items(), key=lambda m: registry.purpose(m[1])):
        about = load_card(id)
        sections = about.sections if about else {}
        words = " ".join([id, kind.title, kind.family, *sections.values()]).lower()
        answers = f" · {text.label(sections.get('Answers', ''), 110)}" if about else ""
        heading = registry.families().get(kind.family, kind.family)
        found.append(Entry(id, heading, f"**{kind.title}**{answers}", words))
    return found


@st.cache_data(show_spinner=False)
def _measures() -> list[Entry]:
    found = []
    for id, one in registry.measures().items():
        about = load_card(id)
        sections = about.sections if about else {}
        words = " ".join([id, one.title, one.help, *sections.values()]).lower()
        answers = text.label(sections.get("Answers", one.help), 110)
        found.append(Entry(id, "", f"**{one.title}** · {answers}", words))
    return found


def methods(find: str) -> None:
    """The list of methods that match the search; a card's content is drawn once it is opened."""
    _list(_methods(), find, "card", _method)


def measures(find: str) -> None:
    """The list of measures that match the search, as `methods`."""
    _list(_measures(), find, "measure", _measure)


def _list(entries: list[Entry], find: str, key: str, draw: Callable[[str], None]) -> None:
    shown = [entry for entry in entries if find.lower() in entry.words]
    last = ""
    for entry in shown:
        if entry.heading != last:
            st.caption(entry.heading)
            last = entry.heading
        opened = st.expander(entry.label, key=f"{key}-{entry.id}", on_change="rerun")
        if opened.open:
            with opened:
                draw(entry.id)
    if not shown:
        st.caption("Nothing matches.")


def _method(id: str) -> None:
    kind, about = registry.methods()[id], load_card(id)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _sections(about)
        takes = kind.takes
        roles = {
            "labels": takes.labels,
            "masks": takes.masks,
            "patients": takes.groups,
            "sites": takes.domains,
        }
        needs = [word for word, need in roles.items() if need == "needed"]
        said = [f"Takes {', '.join(takes.modalities)}"]
        said += [f"needs {', '.join(needs)}"] if needs else []
        said += [f"builds on an earlier run's {takes.on[0]}"] if takes.on else []
        gives = ", ".join(t.__name__ for t in kind.gives)
        number = _number(kind.seed_number, ", a classic tool")
        st.caption(
            f"On the command line: {text.label(id)}{number}. {'; '.join(said)}. Gives {gives}."
        )
        if params := method_json(kind)["params"]:
            lines = [
                {
                    "parameter": name,
                    "default": str(about_it.get("default")),
                    "from": about_it.get("min", about_it.get("above")),
                    "to": about_it.get("max", about_it.get("below")),
                    "help": about_it.get("help"),
                }
                for name, about_it in params.items()
            ]
            st.dataframe(pd.DataFrame(lines), hide_index=True, width="stretch")
    with right:
        evidence(id)


def _measure(id: str) -> None:
    one, about = registry.measures()[id], load_card(id)
    needs = [
        *(t.__name__ for t in one.takes),
        *(["labels"] if one.labels else []),
        *(["masks"] if one.masks else []),
    ]
    line = (
        f"On the command line: {text.label(id)}{_number(one.seed_number)}. Needs"
        f" {', '.join(needs)}."
    )
    if about is None:
        st.markdown(one.help)
        st.caption(line)
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _sections(about)
        st.caption(line)
    with right:
        evidence(id)


def _sections(about: Card | None) -> None:
    if about is None:
        return
    for heading in HEADINGS:
        st.markdown(f"**{heading}.** {about.sections.get(heading, 'not stated')}")
    st.caption(f"{text.label(about.reference, 400)}  \n{text.label(about.licence, 200)}")


def _number(seed: int | None, none: str = "") -> str:
    return f", system {seed:02d} of the published ones" if seed else none


def evidence(id: str) -> None:
    """The stored tables of a method; says so when nobody has measured it."""
    found = load_evidence(id)
    if found is None:
        st.caption("Not measured yet.")
        return
    made = found["made"]
    for k, table in enumerate(found["tables"]):
        own = made_of(found, table)
        when = "" if own == made else f". Measured {own['date']} on {own['hardware']}"
        st.markdown(f"**{text.label(table['title'], 160)}**")
        st.plotly_chart(_dots(table), key=f"evidence-{id}-{k}", config={"displayModeBar": False})
        st.markdown(f"*{text.label(table['verdict'], 400)}*")
        st.caption(
            text.label(
                f"{_meant(table)}. {table['data']}, {table['split']}, n = {table['n']}, seeds"
                f" {', '.join(map(str, table['seeds']))}{when}",
                360,
            )
        )
    st.caption(
        text.label(
            f"Measured {made['date']} on {made['hardware']}, version {made['version']}.", 200
        )
    )


def _dots(table: dict[str, Any]) -> go.Figure:
    """A dot a row, the method as a diamond; 95 % intervals as thick bars, anything else (a range, a
    change) as thin grey ones.
    """
    rows = table["rows"]
    names = [text.chart(r["name"], 34) for r in rows]
    figure = go.Figure()
    for kind in dict.fromkeys(r["kind"] for r in rows):
        own = [i for i, r in enumerate(rows) if r["kind"] == kind]
        figure.add_scatter(
            x=[rows[i]["value"] for i in own],
            y=[names[i] for i in own],
            mode="markers",
            name=KINDS[kind] if kind else "",
            showlegend=False,
            marker={
                "size": 11,
                "color": [OKABE_ITO[1 if i else 0] for i in own],
                "symbol": ["circle" if i else "diamond" for i in own],
            },
            error_x=_bars([rows[i] for i in own], kind) if kind else None,
        )
    figure.update_layout(
        height=80 + 28 * len(rows),
        margin={"l": 10, "r": 10, "t": 6, "b": 10},
        xaxis_title=text.chart(table["measure"], 50),
        yaxis={
            "autorange": "reversed",
            "automargin": True,
            "categoryorder": "array",
            "categoryarray": names,
        },
    )
    return figure


def _meant(table: dict[str, Any]) -> str:
    """Which way is better, and what the bars are: "Higher is better; bars: range"."""
    better = "Higher is better" if table["higher_is_better"] else "Lower is better"
    kinds = [KINDS[kind] for kind in dict.fromkeys(r["kind"] for r in table["rows"]) if kind]
    drawn = f"; bars: {' and '.join(kinds)}" if kinds else ""
    return f"{better}{drawn}"


def _bars(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    look = {"thickness": 2} if kind == "interval" else {"thickness": 1, "width": 0, "color": NONE}
    return look | {
        "type": "data",
        "symmetric": False,
        "array": [r["high"] - r["value"] for r in rows],
        "arrayminus": [r["value"] - r["low"] for r in rows],
    }
