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
    _net: Any  # a transformer; its weights are another's and not kept
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

    def _open(self, run: Run) -> None:
        from core.nets.language import load

        self._tokenizer, self._net = load(self.params.model)
        self._net.to(run.where).eval()

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        import torch
        from torch.nn.functional import normalize

        from core.nets.language import ids, like_length, pooled

        if not hasattr(self, "_net"):
            self._open(run)
        limit = min(
            self.params.longest, int(getattr(self._net.config, "max_position_embeddings", 512))
        )
        code, pad = ids(self._tokenizer, data.texts, limit), self._tokenizer.pad_token_id
        z, done = np.zeros((len(data), self._net.config.hidden_size), np.float32), 0
        with torch.no_grad():
            for at, x in like_length(code, pad, run.where):
                run.check()
                there = x != pad
                states = self._net(input_ids=x, attention_mask=there.long()).last_hidden_state
                z[at] = normalize(pooled(states, there), dim=1).float().cpu().numpy()
                done += len(at)
                run.report_to(done, len(data), {})
        yield Embedding(
            rows=data.rows,
            name="latent",
            z=z,
            metric="cosine",
            layer=f"{self.params.model}, mean of the last states",
        )
        yield Metrics.of([read_whole(code, pad)], data.rows)
