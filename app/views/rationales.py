"""Reasons in words: which concepts, spans or sentences the method gives for a case, and where else
each concept appears.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels.texts import MOST
from app.state import Context
from core.artifacts import Metric, Rationales
from core.imaging.palette import OKABE_ITO

TITLE = "Reasons in words"


def show(artifact: Rationales, context: Context) -> None:
    """The reasons of the case under the eye, strongest first; for concepts, a press selects the
    cases that share one.
    """
    row = state.selection().primary
    places = artifact.at(np.array([row])) if row is not None else np.zeros(0, int)
    test = artifact.at(context.data.part("test").rows)
    if len(places):
        at = int(places[0])
    elif len(test):
        at = int(test[0])
    else:
        at = 0
    items = artifact.items[at]
    name = context.data.of(artifact.rows[at : at + 1]).names()[0]
    cells = st.columns([5, 1, 1], vertical_alignment="center")
    cells[0].markdown(
        f"**{text.label(name)}**"
        + ("" if len(places) else " · a test case; click a case anywhere to see its reasons")
    )
    for cell, words, step in ((cells[1], "Back", -1), (cells[2], "Next", 1)):
        other = int(artifact.rows[(at + step) % len(artifact.rows)])
        cell.button(
            words,
            on_click=state.look_at,
            args=(other,),
            key=context.key(f"{words}-{artifact.slug}"),
            width="stretch",
        )
    if not items:
        st.caption("The method gives no reason for this case.")
        return
    if artifact.kind == "text":
        for item in items:
            st.markdown(f"- {text.label(item['text'], 600)}")
        return
    if artifact.kind == "spans" and all("start" in i for i in items):
        _marked(context, int(artifact.rows[at]), items)
    order = sorted(items, key=lambda i: -abs(i["weight"]))[:15]
    weight = [float(i["weight"]) for i in order]
    figure = go.Figure(
        go.Bar(
            x=weight,
            y=[text.chart(i["text"], 40) for i in order],
            orientation="h",
            marker_color=[OKABE_ITO[0] if w > 0 else OKABE_ITO[1] for w in weight],
        )
    )
    figure.update_layout(
        height=60 + 26 * len(order),
        margin={"t": 10, "b": 10, "l": 10, "r": 10},
        yaxis={"autorange": "reversed", "automargin": True},
    )
    st.plotly_chart(
        figure, key=context.key(f"reasons-{artifact.slug}"), config={"displayModeBar": False}
    )
    if artifact.about:
        st.caption(
            f"Orange speaks for {text.label(artifact.about[at], 160)}; blue speaks against it."
        )
    else:
        st.caption("Orange: a positive weight; blue: a negative one.")
    _proof(context)
    if artifact.kind == "concepts":
        _sharing(artifact, context, [i["text"] for i in order])


def _points(words: str, m: Metric) -> str:
    """ "weightiest 21 points (12 to 30)", the interval where there is one."""
    spread = (
        f" ({m.low * 100:.0f} to {m.high * 100:.0f})"
        if m.low is not None and m.high is not None
        else ""
    )
    return f"{words} {(m.value or 0) * 100:.0f} points{spread}"


def _proof(context: Context) -> None:
    """What the run measured about its reasons: the deletion test, and how many texts were not read
    to their end.
    """
    if "metrics" not in context.ws.slugs(context.job.id):
        return
    found = {m.name: m for m in context.ws.artifact(context.job.id, "metrics")}  # type: ignore[attr-defined]
    falls = {
        words: found[name]
        for words in ("weightiest", "random")
        if (name := f"fall of the predicted class without its {words} words") in found
    }
    if len(falls) == 2 and all(m.value is not None for m in falls.values()):
        said = ", ".join(_points(words, m) for words, m in falls.items())
        st.caption(
            f":material/science: Deletion test on {falls['weightiest'].n} test cases: how far the"
            f" model’s certainty falls without up to five words a case: {said}.",
            help=(
                "The words that speak most for the result are taken away and the model reads again;"
                " then as many words drawn at random. Reasons that hold fall far, random ones"
                " hardly."
            ),
        )
    cut = found.get("texts read to their end")
    if cut is not None and cut.value is not None and cut.value < 1:
        st.caption(
            f":material/content_cut: {text.label(cut.note, 200)}. Train with a larger “longest” to"
            " read on."
        )


def _marked(context: Context, row: int, items: list[dict[str, Any]]) -> None:
    """The text of the case with its weightiest words marked: orange speaks for the result, blue
    against it.
    """
    full = str(context.data.of(np.array([row])).texts[0])
    words, parts, at = full[:MOST], [], 0
    for item in sorted(items, key=lambda i: i["start"]):
        if at <= item["start"] < item["end"] <= len(words):
            colour = "orange" if item["weight"] > 0 else "blue"
            parts += [
                _between(words[at : item["start"]]),
                f":{colour}-background[{text.label(words[item['start'] : item['end']], 80)}]",
            ]
            at = item["end"]
    st.markdown("".join([*parts, _between(words[at:])]))
    if len(full) > MOST:
        st.caption(f":material/content_cut: The first {MOST:,} of {len(full):,} letters.")


def _between(words: str) -> str:
    """Plain text between marks, its spaces at the ends kept."""
    return (
        (" " if words[:1].isspace() else "")
        + text.label(words, MOST)
        + (" " if words.strip() and words[-1:].isspace() else "")
    )


def _sharing(artifact: Rationales, context: Context, words: list[str]) -> None:
    picked = st.selectbox(
        "Which other cases share",
        words,
        format_func=text.plain,
        key=context.key(f"concept-{artifact.slug}"),
    )
    strength = np.array(
        [
            max((float(i["weight"]) for i in items if i["text"] == picked), default=-np.inf)
            for items in artifact.items
        ]
    )
    rows = np.asarray(artifact.rows)[np.argsort(-strength, kind="stable")][
        : max(1, min(50, int((strength > 0).sum())))
    ]
    st.button(
        f"Select the {len(rows):,} cases it speaks for most",
        on_click=state.select,
        args=(rows, f"concept {text.plain(picked, 30)}"),
        key=context.key(f"sharing-{artifact.slug}"),
    )
