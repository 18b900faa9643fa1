"""The story: views pinned in order with a caption each, frozen as pictures with the stamp of what
made them.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core import __version__
from core.errors import UserError
from core.io.files import write_bytes, write_json
from core.workspace.workspace import Workspace


@dataclass(frozen=True)
class Pin:
    """One frozen view. `facts` is its stamp: data, data hash, run, method, seed, date, version and
    what the view adds.
    """

    id: str
    caption: str
    notes: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """The stamp as one line."""
        return " · ".join(f"{k} {v}" for k, v in self.facts.items() if v not in ("", None))


def load_pins(ws: Workspace) -> list[Pin]:
    """Return the pins in their order."""
    path = ws.home / "stories" / "story.json"
    return [Pin(**p) for p in json.loads(path.read_text())] if path.exists() else []


def is_outdated(ws: Workspace, pin: Pin) -> bool:
    """Whether other cases were in use when the view was frozen: its picture may show cases that are
    excluded by now.
    """
    name = next(
        (e["name"] for e in ws.catalogue.datasets() if e["name"] == pin.facts.get("data")), None
    )
    return (
        name is not None
        and "data hash" in pin.facts
        and not ws.data_hash(name).startswith(pin.facts["data hash"])
    )


OUTDATED = (
    "Pinned before cases were excluded or brought back: the picture may show excluded cases. Pin"
    " the view again."
)


def _write(ws: Workspace, story: list[Pin]) -> None:
    write_json(ws.home / "stories" / "story.json", [asdict(p) for p in story])


def add_pin(ws: Workspace, png: bytes, caption: str, facts: dict[str, Any]) -> Pin:
    """Freeze a picture at the end of the story. UserError when it is no PNG."""
    ws.permit("annotate", "story: a view added")
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise UserError("This view gave no picture to pin.")
    pin = Pin(
        uuid.uuid4().hex[:10],
        " ".join(caption.split())[:300] or "Untitled",
        "",
        facts | {"date": time.strftime("%Y-%m-%d %H:%M"), "version": __version__},
    )
    write_bytes(picture_path(ws, pin.id), png)
    _write(ws, [*load_pins(ws), pin])
    return pin


def picture_path(ws: Workspace, id: str) -> Any:
    """Where the frozen picture of a pin lies."""
    if not id.isalnum():
        raise UserError("There is no such pin.")
    return ws.home / "stories" / f"{id}.png"


def change_pin(
    ws: Workspace, id: str, caption: str | None = None, notes: str | None = None
) -> None:
    """Reword a pin's caption or notes."""
    ws.permit("annotate", f"story: pin {picture_path(ws, id).stem} reworded")
    new: dict[str, Any] = {
        k: v.strip()[:2000] for k, v in (("caption", caption), ("notes", notes)) if v is not None
    }
    _write(ws, [replace(p, **new) if p.id == id else p for p in load_pins(ws)])


def move_pin(ws: Workspace, id: str, by: int) -> None:
    """Move a pin up (negative) or down; stops at the ends."""
    ws.permit("annotate", f"story: pin {picture_path(ws, id).stem} moved")
    story = load_pins(ws)
    at = next((i for i, p in enumerate(story) if p.id == id), None)
    if at is not None:
        pin = story.pop(at)
        story.insert(max(0, min(len(story), at + by)), pin)
        _write(ws, story)


def remove_pin(ws: Workspace, id: str) -> Pin | None:
    """Take a pin out; its picture is kept so that `restore_pin` can bring it back."""
    ws.permit("annotate", f"story: pin {picture_path(ws, id).stem} removed")
    story = load_pins(ws)
    gone = next((p for p in story if p.id == id), None)
    _write(ws, [p for p in story if p.id != id])
    return gone


def restore_pin(ws: Workspace, pin: Pin) -> None:
    """Bring a removed pin back, at the end."""
    ws.permit("annotate", f"story: pin {pin.id} brought back")
    if all(p.id != pin.id for p in load_pins(ws)):
        _write(ws, [*load_pins(ws), pin])
