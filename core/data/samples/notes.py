"""Generated doctors' notes with known topics."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.samples.generated_card import generated_card
from core.data.splits import add_split

_TOPICS = {
    "heart": (
        "chest pain|heart failure|atrial fibrillation|blood pressure|coronary"
        " artery|murmur|troponin|ejection fraction|beta blocker|palpitations"
    ),
    "lung": (
        "cough|shortness of breath|asthma|pneumonia|sputum|wheeze|oxygen saturation|inhaler|pleural"
        " effusion|smoking history"
    ),
    "skin": (
        "itching rash|eczema|melanoma|red plaque|blister|psoriasis|mole|steroid cream|dry"
        " skin|scaling lesion"
    ),
}
_FRAMES = (
    "The patient was seen for {a}; {b} was noted and {c} was discussed.",
    "History of {a}. Today {b}, no {d}. Plan: {c}.",
    "We found {a} together with {b}, which speaks for {c}.",
    "Follow-up of {a}: {b} has improved, {c} continues.",
)


def notes(n: int = 300, seed: int = 11) -> Dataset:
    """Short made-up notes of three clinics; the words tell the clinic, one phrase in eight comes
    from another one.
    """
    rng, names, lines = np.random.default_rng(seed), list(_TOPICS), []
    for i in range(n):
        topic = names[i % 3]
        pick = [
            str(
                rng.choice(
                    _TOPICS[topic if rng.random() > 0.125 else names[int(rng.integers(3))]].split(
                        "|"
                    )
                )
            )
            for _ in range(8)
        ]
        words = [
            _FRAMES[int(rng.integers(4))].format(
                a=pick[4 * s], b=pick[4 * s + 1], c=pick[4 * s + 2], d=pick[4 * s + 3]
            )
            for s in range(2)
        ]
        lines.append(
            {"note": " ".join(words), "clinic": topic, "site": "east" if i % 2 else "west"}
        )
    table, roles, rule = add_split(
        pd.DataFrame(lines), {"text": "note", "label": "clinic", "domain": "site"}
    )
    return Dataset(
        "notes",
        "text",
        table,
        roles=roles,
        card=generated_card("Made-up notes of three clinics.", rule),
    )
