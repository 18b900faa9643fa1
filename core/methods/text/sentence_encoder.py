"""Sentence encoder: places texts by their meaning with a language model that has learned it
elsewhere, so that they get a map, groups and features.

Objective
    The mean of the model's last states over a text's tokens, at unit length; nothing is learned
    here.

Cost
    One pass of the language model: about 25 texts of 128 tokens a second on two cores for MiniLM
    (22 million weights).

Differences from the paper
    None for MiniLM; texts longer than the limit are cut at their end, and how many is told.

Reference
    Reimers, Gurevych, Sentence-BERT, EMNLP 2019; Wang et al., MiniLM, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Embedding, Metrics
from core.method import Method, Takes
from core.methods.text._cut import read_whole
from core.params import BaseParams, param

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

SIZE = 32


class SentenceEncoder(Method):
    id = "sentence_encoder"
    title = "Text embedding (sentence encoder)"
    takes = Takes(
        ("text",),
        min_rows=5,
        trains=False,
        deterministic=True,
        requires=("transformers",),
        seconds_per_value=4e-4,
    )
    gives = (Embedding, Metrics)
    net: Any  # the language model; Any, since torch types a module's parts as Tensor | Module
    tiny = {"longest": 16}
    presets = {
        "fast": {"longest": 128},
        "standard": {"longest": 256},
        "thorough": {"longest": 512},
    }
    suggested_for = {"map": 3}

    class Params(BaseParams):
        model: str = param(
            "minilm",
            "“minilm”, a folder with a model of transformers, or a name in this machine's hub"
            " cache.",
        )
        longest: int = param(
            128,
            "Tokens read of each text; what is longer is cut, and the run says of how many texts.",
            ge=8,
            le=4096,
        )

    def fit(self, data: Dataset, run: Run) -> None:
        run.check()
        self._open(run)
        run.report(0)

    _net: Any  # a transformer; its weights are another's and not kept

    def _open(self, run: Run) -> None:
        from core.nets.language import load

        self._tokenizer, self._net = load(self.params.model)
        self._net.to(run.where).eval()

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        import torch

        from core.nets.language import ids, pooled

        if not hasattr(self, "_net"):
            self._open(run)
        limit = min(
            self.params.longest, int(getattr(self._net.config, "max_position_embeddings", 512))
        )
        code, pad = ids(self._tokenizer, data.texts, limit), self._tokenizer.pad_token_id
        length = (code != pad).sum(1)
        z = np.zeros((len(data), self._net.config.hidden_size), np.float32)
        # texts of one length together: little padding is computed
        order = np.argsort(length, kind="stable")
        with torch.no_grad():
            for i in range(0, len(order), SIZE):
                run.check()
                at = order[i : i + SIZE]
                x = torch.from_numpy(code[at, : max(2, int(length[at].max()))]).to(run.where)
                there = x != pad
                states = self._net(input_ids=x, attention_mask=there.long()).last_hidden_state
                z[at] = (
                    torch.nn.functional.normalize(pooled(states, there), dim=1)
                    .float()
                    .cpu()
                    .numpy()
                )
                run.report_to(min(i + SIZE, len(order)), len(order), {})
        yield Embedding(
            rows=data.rows,
            name="latent",
            z=z,
            metric="cosine",
            layer=f"{self.params.model}, mean of the last states",
        )
        yield Metrics.of([read_whole(code, pad)], data.rows)
