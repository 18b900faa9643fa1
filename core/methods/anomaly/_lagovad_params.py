"""Parameters of LaGoVAD, and what a list of definitions has to be."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

MOST = 12  # definitions of what is abnormal
LONGEST = 200  # letters of one


def split_definitions(words: str) -> list[str]:
    """Return the definitions in `words`, one a line or parted by semicolons, the first of what is
    normal; [] where there are none. ValueError, in a sentence, when they cannot be used.
    """
    found = [" ".join(line.split()) for line in re.split(r"[\n;]", words)]
    found = [line for line in found if line]
    if not found:
        return []
    if len(found) < 2:
        raise ValueError(
            "only what is normal is said; add at least one definition of what is abnormal on a line"
            " of its own"
        )
    if len(found) > MOST + 1:
        raise ValueError(
            f"{len(found) - 1} definitions of what is abnormal; at most {MOST} can be given at once"
        )
    long = [line for line in found if len(line) > LONGEST]
    if long:
        raise ValueError(
            f"the definition “{long[0][:40]}…” has {len(long[0])} letters; at most {LONGEST} are"
            " read"
        )
    empty = [line for line in found if not re.search(r"\w", line)]
    if empty:
        raise ValueError(f"the definition “{empty[0]}” has no word in it")
    twice = [line for i, line in enumerate(found) if line.lower() in map(str.lower, found[:i])]
    if twice:
        raise ValueError(f"“{twice[0]}” is given twice")
    return found


class LagovadParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(5, "Passes over the films put together of training frames.")
    batch_size: int = batch_param(16, "Films per step.", ge=4, le=512)
    learning_rate: float = rate_param(2e-3, "Largest step size of AdamW.")
    definitions: str = param(
        "",
        "What counts as abnormal, one definition a line or parted by semicolons: the first says"
        " what is normal, the others what is not (“normal; a three or a nine”). They can be changed"
        " after training. Empty: every class but the normal one, or the rarest where no class is"
        " known to be normal.",
        max_length=4000,
    )
    also: str = param(
        "",
        "Further columns whose words say what a frame shows, beside the label, parted by commas.",
    )
    steps: int = param(
        64,
        "Steps of a film that are looked at together; longer films are cut into parts.",
        unit="frames",
        ge=16,
        le=512,
        advanced=True,
    )
    layers: int = param(
        1, "Layers that look along the film, 12 frames to either side each.", ge=1, le=4
    )
    fusions: int = param(
        1, "Layers in which film and definitions attend to each other.", ge=1, le=4, advanced=True
    )
    synthesis: bool = param(
        True,
        "Put training films together of an abnormal part and normal ones, so that it takes a large"
        " share of some and a small one of others; off: parts by themselves.",
        advanced=True,
    )
    mining: bool = param(
        True,
        "Also tell a definition from the normal part of the film that meets it.",
        advanced=True,
    )
    encoder: Literal["small", "clip"] = param(
        "small",
        "What describes pictures and words: a small one of our own, or CLIP from a folder.",
        advanced=True,
    )
    clip_folder: str = param(
        "",
        "Folder of this machine that holds CLIP (config.json, model.safetensors, tokenizer.json).",
        advanced=True,
    )

    @field_validator("definitions")
    @classmethod
    def _readable(cls, words: str) -> str:
        split_definitions(words)
        return words
