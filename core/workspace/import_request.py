"""What an import was asked for: `request.json` in the job's folder until the import has ended,
never in the catalogue.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.io.files import remove, write_json

REQUEST = "request.json"


def write_request(
    folder: Path, path: Path, name: str | None, options: dict[str, Any], uploaded: Path | None
) -> None:
    """Write what the job in `folder` is to bring in. `uploaded`: a folder of our own that goes when
    the import has ended.
    """
    given = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
    write_json(
        folder / REQUEST,
        {"path": str(path), "name": name, "options": given, "uploaded": uploaded and str(uploaded)},
    )


def drop_request(folder: Path) -> None:
    """Remove what the job in `folder` was asked for, and its upload: its import has ended. Nothing
    where it was asked for no import.
    """
    place = folder / REQUEST
    try:
        uploaded = json.loads(place.read_text()).get("uploaded")
    except (OSError, ValueError):  # there is none, or it was cut off
        uploaded = None
    remove(place)
    if uploaded:
        remove(Path(uploaded))
