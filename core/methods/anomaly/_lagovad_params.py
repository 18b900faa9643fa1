"""Parameters of LaGoVAD."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from core.artifacts.definitions import split_definitions
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class LagovadParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(8, "Passes over the films put together of training frames.")
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
