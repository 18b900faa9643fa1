"""Generated pictures that a person approved, as a ZIP file to train on."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from core.artifacts import Pairs
from core.data.dataset import Dataset
from core.errors import UserError
from core.export import safe_csv

ABOUT = """GENERATED: not patient data

{many} pictures with masks that a model made (method {method}, run {run}); no patient is behind any
of them. Each was approved by a person: manifest.csv says by whom and when, what it was asked to
show, and which training picture is most like it.

images/   8 bits a channel, 0 to 255 = {low:g} to {high:g} of the data they were learned from
masks/    255 = abnormal, one file for each of images/, of the same name

Use them for training only, beside real cases; never validate or test on them.
"""


def zip_approved(made: Pairs, data: Dataset, decided: dict[int, dict[str, Any]], run: str) -> bytes:
    """Return a ZIP of the approved pairs, PNG files whose names begin with GENERATED, and of a
    table about them.

    `decided`: see `core.workspace.notes.load_pair_decisions`. UserError where none is approved, or
    where pictures have other than one or three channels.
    """
    chosen = sorted(k for k, v in decided.items() if v["approved"] and k < len(made.image))
    if not chosen:
        raise UserError("None of the generated pictures is approved yet.")
    if made.image.shape[1] not in (1, 3):
        raise UserError(
            f"These pictures have {made.image.shape[1]} channels; only those of one or three can be"
            " written as PNG."
        )
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        for k in chosen:
            out.writestr(f"images/{name_of(k)}", _as_png(np.asarray(made.image[k])))
            out.writestr(f"masks/{name_of(k)}", _as_png(made.mask[k][None].astype("f4")))
        out.writestr("manifest.csv", safe_csv(manifest(made, data, decided, chosen)))
        low, high = data.input_range
        method = made.made_by.method
        words = ABOUT.format(many=len(chosen), method=method, run=run, low=low, high=high)
        out.writestr("README.txt", words)
    return held.getvalue()


def name_of(number: int) -> str:
    """Return the name of a file of pair `number`, counted from 0; on screen and in names from 1."""
    return f"GENERATED-{number + 1:04d}.png"


def manifest(
    made: Pairs, data: Dataset, decided: dict[int, dict[str, Any]], chosen: list[int]
) -> pd.DataFrame:
    """Return one line a chosen pair: what it was asked to show, who approved it, and what it is
    like.
    """
    prompts, there = made.prompts, set(data.rows.tolist())

    def called(row: int) -> str:
        return str(data.of(np.array([row])).names()[0]) if row in there else f"row {row}, excluded"

    lines = [
        {
            "file": name_of(k),
            "generated": True,
            "split": "train",  # for an import: never validate or test on them
            "prompt": prompts[k],
            "masked pixels": int(made.mask[k].sum()),
            "approved by": decided[k]["author"],
            "approved at": datetime.fromtimestamp(decided[k]["made"], UTC).isoformat(
                " ", "minutes"
            ),
            "nearest training picture": called(int(made.nearest[k])),
            "nearest abnormal training picture": called(int(made.closest[k])),
            "distance from it (1 = as usual between these)": round(float(made.distance[k]), 3),
        }
        for k in chosen
    ]
    return pd.DataFrame(lines)


def _as_png(image: np.ndarray) -> bytes:
    """Return a picture [1 or 3,S,S] in [0, 1] as an 8-bit PNG that says in its text what it is."""
    from PIL import Image, PngImagePlugin

    values = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(values[0] if len(values) == 1 else np.moveaxis(values, 0, -1))
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "GENERATED: not patient data")
    held = io.BytesIO()
    picture.save(held, "PNG", pnginfo=words)
    return held.getvalue()
