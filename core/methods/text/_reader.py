"""A language model with a linear head, and what is asked of it: features of every layer,
probabilities, which words moved the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from core.methods.text._sufo import join_tokens
from core.nets import language

if TYPE_CHECKING:
    from core.training.run import Run


class Reader(nn.Module):
    """Token ids int64 [b,t] -> logits [b,k]: encoder, mean over the tokens, linear head."""

    def __init__(
        self, tokenizer: Any, encoder: nn.Module, classes: int, longest: int, frozen: int
    ) -> None:
        super().__init__()
        self.encoder, self.tokenizer = encoder, tokenizer
        config: Any = encoder.config
        self.width = int(config.hidden_size)
        self.depth = int(config.num_hidden_layers)
        self.pad = int(tokenizer.pad_token_id or 0)
        self.longest = min(longest, int(getattr(config, "max_position_embeddings", longest)))
        self.head = nn.Linear(self.width, classes)
        inner: Any = getattr(encoder, "encoder", encoder)
        layers = getattr(inner, "layer", None)
        if frozen and layers is not None:
            for part in (encoder.embeddings, *list(layers)[:frozen]):
                for q in part.parameters():
                    q.requires_grad_(False)
        pooler: Any = getattr(encoder, "pooler", None)
        if pooler is not None:  # not used: without a gradient it would only be carried along
            for q in pooler.parameters():
                q.requires_grad_(False)

    @classmethod
    def build(cls, p: Any, texts: list[str], classes: int, seed: int) -> Reader:
        """Return one that has not learned: the model `p.model`, or a tiny one whose vocabulary
        comes from `texts`.
        """
        tokenizer, encoder = (
            language.tiny_bert(texts, seed, p.hidden, p.layers, p.vocabulary, p.longest)
            if p.model == "tiny"
            else language.load(p.model)
        )
        return cls(tokenizer, encoder, classes, p.longest, p.frozen)

    @classmethod
    def rebuild(cls, p: Any, kept: str, classes: int) -> Reader:
        """Return one with the tokenizer of the json `kept`; the caller loads its weights."""
        tokenizer, encoder = (
            language.tiny_bert(kept, 0, p.hidden, p.layers, p.vocabulary, p.longest)
            if p.model == "tiny"
            else language.load(p.model)
        )
        return cls(tokenizer, encoder, classes, p.longest, p.frozen)

    def encode_texts(self, texts: Any) -> np.ndarray:
        """Return token ids int64 [n,t], the pad token behind each text."""
        return (
            language.ids(self.tokenizer, texts, self.longest)
            if len(texts)
            else np.zeros((0, self.longest), np.int64)
        )

    def forward(self, x: Tensor) -> Tensor:
        there = x != self.pad
        return self.head(
            language.pooled(
                self.encoder(input_ids=x, attention_mask=there.long()).last_hidden_state, there
            )
        )

    def _batches(
        self, code: np.ndarray, check: Callable[[], None] | None = None
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """(positions, ids on the device) in batches of like length; `check` before each."""
        for at, x in language.like_length(code, self.pad, self.head.weight.device):
            if check is not None:
                check()
            yield at, x

    def features(self, code: np.ndarray, check: Callable[[], None] | None = None) -> np.ndarray:
        """float32 [n,d] of the last layer."""
        self.eval()
        out = np.zeros((len(code), self.width), np.float32)
        with torch.no_grad():
            for at, x in self._batches(code, check):
                there = x != self.pad
                out[at] = (
                    language.pooled(
                        self.encoder(input_ids=x, attention_mask=there.long()).last_hidden_state,
                        there,
                    )
                    .float()
                    .cpu()
                    .numpy()
                )
        return out

    def layer_features(self, code: np.ndarray) -> np.ndarray:
        """float32 [n, layers + 1, d], the word embeddings first."""
        out = np.zeros((len(code), self.depth + 1, self.width), np.float32)
        for at, x in self._batches(code):
            there = x != self.pad
            states = self.encoder(
                input_ids=x, attention_mask=there.long(), output_hidden_states=True
            ).hidden_states
            out[at] = (
                torch.stack([language.pooled(s, there) for s in states], 1).float().cpu().numpy()
            )
        return out

    def predict(self, features: np.ndarray) -> np.ndarray:
        """float32 [n,k] probabilities of features [n,d]."""
        with torch.no_grad():
            return (
                self.head(torch.from_numpy(features.astype(np.float32)).to(self.head.weight.device))
                .softmax(1)
                .float()
                .cpu()
                .numpy()
            )

    def weigh_words(
        self, texts: Any, code: np.ndarray, check: Callable[[], None] | None = None, most: int = 12
    ) -> list[list[dict[str, Any]]]:
        """Per text the `most` weightiest words for the predicted class: gradient times input,
        summed over a word's tokens, with where they stand.
        """
        self.eval()
        found: list[list[dict[str, Any]]] = [[] for _ in texts]
        table = self.encoder.get_input_embeddings()  # type: ignore[operator]
        for at, x in self._batches(code, check):
            there = x != self.pad
            with torch.enable_grad():
                embedded = table(x).detach().requires_grad_()
                logits = self.head(
                    language.pooled(
                        self.encoder(
                            inputs_embeds=embedded, attention_mask=there.long()
                        ).last_hidden_state,
                        there,
                    )
                )
                (grad,) = torch.autograd.grad(logits.max(1).values.sum(), embedded)
            value = (grad * embedded).sum(-1).detach().float().cpu().numpy()
            given = self.tokenizer(
                [str(texts[i]) for i in at],
                truncation=True,
                max_length=self.longest,
                return_offsets_mapping=True,
            )["offset_mapping"]
            for i, offsets, v in zip(at, given, value):
                words = [
                    w
                    for w in join_tokens(str(texts[i]), offsets, v)
                    if any(c.isalnum() for c in str(texts[i])[w[0] : w[1]])
                ]
                words.sort(key=lambda w: -abs(w[2]))
                found[int(i)] = [
                    {"text": str(texts[i])[a:b], "weight": w, "start": int(a), "end": int(b)}
                    for a, b, w in words[:most]
                ]
        return found

    def test_deletion(
        self,
        texts: Any,
        spans: list[list[dict[str, Any]]],
        prob: np.ndarray,
        run: Run,
        share: int = 5,
    ) -> dict[str, np.ndarray]:
        """Return the deletion test: how far the predicted class's probability falls without the
        `share` words that speak most for it, and without as many random ones.
        """
        falls = {}
        for name in ("weightiest words", "random words"):
            cut = []
            for text, own in zip(texts, spans):
                places = [
                    (s["start"], s["end"])
                    for s in sorted(own, key=lambda s: -s["weight"])[:share]
                    if s["weight"] > 0
                ]
                if name == "random words":
                    every = _words(str(text))
                    places = (
                        [
                            every[i]
                            for i in run.rng.choice(
                                len(every), min(len(places), len(every)), replace=False
                            )
                        ]
                        if every
                        else []
                    )
                cut.append(_without(str(text), places))
            after = self.predict(
                self.features(self.encode_texts(np.array(cut, dtype=object)), run.check)
            )
            best = prob.argmax(1)
            falls[name] = prob[np.arange(len(prob)), best] - after[np.arange(len(prob)), best]
        return falls


def _words(text: str) -> list[tuple[int, int]]:
    import re

    return [m.span() for m in re.finditer(r"\w+", text)]


def _without(text: str, places: list[tuple[int, int]]) -> str:
    for start, end in sorted(places, reverse=True):
        text = text[:start] + text[end:]
    return text
