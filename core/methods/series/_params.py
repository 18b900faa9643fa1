"""Parameters of the method “beta-VAE of signals, with symbols”."""

from __future__ import annotations

from core.params import TrainingParams, batch_param, epochs_param, param, rate_param


class BetaVAEScanParams(TrainingParams):
    """What a user sets."""

    epochs: int = epochs_param(40)
    batch_size: int = batch_param(64, ge=4)
    learning_rate: float = rate_param(3e-3, "Step size of Adam at the start; it falls to a tenth.")
    latent: int = param(8, "Latent dimension: how many axes the model may use.", ge=2, le=64)
    beta: float = param(
        4.0,
        "Weight of keeping the axes few and apart; larger: fewer axes, smoother signals, small"
        " waves may vanish.",
        ge=0,
        le=100,
    )
    also: str = param(
        "",
        "Further columns whose values become symbols beside the label, parted by commas;"
        " numbers become low and high at their median.",
    )
    least: int = param(5, "Symbols that fewer training cases bear are left out.", ge=2, le=100_000)
    width: int = param(
        16,
        "Channels of the first layer; later ones have up to four times as many.",
        ge=2,
        le=128,
        advanced=True,
    )
    tie: float = param(
        10.0,
        "Weight of tying a symbol to its cases; too small and every symbol stays at the prior.",
        gt=0,
        le=1000,
        advanced=True,
    )
    symbol_steps: int = param(
        600, "Steps of learning the symbols.", ge=10, le=20_000, advanced=True
    )
    shuffles: int = param(
        20,
        "Copies taught shuffled symbols, to tell what chance alone would fix.",
        ge=0,
        le=500,
        advanced=True,
    )
