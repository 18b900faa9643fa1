"""Cards: what a method answers, when to trust it, in words for everyone. `assets/cards/<id>.md`, or
beside a plug-in's own file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HEADINGS = ("Answers", "Trust it when", "Do not use when", "How to read it", "What we changed")
FOLDER = Path(__file__).parent.parent / "assets" / "cards"


@dataclass(frozen=True)
class Card:
    """A method's card; `sections` holds the five paragraphs by heading."""

    id: str
    title: str
    reference: str
    licence: str
    data: str
    sections: dict[str, str]


def load_card(id: str) -> Card | None:
    """Return the card of method `id`; None when nobody has written one."""
    folders = [
        FOLDER,
        *(Path(f) for f in filter(None, os.environ.get("LIGHTBOX_METHODS", "").split(os.pathsep))),
    ]
    path = next((f / f"{id}.md" for f in folders if (f / f"{id}.md").exists()), None)
    return None if path is None else parse_card(id, path.read_text(encoding="utf-8"))


def parse_card(id: str, words: str) -> Card:
    """Read front matter and headings. Raises ValueError for a card without front matter."""
    _, front, body = words.split("---\n", 2)
    facts = {
        k.strip(): v.strip()
        for k, _, v in (line.partition(":") for line in front.splitlines())
        if k.strip()
    }
    parts = [p.partition("\n") for p in ("\n" + body).split("\n## ")[1:]]
    sections = {head.strip(): " ".join(text.split()) for head, _, text in parts}
    return Card(
        id,
        facts.get("title", id),
        facts.get("reference", ""),
        facts.get("licence", ""),
        facts.get("data", ""),
        sections,
    )
