"""Model facts on one screen: what it can do, what it learned from, what it must not be used for."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app import text
from app.components import allowed, download
from app.state import Context
from core.artifacts import Metrics, Model
from core.cards import load_card
from core.imaging.palette import ACCENT, INK, NONE, PALE
from core.registry import describe_abilities, headlines, method_class
from core.words import describe_groups
from core.workspace import notes

TITLE = "Model facts"
MOST_FIGURES = 6  # shown at once
# parts of the data that figures of a model may speak of, the better one first
UNSEEN = {
    "test": "the test part",
    "val": "validation cases only, which may have settled settings; there is no test part",
}


def show(artifact: Model, context: Context) -> None:
    """A one-screen sheet; what nobody has stated is shown as not stated, and can be filled in."""
    about, kind = load_card(artifact.method), method_class(artifact.method)
    sections = about.sections if about else {}
    stated = notes.load_model_facts(context.ws, context.job.id)
    left, right = st.columns(2)
    with left:
        title = kind.title if kind else text.label(artifact.method)
        st.markdown(f"**{title}** can {', '.join(describe_abilities(artifact))}.")
        st.markdown(f"**The method answers:** {sections.get('Answers', 'not stated')}")
        _fact("Meant for", "intended use", stated)
        st.markdown("**Not for:** diagnosis or treatment.")
        _measured(context)
    with right:
        _fact("Known failures", "known failures", stated)
        _fact("Stop using it when", "when to stop", stated)
        _origin(artifact, context)
        _fill_in(context, stated)
    with st.expander("When to trust the method, and when not to use it"):
        st.markdown(f"**Trust it when:** {sections.get('Trust it when', 'not stated')}")
        st.markdown(f"**Not when:** {sections.get('Do not use when', 'not stated')}")
    if artifact.diagram:
        _built(artifact, context)


def _fact(title: str, about: str, stated: dict[str, dict[str, Any]]) -> None:
    """One line that a person has stated, or that nobody has."""
    said = stated.get(about)
    if said is None:
        st.markdown(f"**{title}:** :orange[not stated]")
        return
    when = time.strftime("%Y-%m-%d", time.localtime(said["made"]))
    who = text.label(said["author"], 60) or "a person"
    st.markdown(f"**{title}:** {text.label(said['words'], 1000)} :gray[({who}, {when})]")


def _fill_in(context: Context, stated: dict[str, dict[str, Any]]) -> None:
    """The form in which people state what only they can say."""
    from app import state

    with (
        st.popover("State what only you know", icon=":material/edit:", **allowed.lock("annotate")),
        st.form(context.key("model-facts"), border=False),
    ):
        given = {
            about: st.text_area(
                question,
                stated.get(about, {}).get("words", ""),
                max_chars=notes.FACT_LETTERS,
                height=80,
                key=context.key(f"fact-{about}"),
            )
            for about, question in notes.MODEL_FACTS.items()
        }
        author = allowed.author(st, "Your name", notes.load_author(context.ws), max_chars=60)
        if st.form_submit_button("Save"):
            before = {k: v["words"] for k, v in stated.items()}
            changed = {
                about: words or ""
                for about, words in given.items()
                if " ".join((words or "").split()) != before.get(about, "")
            }
            state.attempt(notes.state_model_facts, context.ws, context.job.id, changed, author)
            st.rerun()


def _measured(context: Context) -> None:
    """Figures of cases it did not learn from, with what lies about them; groups folded away."""
    slugs = context.ws.slugs(context.job.id)
    found = [
        m
        for slug in slugs
        if isinstance(a := context.ws.artifact(context.job.id, slug), Metrics)
        for m in a
        if m.split in UNSEEN and m.value is not None and m.varied is None
    ]
    part = next((p for p in UNSEEN if any(m.split == p for m in found)), "")
    found = [m for m in found if m.split == part]
    whole = [m for m in found if m.group == "all"]
    whole.sort(key=lambda m: m.name not in headlines())  # what a report says first
    of = text.explain(UNSEEN[part]) if whole else "nothing was measured"
    st.markdown(f"**On cases it did not learn from:** {of}")
    if whole:
        st.markdown(
            "\n".join(
                f"- {text.explain(text.label(m.name))} **{text.label(text.measured(m, n=True))}**"
                for m in whole[:MOST_FIGURES]
            )
        )
    if len(whole) > MOST_FIGURES:
        st.caption(f"{len(whole) - MOST_FIGURES} more under “Measured”.")
    groups = [m for m in found if m.group != "all"]
    if groups:
        with st.expander(f"By group ({len({m.group for m in groups})})"):
            lines = "\n".join(
                f"| {text.label(m.group, 40)} | {text.label(m.name)} |"
                f" {text.label(text.measured(m, n=True))} |"
                for m in groups[:60]
            )
            st.markdown(f"| Group | Measure | Value |\n|---|---|---|\n{lines}")


def _origin(artifact: Model, context: Context) -> None:
    """What it learned from, when, and its receipt where there is one."""
    data, made = context.data, artifact.made_by
    domains = [] if data.domains is None else [d for d in data.domains if d is not None]
    sites = ", ".join(sorted({text.label(d) for d in domains})[:8]) or "not stated"
    groups = describe_groups(data.of(artifact.rows).groups)
    st.markdown(
        f"**Learned from:** {len(artifact.rows):,} cases of {text.label(data.name)}"
        f"  \n**Patients:** {groups}  \n**Sites or scanners:** {sites}  \n**Classes:**"
        f" {', '.join(text.label(c, 20) for c in artifact.classes[:12]) or 'none used'}"
        f"  \n**Made:** {text.label(text.moment(made.created))} · seed {made.seed} ·"
        f" {text.label(made.device)} · version {text.label(made.version)}"
    )
    if artifact.receipt:
        download.button(
            st,
            "Receipt",
            json.dumps(artifact.receipt, indent=1),
            "receipt.json",
            "application/json",
            icon=":material/receipt_long:",
            key=f"receipt_{made.run}",
            help=(
                "What was done to this model, on which cases, with which result. It is no proof"
                " and no certificate."
            ),
            what=f"run {made.run}: receipt",
        )


@dataclass(frozen=True)
class Style:
    """How nodes and lines of one kind are drawn."""

    name: str
    line: dict[str, Any]
    opacity: float
    ink: str
    fill: str


KEPT = Style("computed", {"color": ACCENT, "width": 2, "dash": "solid"}, 0.8, INK, ACCENT)
LEFT_OUT = Style("left out", {"color": NONE, "width": 1, "dash": "dot"}, 0.35, NONE, PALE)


def _built(artifact: Model, context: Context) -> None:
    """The network as nodes and lines, cut back to the stage asked for, with that stage's
    figures.
    """
    drawing = artifact.diagram
    nodes, used = drawing["nodes"], int(drawing["used"])
    word = text.plain(drawing["stage"], 20)
    stages = sorted({int(n[3]) for n in nodes})
    st.markdown("**How the network is built**")
    cut = st.segmented_control(
        f"Cut back to {word}",
        stages,
        default=used if used in stages else stages[-1],
        key=context.key(f"cut-{artifact.slug}"),
        required=True,
        format_func=lambda s: f"{s} · in use" if s == used else str(s),
    )
    cut = int(cut or stages[-1])
    figure = go.Figure()
    for kept in (False, True):
        style = KEPT if kept else LEFT_OUT
        lines = [(a, b) for a, b, stage in drawing["edges"] if (stage <= cut) is kept]
        figure.add_scatter(
            x=[v for a, b in lines for v in (nodes[a][1], nodes[b][1], None)],
            y=[v for a, b in lines for v in (nodes[a][2], nodes[b][2], None)],
            mode="lines",
            line=style.line,
            opacity=style.opacity,
            hoverinfo="skip",
            showlegend=False,
        )
        own = [n for n in nodes if (n[3] <= cut) is kept]
        figure.add_scatter(
            x=[n[1] for n in own],
            y=[n[2] for n in own],
            mode="markers+text",
            text=[text.chart(n[0], 8) for n in own],
            textfont={"color": style.ink},
            marker={
                "size": 38,
                "color": style.fill,
                "line": {"width": 1, "color": style.line["color"]},
            },
            name=style.name,
            hovertemplate=f"%{{text}}, {style.name}<extra></extra>",
        )
    high = 1 + len({n[2] for n in nodes})
    figure.update_layout(
        height=70 * high,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"visible": False},
        yaxis={"visible": False},
        dragmode=False,
        legend={"orientation": "h"},
    )
    st.plotly_chart(
        figure, key=context.key(f"built-{artifact.slug}"), config={"displayModeBar": False}
    )
    st.caption(text.label(drawing["about"], 400))
    found = [context.ws.artifact(context.job.id, s) for s in context.ws.slugs(context.job.id)]
    stage = (drawing["stage"], float(cut))
    given = [m for a in found if isinstance(a, Metrics) for m in a if m.varied == stage]
    if given:
        st.markdown(
            f"At {text.label(word)} {cut}: "
            + "; ".join(f"{text.label(m.name)} **{text.label(text.measured(m))}**" for m in given)
            + "."
        )
