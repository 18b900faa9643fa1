"""The built-in samples: real small data that packages ship, and generated head slices with known
truth. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.normal import make_normal_entries
from core.data.samples.few_lesions import few_lesions
from core.data.samples.phantom import head_phantom
from core.data.splits import add_split
from core.errors import UserError


def digits() -> Dataset:
    """1,797 handwritten digits, 8x8 grey values 0..16, ten classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    table, roles, rule = add_split(
        pd.DataFrame({"digit": bunch.target.astype(str)}), {"label": "digit"}
    )
    card = {
        "source": (
            "UCI optical recognition of handwritten digits, test part, as shipped with scikit-learn"
        ),
        "licence": "CC BY 4.0",
        "synthetic": False,
        "about": (
            "Handwritten digits by 13 writers, 8 by 8 pixels. Small and quick: good for a first"
            " look."
        ),
        "split rule": rule,
    }
    return Dataset(
        "digits",
        "image",
        table,
        bunch.images[:, None].astype(np.uint8),
        roles=roles,
        input_range=(0, 16),
        card=card,
    )


def breast_cancer() -> Dataset:
    """569 fine-needle aspirates, 30 measurements of cell nuclei, benign or malignant."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    table = pd.DataFrame(bunch.data, columns=list(bunch.feature_names))
    table.insert(0, "diagnosis", np.array(bunch.target_names)[bunch.target])
    table, roles, rule = add_split(table, {"label": "diagnosis"})
    card = {
        "source": "Breast Cancer Wisconsin (Diagnostic), UCI, as shipped with scikit-learn",
        "licence": "CC BY 4.0",
        "synthetic": False,
        "about": "Measurements of cell nuclei in fine-needle aspirates of a breast mass.",
        "split rule": rule,
    }
    names = tuple(bunch.feature_names)
    return Dataset(
        "breast-cancer",
        "table",
        table,
        bunch.data.astype(np.float32),
        roles=roles,
        features=names,
        card=card,
    )


def tiny_scans() -> Dataset:
    """Return the slices of the small CT, MR and NIfTI files that pydicom and nibabel carry, read by
    our own readers, resized to 64x64.
    """
    from core.data.readers.dicom import package_files, read_scan
    from core.data.readers.image_decoding import fit_square

    pictures, lines = [], []
    for path, kind in package_files():
        for k, image in enumerate(read_scan(path)):
            if np.ptp(image) == 0:
                continue
            low, high = np.percentile(image, [0.5, 99.5])
            scaled = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
            pictures.append((fit_square(scaled, 64) * 255).astype(np.uint8)[None])
            lines.append({"file": path.name, "slice": k, "kind": kind})
    if not pictures:
        raise UserError(
            "The packages pydicom and nibabel carry no scans here; reinstall them to get this"
            " sample."
        )
    table, roles, rule = add_split(pd.DataFrame(lines), {"file": "file", "label": "kind"})
    card = {
        "source": "test files inside the packages pydicom and nibabel",
        "licence": "MIT",
        "synthetic": False,
        "split rule": rule,
        "about": "A handful of real slices, to see how scans look here. Too few to learn from.",
        "rules": [
            "each slice scaled from its 0.5th to its 99.5th percentile",
            "resized to 64 by 64, aspect kept, black padding",
        ],
    }
    return Dataset(
        "tiny-scans",
        "image",
        table,
        np.stack(pictures),
        roles=roles,
        input_range=(0, 255),
        card=card,
    )


SAMPLES: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "breast-cancer": breast_cancer,
    "head-phantom": head_phantom,
    "tiny-scans": tiny_scans,
    "few-lesions": few_lesions,
}


def make_sample(name: str) -> Dataset:
    """Return the built-in sample `name`, one of SAMPLES or of the generated ones of every kind.
    UserError when there is none of that name.
    """
    from core.data.samples.generated import GENERATED

    known = SAMPLES | GENERATED
    if name not in known:
        raise UserError(f"There is no sample “{name}” (there are: {', '.join(known)}).")
    data = known[name]()
    data.card.update(make_normal_entries(data))
    return data
