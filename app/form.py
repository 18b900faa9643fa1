"""A method's parameters as widgets: bounds, choices, units and help come from its Params, so the
form is never written by hand.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import text
from core.data.dataset import Dataset
from core.json_output import param_json
from core.method import Method

MOST_GROUPS = 200  # a column with more values does not name groups


def form(kind: type[Method], start: dict[str, Any], key: str, data: Dataset) -> dict[str, Any]:
    """Draw every parameter that this data has a use for, the advanced ones folded away; gives the
    values of all. `start` holds the preset's values, `data` the columns to choose from.
    """
    about = {name: param_json(kind, name) for name in kind.Params.model_fields}
    values = {name: start.get(name, about[name].get("default")) for name in about}
    shown = [name for name in about if about[name].get("only", data.modality) == data.modality]
    plain = [name for name in shown if not about[name].get("advanced")]
    columns = st.columns(2)
    for i, name in enumerate(plain):
        with columns[i % 2]:
            values[name] = _widget(name, about[name], values[name], f"{key}-{name}", data)
    rest = [name for name in shown if name not in plain]
    if rest:
        with st.expander(f"Advanced ({len(rest)})"):
            columns = st.columns(2)
            for i, name in enumerate(rest):
                with columns[i % 2]:
                    values[name] = _widget(name, about[name], values[name], f"{key}-{name}", data)
    return values


def _widget(name: str, about: dict[str, Any], value: Any, key: str, data: Dataset) -> Any:
    title = text.label(
        name.replace("_", " ") + (f" ({about['unit']})" if about.get("unit") else "")
    )
    low, high = about.get("min", about.get("above")), about.get("max", about.get("below"))
    bounds = f" From {low:g} to {high:g}." if low is not None and high is not None else ""
    help = text.label(about.get("help", "") + bounds, 400)
    if about.get("column"):
        names = [str(c) for c in data.table.columns if 1 < data.table[c].nunique() <= MOST_GROUPS]
        return st.selectbox(
            title,
            ["", *names],
            format_func=lambda c: text.plain(c) if c else "—",
            key=key,
            help=help,
        )
    if about.get("choices"):
        return st.selectbox(
            title, about["choices"], about["choices"].index(value), key=key, help=help
        )
    if about.get("type") == "boolean":
        return st.toggle(title, bool(value), key=key, help=help)
    if about.get("type") == "integer":
        return st.number_input(title, low, high, int(value), 1, key=key, help=help)
    if about.get("type") == "number":
        return st.number_input(
            title,
            float(low) if low is not None else None,
            float(high) if high is not None else None,
            float(value),
            key=key,
            help=help,
            format="%.4g",
            step=None,
        )
    return st.text_input(
        title, "" if value is None else str(value), key=key, help=help, max_chars=400
    )
