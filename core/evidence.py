"""Stored results of the benchmarks: what the cards' figures come from."""

from __future__ import annotations

import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

from core import __version__
from core.settings import Settings
from core.store.files import make_folder, write_json

FOLDER = Path(__file__).parent.parent / "assets" / "evidence"
TARGET = "LIGHTBOX_EVIDENCE"


def shared() -> Path | None:
    """The folder of real open data (LIGHTBOX_SHARED, or `shared/data` beside the project); None where it is absent."""
    path = Path(os.environ.get("LIGHTBOX_SHARED", Path(__file__).parents[2] / "shared"))
    path = path / "data" if (path / "data").is_dir() else path
    return path if (path / "INDEX.md").exists() else None


def hardware() -> str:
    """The processor this ran on, in words: "2 CPU cores (x86_64)" or the GPU's name."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores ({platform.machine()})"


def is_checkout() -> bool:
    """Whether this is the project's source, whose own evidence may be replaced, and no installed package."""
    return (FOLDER.parents[1] / ".git").exists()


def target() -> Path:
    """Where benchmarks put what they measured: LIGHTBOX_EVIDENCE, else in a checkout its own evidence, else the workspace."""
    if given := os.environ.get(TARGET):
        return Path(given)
    return FOLDER if is_checkout() else Settings().home.expanduser() / "evidence"


def store(id: str, tables: list[dict[str, Any]]) -> None:
    """Write the benchmark's tables as evidence about method `id`, with date and hardware, to `target`."""
    folder = make_folder(target())
    made = {"date": date.today().isoformat(), "hardware": hardware(), "version": __version__}
    write_json(folder / f"{id}.json", {"method": id, "made": made, "tables": tables})


def load(id: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The stored evidence of method `id` in a folder (the cards' by default), or None when nobody has measured it."""
    path = folder / f"{id}.json"
    return json.loads(path.read_text()) if path.exists() else None
