"""The generators of random numbers that a training step may draw from, as states to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.training.run import Run


def generator_states(run: Run) -> dict[str, Any]:
    """Return the states of numpy's generator of `run` ("numpy", nested plain values) and of torch's
    ("torch", and "gpu" of the GPU it computes on, else None; uint8 tensors).
    """
    import torch

    there = run.where.type == "cuda"
    return {
        "numpy": run.rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "gpu": torch.cuda.get_rng_state(run.where) if there else None,
    }


def set_generator_states(run: Run, states: dict[str, Any]) -> None:
    """Give all generators the states that `generator_states` gave, on whatever device."""
    import torch

    run.rng.bit_generator.state = states["numpy"]
    torch.set_rng_state(states["torch"])
    if states["gpu"] is not None and run.where.type == "cuda":
        torch.cuda.set_rng_state(states["gpu"], run.where)
