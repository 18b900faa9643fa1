"""CLIP (Radford and others 2021) as frozen encoders of pictures and of texts: from a folder of this
machine, through transformers.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import UserError

MEAN, SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PROMPTS = 16  # learned vectors before a class name, and as many after it
FILLER = 0  # the token whose place a learned vector takes


class ClipEye(nn.Module):
    """forward(pictures [b,C,H,W] in [0, 1]) -> features [b,dim], frozen. Pictures that are not of
    three channels are shown as the mean of their channels, squeezed to the network's square.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, vision: Any, projection: nn.Linear, side: int) -> None:
        super().__init__()
        self.vision, self.projection, self.side = vision, projection, side
        self.dim = projection.out_features
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None], persistent=False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> ClipEye:
        """Stay as in use: it is frozen."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        if tuple(x.shape[2:]) != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bicubic", antialias=True)
        x = (x.clamp(0, 1) - self.mean) / self.spread
        seen: Tensor = self.projection(self.vision(pixel_values=x).pooler_output)
        return seen


class ClipWords(nn.Module):
    """forward(*bank(texts, named)) -> [n,dim]: texts by the frozen tower. `named` ones are class
    names, before and after whose words stand learned vectors; the others are encoded once.
    """

    def __init__(self, text: Any, projection: nn.Linear, tokenizer: str) -> None:
        super().__init__()
        from tokenizers import Tokenizer

        self.text, self.projection, self.tokenizer = text, projection, tokenizer
        self.cut = Tokenizer.from_str(tokenizer)
        self.cut.no_padding()
        self.cut.no_truncation()
        self.requires_grad_(False)
        self.dim = projection.out_features
        self.longest = int(text.config.max_position_embeddings)
        # few of them where only short texts can be read
        self.many = min(PROMPTS, max(0, (self.longest - 6) // 4))
        width = int(text.config.hidden_size)
        self.before = nn.Parameter(0.02 * torch.randn(self.many, width))
        self.after = nn.Parameter(0.02 * torch.randn(self.many, width))

    def train(self, mode: bool = True) -> ClipWords:
        """Stay as in use: its tower is frozen."""
        return super().train(False)

    def bank(self, texts: list[str], named: list[bool]) -> tuple[Tensor, ...]:
        """Return what of texts does not change in training: tokens int64 [n,L], sentences as they
        are encoded [n,dim], and which are class names bool [n].
        """
        device = self.before.device
        end = int(self.text.config.eos_token_id)
        rows = []
        for text, name in zip(texts, named, strict=True):
            begin, *words, last = self.cut.encode(text).ids
            extra = self.many if name else 0
            words = words[: self.longest - 2 - 2 * extra]
            filler = [FILLER] * extra
            rows.append([begin, *filler, *words, *filler, last])
        length = max(map(len, rows))
        ids = torch.tensor([[*r, *[end] * (length - len(r))] for r in rows], device=device)
        is_name = torch.tensor(named, device=device)
        sentences = torch.zeros(len(texts), self.dim, device=device)
        with torch.no_grad():
            if not all(named):
                sentences[~is_name] = self.encode(ids[~is_name])
        return ids, sentences, is_name

    def encode(self, ids: Tensor) -> Tensor:
        """Return texts of tokens `ids` [n,L] as [n,dim]."""
        made: Tensor = self.projection(self.text(input_ids=ids).pooler_output)
        return made

    def forward(self, ids: Tensor, sentences: Tensor, named: Tensor) -> Tensor:
        if not self.many or not bool(named.any()):
            return (
                torch.where(named[:, None], self.encode(ids), sentences)
                if named.any()
                else (sentences)
            )
        names = ids[named]
        # class names are as long as their words: the second row of learned vectors ends before the
        # token at the end, which is the first of its kind
        end = int(self.text.config.eos_token_id)
        last = (names == end).int().argmax(1)
        place = torch.arange(names.shape[1], device=names.device)[None]
        ahead = (place >= 1) & (place <= self.many)
        behind = (place >= (last - self.many)[:, None]) & (place < last[:, None])

        def put(module: nn.Module, given: Any, out: Tensor) -> Tensor:
            first = self.before[(place - 1).clamp(0, self.many - 1)]
            second = self.after[(place - (last - self.many)[:, None]).clamp(0, self.many - 1)]
            out = torch.where(ahead[..., None], first, out)
            return torch.where(behind[..., None], second, out)

        hook = embedding_of(self.text).register_forward_hook(put)
        try:
            made = self.encode(names)
        finally:
            hook.remove()
        return sentences.index_put((named.nonzero()[:, 0],), made)


def embedding_of(text: Any) -> nn.Module:
    """Return the module of a text tower that turns tokens into vectors."""
    module: nn.Module = text.get_input_embeddings()
    return module


def parts_of(model: Any, tokenizer: str) -> tuple[ClipEye, ClipWords]:
    """Return both encoders of a CLIPModel."""
    side = int(model.config.vision_config.image_size)
    eye = ClipEye(model.vision_model, model.visual_projection, side)
    return eye, ClipWords(model.text_model, model.text_projection, tokenizer)


def open_clip(folder: str) -> tuple[ClipEye, ClipWords, str]:
    """Return both encoders with the weights in `folder`, and their configuration as json.
    UserError, in one sentence, when they are not there, of another kind, or not complete.
    """
    from transformers import AutoTokenizer, CLIPModel

    from core.nets.local_folder import open_weights

    model = open_weights(folder, "CLIP", {"clip": CLIPModel}, "the encoder “small”")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        cut: str = tokenizer.backend_tokenizer.to_str()
    except Exception as e:  # the loader raises many kinds, of several packages
        raise UserError(
            "The folder of CLIP holds no tokenizer that can be read (tokenizer.json;"
            f" {type(e).__name__})."
        ) from None
    eye, words = parts_of(model.eval(), cut)
    return eye, words, json.dumps({"model": model.config.to_dict(), "tokenizer": cut}, default=str)


def make_clip(config: str) -> tuple[ClipEye, ClipWords]:
    """Return both encoders with random weights, from a configuration as `open_clip` gives it."""
    from transformers import CLIPConfig, CLIPModel

    given = json.loads(config)
    model = CLIPModel(CLIPConfig.from_dict(given["model"])).float().eval()
    return parts_of(model, given["tokenizer"])
