"""What each column is, before the import: the guessed roles as a list that can be changed, and
which class is normal.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import text
from core.data.normal import guess_normal
from core.data.role_words import ROLES

WORDS = {
    "outcome": "what is known of each case, its label",
    "patient": "stays together in one part",
    "site": "hospital or scanner",
    "time": "a date; not learned from",
    "split": "train, validation, test",
    "input": "learned from",
    "left out": "kept beside, not learned from",
}
ONCE = ("outcome", "patient", "site", "split")  # roles that one column can have
TALL = 12  # columns that are shown without scrolling
NOT_SAID = ""
NONE = "none"


def choose(
    guesses: list[dict[str, Any]], head: pd.DataFrame, key: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The list of columns, doubtful guesses first; gives column -> role of those changed here, and
    of all.
    """
    ordered = in_order(guesses)
    doubtful = sum(is_doubtful(g) for g in ordered)
    st.markdown("**What each column is** · press a role to change it")
    if doubtful:
        st.caption(
            f":orange[:material/visibility:] {text.counted(doubtful, 'guess')} in doubt"
            f" stand{'s' if doubtful == 1 else ''} on top; please look."
        )
    shown = pd.DataFrame(
        {
            "Column": [g["column"] for g in ordered],
            "Role": [g["role"] for g in ordered],
            "How sure": [g["words"] for g in ordered],
            "Why": [g["why"] for g in ordered],
            "First values": [
                (
                    ", ".join(_short(v) for v in head[g["column"]].dropna().head(3))
                    if g["column"] in head
                    else ""
                )
                for g in ordered
            ],
        }
    )
    help = "\n\n".join(f"{role}: {words}" for role, words in WORDS.items())
    edited = st.data_editor(
        shown,
        key=key,
        hide_index=True,
        num_rows="fixed",
        width="stretch",
        disabled=["Column", "How sure", "Why", "First values"],
        height=36 * (min(len(shown), TALL) + 1) + 2,
        column_config={
            "Column": st.column_config.TextColumn(width="medium", pinned=True),
            "Role": st.column_config.SelectboxColumn(
                options=list(ROLES), required=True, help=help, width="small"
            ),
            "How sure": st.column_config.TextColumn(width="small"),
            "Why": st.column_config.TextColumn(width="large"),
        },
    )
    roles = dict(zip(edited["Column"], edited["Role"]))
    return {
        g["column"]: roles[g["column"]] for g in ordered if roles[g["column"]] != g["role"]
    }, roles


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else text.plain(value, 24)


def is_doubtful(guess: dict[str, Any]) -> bool:
    return str(guess["words"]).startswith("a guess")


def in_order(guesses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Doubtful guesses first, then those that are no inputs, then the inputs; each in the order of
    the file.
    """
    return sorted(guesses, key=lambda g: (not is_doubtful(g), g["role"] == "input"))


def clash(roles: dict[str, str]) -> str | None:
    """Why these roles cannot be, in a sentence: one that two columns have, or nothing to learn
    from.
    """
    for role in ONCE:
        both = [c for c, r in roles.items() if r == role]
        if len(both) > 1:
            return (
                f"“{both[0]}” and “{both[1]}” are both the {role}; only one column can be. Give one"
                " of them another role."
            )
    if "input" not in roles.values():
        return (
            "No column is left to learn from: each is left out or has another role. Give at least"
            " one column the role “input”."
        )
    return None


def odd_patients(roles: dict[str, str], classes: dict[str, list[str]]) -> str | None:
    """What is odd about the column of patients that was chosen: it holds two words only."""
    column = next((c for c, role in roles.items() if role == "patient"), None)
    words = classes.get(str(column), [])
    if len(words) != 2:
        return None
    return (
        f"“{column}” holds two values only, {words[0]} and {words[1]}: these are hardly patients,"
        " and one of them would be all of the training."
    )


def normal_class(classes: list[str], label: str, key: str) -> str:
    """Ask which class is normal; gives the class, "none" for no class, "" where the guess stands or
    nothing is said.
    """
    if not 2 <= len(classes) <= 50:
        return NOT_SAID
    found = guess_normal(classes, label)
    guessed = found[0] if found else NOT_SAID
    first = [guessed] if guessed else [NOT_SAID]
    options = [
        *first,
        *(c for c in classes if c != guessed),
        *([NONE] if NONE not in classes else []),
    ]
    said = {NOT_SAID: "not said", NONE: "no class is normal"}
    if guessed:
        said[guessed] = f"{text.plain(guessed, 40)} (a guess by its word)"
    chosen = st.selectbox(
        "Normal class",
        options,
        format_func=lambda c: said.get(c, text.plain(c, 40)),
        key=key,
        help=(
            "Methods that look for the unusual can learn from the normal cases alone, and how often"
            " an alarm is right is counted against the others."
        ),
    )
    return NOT_SAID if chosen == guessed else str(chosen)
