"""Parameters of the method “Fine-tuning of a language model (SUFO)”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class SUFOParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(8, "Passes over the training texts.", le=200)
    batch_size: int = batch_param(32, "Texts per step.", ge=4, le=512)
    learning_rate: float = rate_param(
        1e-3, "Largest step size of AdamW; a model that has learned before wants 3e-5."
    )
    model: str = param(
        "tiny",
        "“tiny” (a small BERT made here), “minilm”, a folder with a model of transformers, or a"
        " name in this machine's hub cache.",
    )
    longest: int = param(
        128,
        "Tokens read of each text; what is longer is cut, and the run says of how many texts.",
        ge=8,
        le=512,
    )
    frozen: int = param(
        0, "Layers, from the first, that stay as they were.", ge=0, le=48, advanced=True
    )
    hidden: int = param(64, "Width of the tiny model.", ge=16, le=512, advanced=True)
    layers: int = param(3, "Layers of the tiny model.", ge=1, le=12, advanced=True)
    vocabulary: int = param(
        3000, "Word pieces of the tiny model.", ge=100, le=50_000, advanced=True
    )
