"""What each column is, before the import: the guessed roles as chips that can be changed, and which
class is normal.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
import streamlit as st

from app import state, text
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
COMES_IN = {"keep": "as it is", "remove": "removed", "replace": "with new names"}
FATE_HELP = "\n\n".join(
    (
        "as it is: values are stored as they are",
        "removed: nothing of the column is stored",
        "with new names: each value gets a name made with this workspace's key, the same in every"
        " import",
    )
)
ONCE = ("outcome", "patient", "site", "split")  # roles that one column can have
CHIPS = 40  # columns whose roles are chips; of more the list holds them
ICONS = {
    "outcome": "label",
    "patient": "person",
    "site": "home_health",
    "time": "calendar_today",
    "split": "call_split",
    "input": "input",
    "left out": "block",
}
TALL = 12  # columns that are shown without scrolling
NOT_SAID = ""
NONE = "none"


def choose(
    guesses: list[dict[str, Any]],
    head: pd.DataFrame,
    key: str,
    people: list[dict[str, Any]] | None = None,
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The columns' roles as chips (in the list, where there are more than `CHIPS`) and the list of
    columns, those that may name people and doubtful guesses first; gives column -> role of those
    changed here, column -> role of all, and column -> fate of those that do not come
    in as they are. `people`: see `core.data.identifying.list_columns`.
    """
    of_people = {c["column"]: c for c in people or []}
    ordered = in_order(guesses, [c for c, p in of_people.items() if p["fate"] != "keep"])
    doubtful = sum(is_doubtful(g) for g in ordered)
    named = sum(p["fate"] != "keep" for p in of_people.values())
    st.markdown("**What each column is** · press one to change its role")
    if doubtful:
        st.caption(
            f":orange[:material/visibility:] {text.counted(doubtful, 'guess')} in doubt"
            f" stand{'s' if doubtful == 1 else ''} on top; please look."
        )
    if named:
        st.caption(
            f":orange[:material/shield_person:] {text.counted(named, 'column')} seem"
            f"{'s' if named == 1 else ''} to name people: removed or given new names unless you"
            " say otherwise under “Comes in”."
        )
    chips = _chips(ordered, key) if len(ordered) <= CHIPS else None
    shown = pd.DataFrame(
        {
            "Column": [g["column"] for g in ordered],
            "Role": [g["role"] for g in ordered],
            "Comes in": [
                COMES_IN[of_people.get(g["column"], {"fate": "keep"})["fate"]] for g in ordered
            ],
            "How sure": [g["words"] for g in ordered],
            "Why": [
                "; ".join(
                    [
                        *([of_people[g["column"]]["why"]] if g["column"] in of_people else []),
                        g["why"],
                    ]
                )
                for g in ordered
            ],
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
        shown if chips is None else shown.drop(columns="Role"),
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
            "Comes in": st.column_config.SelectboxColumn(
                options=list(COMES_IN.values()), required=True, help=FATE_HELP, width=130
            ),
            "How sure": st.column_config.TextColumn(width="small"),
            "Why": st.column_config.TextColumn(width="large"),
        },
    )
    roles = dict(zip(edited["Column"], edited["Role"])) if chips is None else chips
    fates = _fates(edited)
    for column in fates:  # what does not come in as it is, is not learned from
        if roles[column] == "input":
            roles[column] = "left out"
    changed = {g["column"]: roles[g["column"]] for g in ordered if roles[g["column"]] != g["role"]}
    changed = {c: role for c, role in changed.items() if fates.get(c) != "remove"}
    return changed, roles, fates


def _chips(ordered: list[dict[str, Any]], key: str) -> dict[str, str]:
    """A chip a column with its role, which a press changes; gives column -> role."""
    said = state.value(f"{key}-said") or {}
    roles = {g["column"]: said.get(g["column"], g["role"]) for g in ordered}
    with st.container(horizontal=True, gap="small", key=f"chips-{key}"):
        for at, guess in enumerate(ordered):
            column, role = guess["column"], roles[guess["column"]]
            doubt = is_doubtful(guess) and column not in said
            st.menu_button(
                f"**{text.label(column, 30)}** · {role}{' ?' if doubt else ''}",
                list(ROLES),
                key=f"chip-{key}-{at}",
                icon=f":material/{ICONS[role]}:",
                format_func=lambda r: f"{r}: {WORDS[r]}",
                on_click=_press,
                args=(key, at, column),
                help=text.label(f"{guess['words']}: {guess['why']}", 200),
            )
    return roles


def _press(key: str, at: int, column: str) -> None:
    if chosen := st.session_state.get(f"chip-{key}-{at}"):
        said = state.value(f"{key}-said") or {}
        state.set_value(f"{key}-said", {**said, column: chosen})


def _fates(edited: pd.DataFrame) -> dict[str, str]:
    """Column -> fate of the rows that do not come in as they are."""
    back = {words: fate for fate, words in COMES_IN.items()}
    chosen = zip(edited["Column"], edited["Comes in"])
    return {c: back[words] for c, words in chosen if back[words] != "keep"}


def choose_fates(people: list[dict[str, Any]], key: str) -> dict[str, str]:
    """Ask what becomes of columns beside pictures, scans or signals that may name people; gives
    column -> fate of those that do not come in as they are. Nothing is drawn where there are none.
    """
    if not people:
        return {}
    st.markdown("**Columns that may name people**")
    edited = st.data_editor(
        pd.DataFrame(
            {
                "Column": [p["column"] for p in people],
                "Comes in": [COMES_IN[p["fate"]] for p in people],
                "Why": [p["why"] for p in people],
            }
        ),
        key=key,
        hide_index=True,
        num_rows="fixed",
        width="stretch",
        disabled=["Column", "Why"],
        height=36 * (min(len(people), TALL) + 1) + 2,
        column_config={
            "Comes in": st.column_config.SelectboxColumn(
                options=list(COMES_IN.values()), required=True, help=FATE_HELP, width="small"
            ),
        },
    )
    return _fates(edited)


def clash_of_fates(roles: dict[str, str], fates: dict[str, str]) -> str | None:
    """Why these columns cannot be removed or renamed, in a sentence."""
    for column, fate in fates.items():
        role = roles[column]
        if fate == "remove" and role in ("outcome", "patient", "site", "split"):
            return (
                f"“{column}” is the {role} and cannot be removed: let it come in with new names, or"
                " give it another role."
            )
        if fate == "replace" and role in ("outcome", "split", "time"):
            return (
                f"“{column}” is the {role}: with new names it would say nothing; keep it as it is."
            )
    return None


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else text.plain(value, 24)


def is_doubtful(guess: dict[str, Any]) -> bool:
    return str(guess["words"]).startswith("a guess")


def in_order(guesses: list[dict[str, Any]], first: Collection[str] = ()) -> list[dict[str, Any]]:
    """The columns `first`, then doubtful guesses, then those that are no inputs, then the inputs;
    each in the order of the file.
    """
    return sorted(
        guesses,
        key=lambda g: (g["column"] not in first, not is_doubtful(g), g["role"] == "input"),
    )


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
