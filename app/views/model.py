"""Model facts on one screen: what it can do, what it learned from, what it must not be used for."""

from __future__ import annotations

import json

import streamlit as st

from app import text
from app.state import Context
from core.artifacts import Model
from core.cards import card
from core.registry import method_class

TITLE = "Model facts"
CAN = {"embed": "place a case among the others", "decode": "draw a picture from latent coordinates", "predict": "name a class", "score": "say how unusual a case is"}


def show(artifact: Model, context: Context) -> None:
    """A one-screen sheet; what nobody has stated is shown as not stated."""
    about, kind, data = card(artifact.method), method_class(artifact.method), context.data
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{kind.title if kind else text.label(artifact.method)}** can " + ", ".join(CAN[a] for a in artifact.abilities) + ".")
        st.markdown(f"**Meant for:** {about.sections.get('Answers', 'not stated') if about else 'not stated'}")
        st.markdown(f"**Not for:** diagnosis. {about.sections.get('Do not use when', '') if about else ''}")
        st.markdown(f"**Trust it when:** {about.sections.get('Trust it when', 'not stated') if about else 'not stated'}")
    with right:
        sites = "not stated" if data.domains is None else ", ".join(sorted({text.label(d) for d in data.domains if d is not None})[:8])
        groups = "not stated" if data.groups is None else f"{len(set(data.of(artifact.rows).groups)):,}"
        made = artifact.made_by
        st.markdown(f"**Learned from:** {len(artifact.rows):,} cases of {text.label(data.name)}  \n**Patients:** {groups}  \n**Sites or scanners:** {sites}  \n"
                    f"**Classes:** {', '.join(text.label(c, 20) for c in artifact.classes[:12]) or 'none used'}  \n"
                    f"**Made:** {text.label(made.created)} · seed {made.seed} · {text.label(made.device)} · version {text.label(made.version)}")  # fmt: skip
        if artifact.receipt:
            st.download_button("Receipt", json.dumps(artifact.receipt, indent=1), "receipt.json", "application/json", icon=":material/receipt_long:", key=f"receipt_{made.run}",
                               help="What was done to this model, on which cases, with which result. It is no proof and no certificate.")  # fmt: skip
        st.markdown("**Known failures:** not stated  \n**When to stop using it:** not stated")
