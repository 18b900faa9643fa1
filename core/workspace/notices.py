"""What the user of a workspace is told once."""

from __future__ import annotations

import json
from pathlib import Path

from core.io.files import remove, write_json

NOTICE = "notice.json"


def add_notice(home: Path, sentence: str) -> None:
    """Keep a sentence for the next person who looks."""
    write_json(home / NOTICE, [*_read_notices(home), sentence])


def take_notices(home: Path) -> list[str]:
    """Sentences that nobody has been told yet; each is given once."""
    found = _read_notices(home)
    if found:
        remove(home / NOTICE)
    return found


def add_rebuilt(home: Path, was: str, datasets: int, runs: int) -> None:
    """Tell that a catalogue, which `was` damaged or missing, was rebuilt."""
    add_notice(
        home,
        f"The catalogue of this workspace {was} and was rebuilt from the folders: {datasets}"
        f" dataset{'s' * (datasets != 1)}, {runs} run{'s' * (runs != 1)}.",
    )


def _read_notices(home: Path) -> list[str]:
    try:
        return [str(s) for s in json.loads((home / NOTICE).read_text())]
    except (OSError, ValueError):
        return []
