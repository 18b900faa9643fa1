"""StableAdamW: AdamW with AMSGrad whose steps are made smaller where gradients are larger than they
were of late (Wortsman, Dettmers, Zettlemoyer, Morcos, Farhadi, Schmidt, Stable and low-precision
training for large-scale vision-language models, NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class StableAdamW(torch.optim.Optimizer):
    """A weight's step is divided by max(1, RMS(g / d)), d the square root of the mean square of its
    gradients; decay is apart from the gradient. All counts are tensors, so a step can be recorded.
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-10,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
        return loss

    def _move(self, weight: torch.nn.Parameter, group: dict[str, Any]) -> None:
        g, (b1, b2), state = weight.grad, group["betas"], self.state[weight]
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            for name in ("mean", "square", "largest"):
                state[name] = torch.zeros_like(weight)
        state["step"] += 1
        state["mean"].lerp_(g, 1 - b1)
        state["square"].mul_(b2).addcmul_(g, g, value=1 - b2)
        torch.maximum(state["largest"], state["square"], out=state["largest"])
        of_mean, of_square = 1 - b1 ** state["step"], 1 - b2 ** state["step"]
        usual = (state["largest"] / of_square).sqrt_().add_(group["eps"])
        rate = group["lr"] / (g / usual).square().mean().sqrt().clamp(min=1)
        weight.mul_(1 - rate * group["weight_decay"])
        weight.sub_(rate * state["mean"] / of_mean / usual)
