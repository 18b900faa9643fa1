"""Clusters found by a run: the cases nearest to each centre in latent space, sizes, agreement with
labels, names.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels.gallery import thumbs
from app.state import Context
from core.artifacts import Clusters, Embedding
from core.errors import UserError
from core.imaging import render
from core.imaging.palette import CIVIDIS, OKABE_ITO
from core.jobs.run_folder import find_artifact
from core.neighbours import prepared
from core.workspace import notes

TITLE = "Clusters"


@st.cache_data(max_entries=32, show_spinner=False)
def find_typical_cases(home: str, run: str, slug: str, most: int) -> dict[int, list[int]]:
    """Row ids nearest to each group's centre in latent space, near first; in row order where the
    run has no embedding.
    """
    ws = state.workspace()
    clusters = ws.artifact(run, slug)
    assert isinstance(clusters, Clusters)
    label = np.asarray(clusters.label)
    groups = [int(j) for j in np.unique(label)]
    try:
        embedding = find_artifact(ws, run, Embedding)
    except UserError:
        return {j: clusters.rows[label == j][:most].tolist() for j in groups}
    z = prepared(np.asarray(embedding.z)[embedding.at(clusters.rows)], embedding.metric)
    found = {}
    for j in groups:
        part = np.flatnonzero(label == j)
        distance = np.square(z[part] - z[part].mean(0)).sum(1)
        found[j] = clusters.rows[part[np.argsort(distance, kind="stable")[:most]]].tolist()
    return found


def load_names(clusters: Clusters, context: Context, run: str) -> dict[int, str]:
    given = notes.load_cluster_names(context.ws, run)
    return {int(j): given.get(int(j), clusters.name_of(int(j))) for j in np.unique(clusters.label)}


def show(artifact: Clusters, context: Context) -> None:
    """Sizes and label mix on top, then one line of typical cases per cluster."""
    run = artifact.made_by.run or context.job.id
    called = load_names(artifact, context, run)
    label = np.asarray(artifact.label)
    order = sorted(called, key=lambda j: (j < 0, -(label == j).sum()))
    if artifact.curve:
        _show_curve(artifact, context)
    if len(context.data.classes) > 1:
        _show_label_mix(artifact, context, order, called)
    st.caption(
        "Each line: the cases nearest to the middle of the cluster, in the latent space itself."
    )
    nearest = find_typical_cases(str(context.ws.home), run, artifact.slug, 9)
    pages = -(-len(order) // 12)
    at = st.pagination(pages, key=context.key("groups-page")) - 1 if pages > 1 else 0
    for j in order[at * 12 : (at + 1) * 12]:
        _show_cluster(artifact, context, run, j, called[j], nearest.get(j, []))


def _show_cluster(
    artifact: Clusters, context: Context, run: str, j: int, name: str, rows: list[int]
) -> None:
    size = int((artifact.label == j).sum())
    known = (
        " · known class"
        if j >= 0 and j < len(artifact.known) and artifact.known[j]
        else " · newly found"
        if j >= 0 and artifact.known
        else ""
    )
    with st.container(border=True):
        head, body = st.columns([1, 4], vertical_alignment="center")
        with head:
            st.markdown(
                f"**{text.label(name)}**  \n{size:,} cases"
                f" ({text.percent(size / len(artifact.rows))}){known}"
            )
            st.button(
                "Select",
                key=context.key(f"select-{artifact.slug}-{j}"),
                on_click=state.select,
                args=(artifact.rows[artifact.label == j], name),
                width="stretch",
            )
            if j >= 0:
                with (
                    st.popover("Rename", width="stretch", **allowed.lock("annotate")),
                    st.form(context.key(f"rename-{artifact.slug}-{j}"), border=False),
                ):
                    given = st.text_input("New name", text.plain(name), max_chars=60)
                    if st.form_submit_button("Save"):
                        state.attempt(notes.name_cluster, context.ws, run, j, given)
                        st.rerun()
        with body:
            if render.is_drawable(context.data):
                pics = thumbs(context.data, np.array(rows), 96)
                for i, cell in enumerate(st.columns(9)[: len(rows)]):
                    cell.image(pics[i], width="stretch", alt=f"A case of {text.plain(name, 60)}")
            else:
                st.dataframe(context.data.of(np.array(rows)).shown.iloc[:4, :10], width="stretch")


def _show_label_mix(
    artifact: Clusters, context: Context, order: list[int], called: dict[int, str]
) -> None:
    """How the known labels fall into the clusters, as a heat table with counts."""
    data = context.data.of(artifact.rows)
    table = np.zeros((len(order), len(data.classes)), int)
    for i, j in enumerate(order):
        table[i] = np.bincount(
            data.labels[(artifact.label == j) & (data.labels >= 0)], minlength=len(data.classes)
        )
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=[text.chart(c, 16) for c in data.classes],
            y=[text.chart(called[j], 20) for j in order],
            text=table,
            texttemplate="%{text}",
            colorscale=CIVIDIS,
            colorbar={"title": "share of the cluster", "tickformat": ".0%"},
        )
    )
    figure.update_layout(
        height=120 + 26 * len(order),
        yaxis={"autorange": "reversed", "automargin": True},
        xaxis={"title": "known label", "type": "category"},
        margin={"t": 10, "b": 10, "l": 10},
    )
    with st.expander("Agreement with the known labels", expanded=len(order) <= 15):
        st.plotly_chart(
            figure, key=context.key(f"mix-{artifact.slug}"), config={"displayModeBar": False}
        )


def _show_curve(artifact: Clusters, context: Context) -> None:
    quantity = next(k for k in artifact.curve if k != "k")
    figure = go.Figure(
        go.Scatter(
            x=artifact.curve["k"],
            y=artifact.curve[quantity],
            mode="lines+markers",
            line={"color": OKABE_ITO[1]},
        )
    )
    figure.update_layout(
        height=180,
        xaxis_title="number of clusters tried",
        yaxis_title=quantity,
        margin={"t": 10, "b": 10},
    )
    with st.expander("How the number of clusters was chosen"):
        st.plotly_chart(
            figure, key=context.key(f"curve-{artifact.slug}"), config={"displayModeBar": False}
        )
