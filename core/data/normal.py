"""Which class is the normal one: guessed by its word, or told; and training on it alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.errors import UserError

ASIDE = "aside"  # the part of cases that a run neither learns from nor measures on
NORMAL = (
    "normal",
    "healthy",
    "control",
    "controls",
    "benign",
    "negative",
    "neg",
    "no finding",
    "no findings",
    "nofinding",
    "no disease",
    "not present",
    "absent",
    "unremarkable",
    "healthy control",
    "hc",
    "cn",
    "nc",
    "ctrl",
    "cognitively normal",
    "well",
    "inlier",
    "good",
    "gesund",
    "unauffaellig",
    "unauffällig",
    "no",
    "non",
    "none",
    "false",
    "n",
    "0",
    "0.0",
)
SURE = 25  # words of NORMAL before this place leave little doubt
# where yes or 1 is the good one
TURNED = {"survived", "survival", "alive", "healthy", "normal", "recovered", "remission", "benign"}


def guess_normal(classes: Sequence[str], label: str = "") -> tuple[str, str] | None:
    """Return the class that is normal by its word and the reason, or None. `label`: the column's
    name, which turns yes and no around where it is “survived” or the like.

    “0”, “no” and the like count only beside one other class; a word of health beside any number of
    classes.
    """
    plain = {c: re.sub(r"[\W_]+", " ", c.lower()).strip() for c in classes}
    if len(classes) < 2:
        return None
    turned = set(re.findall(r"[a-z]+", label.lower())) & TURNED
    if turned and len(classes) == 2:
        yes = [c for c, p in plain.items() if p in ("1", "yes", "true", "y", "1 0", *TURNED)]
        return (yes[0], f"“{label}” says so") if len(yes) == 1 else None
    for place, word in enumerate(NORMAL):
        found = [
            c
            for c, p in plain.items()
            if p == word
            or (place < SURE and p in (f"{word} control", f"{word} tissue", f"class {word}"))
        ]
        if len(found) == 1 and (place < SURE or len(classes) == 2):
            return found[0], f"by its word “{found[0]}”"
    return None


def make_normal_entries(data: Dataset, told: str = "") -> dict[str, Any]:
    """Return what a dataset's card keeps: "normal", the class, and "normal guessed", why it was
    taken to be that ("" = a person said so).

    Nothing where nobody said so and no word tells; `told` "none": no class is normal. UserError
    when `told` is no class.
    """
    if told == "none" and told not in data.classes:
        return {"normal": "", "normal guessed": ""}
    if told:
        return {"normal": check_class(data, told), "normal guessed": ""}
    found = (
        guess_normal(data.classes, data.roles.get("label", "")) if len(data.classes) <= 50 else None
    )
    return {} if found is None else {"normal": found[0], "normal guessed": found[1]}


def check_class(data: Dataset, value: str) -> str:
    """`value` as a class of the data. UserError when it is none."""
    if value not in data.classes:
        there = ", ".join(data.classes[:12]) or "none"
        raise UserError(
            f"“{value}” is not a class of “{data.name}” (there are: {there}), so it cannot be the"
            " normal one."
        )
    return value


def is_normal(data: Dataset, normal: str = "") -> np.ndarray:
    """`bool [n]`: cases of the class `normal` (the data's own normal class by default). UserError
    when it is not known.
    """
    normal = normal or data.normal
    if normal not in data.classes:
        raise UserError(
            f"It is not known which class of “{data.name}” is normal; say so on the Data page, or"
            f" by `lightbox data normal {data.name!r} VALUE`."
        )
    return data.labels == data.classes.index(normal)


def keep_normal_only(data: Dataset, normal: str = "") -> Dataset:
    """Return the same rows, of which only normal ones remain in the train and validation parts; the
    others of these two parts stand aside: they are scored, but nothing is learned or chosen on
    them.

    Raises UserError when the normal class is not known, the data is not split, or no normal case is
    in the train part.
    """
    if "split" not in data.roles:
        raise UserError(
            f"“{data.name}” is not split into parts, so none can be kept to its normal cases."
        )
    well = is_normal(data, normal)
    away = ~well & np.isin(data.splits, ["train", "val"])
    if not (well & (data.splits == "train")).any():
        raise UserError(
            f"No case of the train part is “{normal or data.normal}”, so there is nothing normal to"
            " learn from."
        )
    table = data.table.copy(deep=False)
    column = data.roles["split"]
    parts = table[column].astype(object).to_numpy(copy=True)
    parts[data.rows[away]] = ASIDE
    table[column] = parts
    return replace(data, table=table)
