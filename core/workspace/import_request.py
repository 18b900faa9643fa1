"""What an import was asked for: `request.json` in the job's folder until the import has ended,
never in the catalogue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.io.files import write_json

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
