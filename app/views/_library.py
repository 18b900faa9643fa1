"""Cards of methods and measures, with the stored evidence as dots and intervals."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.palette import OKABE_ITO
from core import registry
from core.artifacts.tables import KINDS
from core.cards import HEADINGS, card
from core.describe import method_json
from core.evidence import load


def methods(find: str) -> None:
    """Method cards that match the search."""
    shown, last = 0, None
    for id, kind in sorted(registry.methods().items(), key=lambda m: registry.purpose(m[1])):
        about = card(id)
        words = " ".join([id, kind.title, kind.family, *(about.sections.values() if about else [])]).lower()
        if find.lower() not in words:
            continue
        shown += 1
        if kind.family != last:
            st.caption(registry.PURPOSES.get(kind.family, kind.family))
            last = kind.family
        answers = f" · {text.label(about.sections.get('Answers', ''), 110)}" if about else ""
        with st.expander(f"**{kind.title}**{answers}"):
            left, right = st.columns([3, 2], gap="large")
            with left:
                for heading in HEADINGS if about else ():
                    st.markdown(f"**{heading}.** {about.sections.get(heading, 'not stated')}")  # type: ignore[union-attr]
                if about:
                    st.caption(f"{text.label(about.reference, 400)}  \n{text.label(about.licence, 200)}")
                takes = kind.takes
                needs = [w for w, n in (("labels", takes.labels), ("masks", takes.masks), ("patients", takes.groups), ("sites", takes.domains)) if n == "needed"]
                number = f", system {kind.seed_number:02d} of the published ones" if kind.seed_number else ", a classic tool"
                st.caption(f"On the command line: {text.label(id)}{number}. Takes {', '.join(takes.modalities)}" + (f"; needs {', '.join(needs)}" if needs else "") + (f"; builds on an earlier run's {takes.on[0]}" if takes.on else "")
                           + f". Gives {', '.join(t.__name__ for t in kind.gives)}.")  # fmt: skip
                params = method_json(kind)["params"]
                if params:
                    st.dataframe(pd.DataFrame([{"parameter": k, "default": str(v.get("default")), "from": v.get("min", v.get("above")), "to": v.get("max", v.get("below")),
                                                "help": v.get("help")} for k, v in params.items()]), hide_index=True, width="stretch")  # fmt: skip
            with right:
                evidence(id)
    if not shown:
        st.caption("Nothing matches.")


def evidence(id: str) -> None:
    """The stored tables of a method; says so when nobody has measured it."""
    found = load(id)
    if found is None:
        st.caption("Not measured yet.")
        return
    for k, table in enumerate(found["tables"]):
        st.markdown(f"**{text.label(table['title'], 120)}**")
        st.plotly_chart(_dots(table), key=f"evidence-{id}-{k}", config={"displayModeBar": False})
        st.markdown(f"*{text.label(table['verdict'], 400)}*")
        st.caption(text.label(f"{table['data']}, {table['split']}, n = {table['n']}, seeds {', '.join(map(str, table['seeds']))}", 200))
    made = found["made"]
    st.caption(text.label(f"Measured {made['date']} on {made['hardware']}, version {made['version']}.", 200))


def _dots(table: dict[str, Any]) -> go.Figure:
    rows = table["rows"]
    middle = [r["value"] for r in rows]
    figure = go.Figure(go.Scatter(
        x=middle, y=[text.chart(r["name"], 34) for r in rows], mode="markers", marker={"size": 11, "color": [OKABE_ITO[0], *[OKABE_ITO[1]] * (len(rows) - 1)],
        "symbol": ["diamond", *["circle"] * (len(rows) - 1)]},
        error_x={"type": "data", "symmetric": False, "array": [(r["high"] if r.get("high") is not None else r["value"]) - r["value"] for r in rows],
                 "arrayminus": [r["value"] - (r["low"] if r.get("low") is not None else r["value"]) for r in rows]},
    ))  # fmt: skip
    better = "higher is better" if table["higher_is_better"] else "lower is better"
    bars = " and ".join(dict.fromkeys(f"bars: {KINDS[r['kind']]}" for r in rows if r.get("kind") and r.get("low") is not None))
    better += f"; {bars}" if bars else ""
    figure.update_layout(height=80 + 28 * len(rows), margin={"l": 10, "r": 10, "t": 6, "b": 10}, xaxis_title=f"{text.chart(table['measure'], 40)} ({better})",
                         yaxis={"autorange": "reversed", "automargin": True})  # fmt: skip
    return figure


def measures(find: str) -> None:
    """Measures with what they say; those of the published systems have a card and figures of their own."""
    for id, one in registry.measures().items():
        about = card(id)
        if find.lower() not in " ".join([id, one.title, one.help, *(about.sections.values() if about else [])]).lower():
            continue
        number = f" · system {one.seed_number:02d} of the published ones" if one.seed_number else ""
        needs = ", ".join([*(t.__name__ for t in one.takes), *(["labels"] if one.labels else []), *(["masks"] if one.masks else [])])
        if about is None:
            st.markdown(f"**{one.title}** · {id}{number}  \n{one.help}  \nNeeds {needs}.")
            continue
        with st.expander(f"**{one.title}** · {text.label(about.sections.get('Answers', ''), 110)}"):
            left, right = st.columns([3, 2], gap="large")
            with left:
                for heading in HEADINGS:
                    st.markdown(f"**{heading}.** {about.sections.get(heading, 'not stated')}")
                st.caption(f"{text.label(about.reference, 400)}  \n{text.label(about.licence, 200)}")
                st.caption(f"On the command line: {text.label(id)}{number}. Needs {needs}.")
            with right:
                evidence(id)
