"""Parameters of the method “Attenuate what was not hidden (FADeR)”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class FADeRParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(
        4, "Passes over the normal training pictures; then as many over the worst fifth."
    )
    batch_size: int = batch_param(32, "Pictures per step, each once more with a part pasted in.")
    learning_rate: float = rate_param(1e-2)
    strength: float = param(
        1.0, "How far the gates act: 0 = not at all, as the earlier run has it.", ge=0, le=1
    )
    cost: float = param(
        0.08,
        "By what share the gates may raise the error on normal validation pictures; gates that cost"
        " more are opened until they do not.",
        ge=0,
        le=10,
    )
    keep: float = param(
        0.1, "Weight of letting all of a normal picture through.", ge=0, le=10, advanced=True
    )
    redraw: float = param(
        10.0, "Weight of what is redrawn beside that of the gates.", ge=0, le=1000, advanced=True
    )
    rare: float = param(
        10.0,
        "How many times a place that should be shut counts as much as one that should not.",
        ge=1,
        le=1000,
        advanced=True,
    )
    healthy: float = param(
        0.995,
        "Share of normal validation pixels that must lie below the pixel threshold.",
        ge=0.9,
        le=0.99999,
        advanced=True,
    )
