"""AbsTopK sparse autoencoder: takes the latent space of an earlier run apart into features, each
with two opposite poles.

Objective
    u = W_e (x - b) + b_e; the k entries largest in |u| keep their sign, the others are 0 (the
    projection on k-sparse vectors); x' = W_d code + b with unit directions. Loss: squared error,
    and an auxiliary one by which features that are never on explain what is left.

Cost
    O(n d m) an epoch on latent coordinates, seconds for thousands of cases.

Differences from the paper
    Measured on the embeddings of small medical models instead of language models. At least 1,500
    steps on small data. The pole that is on more often is called +. TopK and ReLU with an L1
    penalty can be chosen for comparison.

Reference
    AbsTopK: rethinking sparse autoencoders for bidirectional features, 2025; Gao et al., Scaling
    and evaluating sparse autoencoders, 2024 (auxiliary loss).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.methods.concepts._params import SAEParams
from core.methods.concepts._sae import SAE
from core.params import param

if TYPE_CHECKING:
    import torch


class AbsTopKSAE(SAE):
    id = "abs_topk_sae"
    title = "Sparse autoencoder (AbsTopK)"
    seed_number = 63
    presets = {"fast": {"epochs": 100}, "standard": {"epochs": 300}, "thorough": {"epochs": 1000}}

    class Params(SAEParams):
        rule: Literal["abs top-k", "top-k", "relu"] = param(
            "abs top-k",
            "Which codes stay: the k largest of either sign, the k largest, or all positive ones.",
        )
        sparsity: float = param(
            0.1,
            "Weight of the absolute values in the loss (relu only).",
            ge=0,
            le=100,
            advanced=True,
        )

    def make_net(self) -> torch.nn.Module:
        from core.nets.coder import SparseCoder

        return SparseCoder(self.d_, self.size_, min(self.params.k, self.size_), self.params.rule)

    def extra(self, codes: torch.Tensor, kl: torch.Tensor, share: float) -> torch.Tensor:
        return (
            self.params.sparsity * codes.abs().sum(1).mean()
            if self.params.rule == "relu"
            else codes.sum() * 0
        )
