"""Everything a run gave, one view at a time: the model's facts first, then what has no page of its
own.
"""

from __future__ import annotations

import streamlit as st

from app.state import Context
from app.views import View, views_of
from core.artifacts import Artifact

# shown larger elsewhere
OWN_PAGE = ("clusters", "anomaly_maps", "attributions", "traversal", "images", "rationales")
SECOND = ("grid", "uncertainty", "memory_slots")  # explain what others show
LAST = ("metrics",)


def list_views(context: Context) -> list[tuple[str, Artifact, View]]:
    """(slug, artifact, view) of everything the open run gave, in the order to offer it."""
    ws, run = context.ws, context.job.id
    given = {slug: ws.artifact(run, slug) for slug in ws.slugs(run)}
    found = [(slug, a, v) for slug, a in given.items() for v in views_of(a, context.data)]
    return sorted(
        found,
        key=lambda f: (
            f[2].id != "scope",
            f[2].id != "model",
            f[2].id in LAST,
            f[2].id in OWN_PAGE,
            f[2].id in SECOND,
        ),
    )


def title(slug: str, view: View, of_its_kind: int) -> str:
    """What to call a view of one artifact: a grid by what it holds, others by the view, with the
    artifact's name where there are several.
    """
    name = slug.partition("-")[2].replace("-", " ")
    if view.id == "grid" and name:
        return name[:1].upper() + name[1:]
    return f"{view.title} · {name}" if name and of_its_kind > 1 else view.title


def show(context: Context) -> None:
    """A choice of views, and the chosen one."""
    offered = list_views(context)
    if not offered:
        st.caption("This run gave nothing that can be drawn.")
        return
    titles = [title(slug, v, sum(w.id == v.id for _, _, w in offered)) for slug, _, v in offered]
    picked = st.pills(
        "What it gave",
        range(len(offered)),
        format_func=lambda i: titles[i],
        default=0,
        key=f"gave-{context.job.id}",
        required=True,
        wrap=True,
    )
    _, artifact, view = offered[picked or 0]
    view.show(artifact, context)
