"""What is known about which cases are abnormal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.data.dataset import Dataset


class GroundTruth(NamedTuple):
    """What is known of the cases of a dataset.

    `abnormal`: bool [n] over `data.rows`, True = abnormal; None when the truth is not known.
    `judged`: bool [n], cases of which it is known; the others stand as not abnormal. `rule`: how it
    is told, or why not, in words.
    """

    abnormal: np.ndarray | None
    judged: np.ndarray
    rule: str


def find_ground_truth(data: Dataset) -> GroundTruth:
    """Return what is known about which cases are abnormal. Cost: reads every mask once.

    With masks a case is abnormal when any pixel is marked, and judged when its mask is the truth
    (`Dataset.outlined`). Otherwise every class but the normal one is abnormal (see
    `core.data.normal`), and where no class is known as normal but the training cases all belong to
    one, every other class; cases with a label are judged.
    """
    marked = _find_marked(data)
    if marked is not None:
        return GroundTruth(marked, data.outlined, "a case is abnormal when its mask marks anything")
    labelled = data.labels >= 0
    if data.normal:
        guessed = " (a guess by its word)" if data.card.get("normal guessed") else ""
        different = labelled & (data.labels != data.classes.index(data.normal))
        if different.any() and not different.all():
            return GroundTruth(
                different,
                labelled,
                f"abnormal = any class but “{data.normal}”, the normal one{guessed}",
            )
    trained = np.unique(data.part("train").labels)
    trained = trained[trained >= 0]
    if len(trained) == 1 and len(data.classes) > 1:
        rule = (
            f"abnormal = any class but “{data.classes[int(trained[0])]}”, the only one trained on"
        )
        return GroundTruth((data.labels != trained[0]) & labelled, labelled, rule)
    if len(data.classes) > 1 and not data.normal:
        return GroundTruth(
            None,
            labelled,
            "It is not said which class is normal, so how often it is right cannot be counted; name"
            " it on the Data page.",
        )
    return GroundTruth(
        None,
        labelled,
        "Nothing says which cases are truly abnormal, so how often it is right cannot be counted.",
    )


def find_abnormal(data: Dataset) -> tuple[np.ndarray | None, str]:
    """(abnormal, rule) of `find_ground_truth`."""
    found = find_ground_truth(data)
    return found.abnormal, found.rule


def _find_marked(data: Dataset) -> np.ndarray | None:
    """`bool [n]`: cases whose mask marks anything; None where masks do not part the cases they are
    the truth of.
    """
    if data.masks is None:
        return None
    parts = [np.arange(i, min(i + 512, len(data))) for i in range(0, len(data), 512)]
    marked = np.concatenate([data.mask(at).reshape(len(at), -1).any(1) for at in parts])
    known = marked[data.outlined]
    return marked & data.outlined if known.any() and not known.all() else None
