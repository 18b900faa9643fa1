"""What an optimiser is told of the device its weights are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def suit_device(optimiser: torch.optim.Optimizer) -> None:
    """Have `optimiser` compute as its weights' device is fastest: on a GPU in one fused call, with
    step sizes and counts kept there, so that its step can be recorded (`core.training.graphs`);
    elsewhere as torch does by itself.

    For an optimiser of either kind: one that is new, and one whose state was saved on another
    device. Trap: a fused step takes the numbers of weight and state in the order in which they lie
    in memory, and a state that was read back lies in the usual order, not in that of its weight.
    """
    import torch

    for group in optimiser.param_groups:
        device = group["params"][0].device
        there = device.type == "cuda"
        for switch in ("fused", "capturable"):
            if switch in group:
                group[switch] = there
        rate = group["lr"]
        if there and not isinstance(rate, torch.Tensor):
            group["lr"] = torch.tensor(float(rate), device=device)
        elif not there:
            group["lr"] = float(rate)
        for weight in group["params"]:
            state = optimiser.state.get(weight, {})
            for name, value in state.items():
                if not isinstance(value, torch.Tensor):
                    continue
                if name == "step":
                    state[name] = value.to(device, torch.float32)
                elif there and value.shape == weight.shape:
                    state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
