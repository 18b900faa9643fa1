"""What is seen before an import: a few pictures of what was brought, and the list of what is
removed, replaced and kept, which is accepted before anything comes in.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from app import state, text
from app.components import allowed
from app.panels import privacy
from core.data.identifying import describe_entries
from core.imaging import render
from core.jobs.import_preview import LOOK, describe_cost
from core.jobs.preview_pictures import STOPS
from core.workspace import notes

NAMED = "The first look"
ACCEPT = "Accept and import"
LINES = {
    "removed": (":material/delete:", "Removed"),
    "replaced": (":material/swap_horiz:", "Replaced"),
    "kept": (":material/draft:", "Kept"),
    "not removed": (":orange[:material/warning:]", "Not removed: look for yourself"),
}


@st.cache_data(max_entries=4, show_spinner="Looking at a few of the files")
def look(path: str, version: str, take: str, called: str) -> dict[str, Any]:
    """What the first look found; {"slow": why} when it was given up for time or memory, which the
    import may well have.
    """
    from core import sandbox
    from core.errors import UserError

    try:
        return sandbox.run(LOOK, Path(path), take, called, what=NAMED)
    except UserError as e:
        if str(e).startswith(NAMED):
            return {"slow": str(e)}
        raise


def forget() -> None:
    """Let go of what was looked at: pictures of patients stay in memory no longer than needed."""
    look.clear()


def pictures(seen: dict[str, Any]) -> None:
    """The pictures, two groups side by side, what is to be said of them, and what the look cost."""
    shown = seen.get("pictures", [])
    for at in range(0, len(shown), 2):
        for cell, one in zip(st.columns(2), shown[at : at + 2]):
            title = f"**{text.label(one['title'], 60)}** · " if one["title"] else ""
            cell.markdown(f"{title}{text.label(one['words'], 120)}")
            cell.image(render.encode_png(one["image"]), alt=text.plain(one["alt"], 120))
    for note in seen.get("notes", []):
        sign = ":orange[:material/error:]" if note.endswith(STOPS) else ":material/info:"
        st.caption(f"{sign} {text.label(note, 300)}")
    if cost := seen.get("cost"):
        st.caption(f":material/speed: {describe_cost(cost)}")


def names(seen: dict[str, Any]) -> None:
    """The names that files keep, folded away: whether they are names of people, who brings them
    knows best. DICOM files get new names, and their old ones are shown nowhere.
    """
    kept = seen.get("names", [])
    if not kept:
        return
    many = max(seen.get("files", 0), len(kept))
    with st.expander(f"Names that come in as they are ({text.counted(many, 'file')})"):
        st.dataframe(
            {"Name": [text.plain(name, 120) for name in kept]},
            hide_index=True,
            height=220,
            width="stretch",
        )
        more = f" The first {len(kept):,} are listed." if many > len(kept) else ""
        st.caption(
            "Are they called after people? Choose others, rename the files, and bring them again."
            + more
        )


def accept(entries: list[dict[str, str]], seen: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The list in four lines and whole, and the name of who accepts it by the press that imports;
    gives what the card keeps of that. Where something was found that stays in the pictures, a box
    asks whether that is known: None until it is ticked. Another list has another box.
    """
    st.markdown("**Before it comes in: what could say who somebody is**")
    for happens, words in describe_entries(entries).items():
        sign, name = LINES[happens]
        st.markdown(f"{sign} **{name}**: {text.label(words, 700)}.")
    if len(entries) > 6:
        with st.expander(f"The whole list, {len(entries):,} entries"):
            privacy.entries(entries)
    st.caption(
        f"{privacy.CAVEAT} “{ACCEPT}” accepts this list; it is kept with the data, with your name"
        " and the time."
    )
    staying = [e["what"] for e in entries if e["happens"] == "not removed" and e["found"]]
    known = True
    if staying:
        stamp = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:12]
        known = st.checkbox(
            f"I know that these files may show {text.label(' and '.join(staying), 200)}",
            key=f"known-{key}-{stamp}",
        )
    names(seen)
    author = allowed.author(
        st,
        "Your name",
        notes.load_author(state.workspace()),
        max_chars=60,
        placeholder="not said",
        key=f"accept-by-{key}",
        width=300,
    )
    if not known:
        return None
    return {
        "by": author,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "list": entries,
        "looked": describe_cost(seen["cost"]) if "cost" in seen else seen.get("slow", ""),
    }
