"""DINOv2 (Oquab and others 2023), with or without registers, as a frozen encoder: from a folder of
this machine, through transformers.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pictures it was trained on


class Dino(nn.Module):
    """forward(pictures [b,C,S,S] in [0, 1]) -> the tokens [b,extra+N,dim] after each of its `taps`:
    eight blocks in the middle of a network of twelve or more, as Dinomaly takes them, else all but
    the first and the last.

    Pictures that are not of three channels are shown as the mean of their channels, at the nearest
    multiple of a patch. `extra` tokens (class, registers) stand first.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        config = model.config
        self.model, self.config = model.eval().requires_grad_(False), config.to_json_string(False)
        self.dim, self.patch = int(config.hidden_size), int(config.patch_size)
        self.heads = int(config.num_attention_heads)
        self.extra = 1 + int(getattr(config, "num_register_tokens", 0))
        self.taps = taps_of(int(config.num_hidden_layers))
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None], persistent=False)

    @classmethod
    def of(cls, config: str) -> Dino:
        """With random weights, from a configuration as json."""
        from transformers import AutoConfig, AutoModel

        given = json.loads(config)
        return cls(AutoModel.from_config(AutoConfig.for_model(**given)).float())

    @classmethod
    def open(cls, folder: str) -> Dino:
        """With the weights in `folder`. UserError, in one sentence, when they are not there, of
        another kind, or not complete.
        """
        from transformers import Dinov2Model, Dinov2WithRegistersModel

        from core.nets.local_folder import open_weights

        known = {"dinov2_with_registers": Dinov2WithRegistersModel, "dinov2": Dinov2Model}
        return cls(open_weights(folder, "DINOv2", known, "the encoder “small”"))

    def train(self, mode: bool = True) -> Dino:
        """Stay as in use: it is frozen."""
        return super().train(False)

    def side(self, size: int) -> int:
        """Tokens a side of pictures of `size` pixels a side."""
        return max(1, round(size / self.patch))

    def place(self, size: int) -> float:
        """Nothing: its tokens know where they lie."""
        return 0.0

    def forward(self, x: Tensor) -> list[Tensor]:
        if x.shape[1] != 3:
            x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        size = (self.side(x.shape[-1]) * self.patch,) * 2
        if tuple(x.shape[2:]) != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        layers = self.model((x - self.mean) / self.spread, output_hidden_states=True).hidden_states
        return [layers[i + 1] for i in self.taps]


def taps_of(depth: int) -> tuple[int, ...]:
    """Return the blocks of an encoder of so many whose tokens are compared, from 0: 2 to 9 of
    twelve, every second from 4 to 18 of 24.
    """
    if depth >= 24:
        return tuple(range(4, 19, 2))
    if depth >= 12:
        return tuple(range(2, 10))
    inner = tuple(range(1, depth - 1)) or tuple(range(depth))
    return inner if len(inner) % 2 == 0 else inner[:-1] or inner
