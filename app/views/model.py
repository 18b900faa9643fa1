"""Model facts on one screen: what it can do, what it learned from, what it must not be used for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app import text
from app.state import Context
from core.artifacts import Metrics, Model
from core.cards import load_card
from core.imaging.palette import ACCENT, GREY, INK, NONE, PALE
from core.registry import method_class

TITLE = "Model facts"
CAN = {
    "embed": "place a case among the others",
    "decode": "draw a picture from latent coordinates",
    "predict": "name a class",
    "score": "say how unusual a case is",
}


def show(artifact: Model, context: Context) -> None:
    """A one-screen sheet; what nobody has stated is shown as not stated."""
    about, kind, data = load_card(artifact.method), method_class(artifact.method), context.data
    left, right = st.columns(2)
    with left:
        st.markdown(
            f"**{kind.title if kind else text.label(artifact.method)}** can "
            + ", ".join(CAN[a] for a in artifact.abilities)
            + "."
        )
        st.markdown(
            "**Meant for:**"
            f" {about.sections.get('Answers', 'not stated') if about else 'not stated'}"
        )
        st.markdown(
            f"**Not for:** diagnosis. {about.sections.get('Do not use when', '') if about else ''}"
        )
        st.markdown(
            "**Trust it when:**"
            f" {about.sections.get('Trust it when', 'not stated') if about else 'not stated'}"
        )
    with right:
        sites = (
            "not stated"
            if data.domains is None
            else ", ".join(sorted({text.label(d) for d in data.domains if d is not None})[:8])
        )
        of_cases = data.of(artifact.rows).groups
        groups = "not stated"
        if of_cases is not None:
            groups = f"{len({g for g in of_cases if g is not None}):,}"
        made = artifact.made_by
        st.markdown(
            f"**Learned from:** {len(artifact.rows):,} cases of {text.label(data.name)} "
            f" \n**Patients:** {groups}  \n**Sites or scanners:** {sites}  \n**Classes:**"
            f" {', '.join(text.label(c, 20) for c in artifact.classes[:12]) or 'none used'} "
            f" \n**Made:** {text.label(made.created)} · seed {made.seed} ·"
            f" {text.label(made.device)} · version {text.label(made.version)}"
        )
        if artifact.receipt:
            st.download_button(
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
            )
        st.markdown("**Known failures:** not stated  \n**When to stop using it:** not stated")
    if artifact.diagram:
        _built(artifact, context)


@dataclass(frozen=True)
class Style:
    """How nodes and lines of one kind are drawn."""

    name: str
    line: dict[str, Any]
    opacity: float
    ink: str
    fill: str


KEPT = Style("computed", {"color": ACCENT, "width": 2, "dash": "solid"}, 0.8, INK, ACCENT)
LEFT_OUT = Style("left out", {"color": NONE, "width": 1, "dash": "dot"}, 0.35, GREY, PALE)


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
