"""What is known about which cases are abnormal."""

from __future__ import annotations

import numpy as np

from core.data.dataset import Dataset


def abnormal(data: Dataset) -> tuple[np.ndarray | None, str]:
    """bool [n] over `data.rows`, True = abnormal, and the rule in words; (None, why) when the truth is not known.

    With masks a case is abnormal when any pixel is marked. Otherwise every class but the normal one is abnormal (see `core.data.normal`), and where
    no class is known as normal but the training cases all belong to one, every other class. Cases without a label count as not abnormal.
    """
    if data.masks is not None:
        marked = np.concatenate([data.mask(np.arange(i, min(i + 512, len(data)))).reshape(min(512, len(data) - i), -1).any(1) for i in range(0, len(data), 512)])
        if marked.any() and not marked.all():
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
