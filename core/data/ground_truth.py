"""What is known about which cases are abnormal."""

from __future__ import annotations

import numpy as np

from core.data.dataset import Dataset


def abnormal(data: Dataset) -> tuple[np.ndarray | None, str]:
    """bool [n] over `data.rows`, True = abnormal, and the rule in words; (None, why) when the truth is not known.

    With masks a case is abnormal when any pixel is marked. Otherwise every class but the normal one is abnormal (see `core.data.normal`), and where
    no class is known as normal but the training cases all belong to one, every other class. Cases of which it is not known stand as not abnormal
    here; `judged` tells them from the others.
    """
    marked = _marked(data)
    if marked is not None:
        return marked, "a case is abnormal when its mask marks anything"
    if data.normal:
        guessed = " (a guess by its word)" if data.card.get("normal guessed") else ""
        different = (data.labels >= 0) & (data.labels != data.classes.index(data.normal))
        if different.any() and not different.all():
            return different, f"abnormal = any class but “{data.normal}”, the normal one{guessed}"
    trained = np.unique(data.part("train").labels)
    trained = trained[trained >= 0]
    if len(trained) == 1 and len(data.classes) > 1:
        return (data.labels != trained[0]) & (data.labels >= 0), f"abnormal = any class but “{data.classes[int(trained[0])]}”, the only one trained on"
    if len(data.classes) > 1 and not data.normal:
        return None, "It is not said which class is normal, so how often it is right cannot be counted; name it on the Data page."
    return None, "Nothing says which cases are truly abnormal, so how often it is right cannot be counted."


def judged(data: Dataset) -> np.ndarray:
    """bool [n] over `data.rows`: cases of which it is known whether they are abnormal. Where masks tell, those
    whose mask is the truth (`Dataset.outlined`); else those with a label."""
    return data.outlined if _marked(data) is not None else data.labels >= 0


def _marked(data: Dataset) -> np.ndarray | None:
    """bool [n]: cases whose mask marks anything; None where masks do not part the cases they are the truth of."""
    if data.masks is None:
        return None
    parts = [np.arange(i, min(i + 512, len(data))) for i in range(0, len(data), 512)]
    marked = np.concatenate([data.mask(at).reshape(len(at), -1).any(1) for at in parts])
    known = marked[data.outlined]
    return marked & data.outlined if known.any() and not known.all() else None
