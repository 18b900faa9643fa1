"""Word vectors without a table: each word's vector is drawn by a hash of it and of its parts, so
that any word has one and words that share letters lie nearer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import numpy as np

_WORD = re.compile(r"\w+")
LONGEST = 16  # words read of a text
OWN = 0.8  # share of a word's own vector; the rest is that of its runs of three letters


def split_words(text: str) -> list[str]:
    """Return the words of `text` in small letters, the first LONGEST of them."""
    return _WORD.findall(text.lower())[:LONGEST]


@lru_cache(8192)
def word_vector(word: str, dim: int) -> np.ndarray:
    """float32 [dim] of length 1, the same on every machine."""
    marked = f"<{word}>"
    parts = [marked[i : i + 3] for i in range(len(marked) - 2)]
    rest = np.mean([_drawn(p, dim) for p in parts], axis=0)
    whole = OWN * _drawn(f"={word}", dim) + (1 - OWN) * rest / np.linalg.norm(rest)
    made: np.ndarray = (whole / np.linalg.norm(whole)).astype(np.float32)
    made.flags.writeable = False
    return made


def _drawn(word: str, dim: int) -> np.ndarray:
    """float64 [dim] of length 1, drawn by the hash of `word`."""
    seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
    # the bit generator's raw numbers, since those of its distributions may change between versions
    raw = np.random.PCG64(seed).random_raw(dim).astype(np.float64) / 2**64 - 0.5
    return raw / np.linalg.norm(raw)


def text_vectors(texts: list[str], dim: int) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n,L,dim], bool [n,L] where a word stands) of `texts`, the longest of L words; a
    text without words is one word of zeros.
    """
    cut = [split_words(text) for text in texts]
    longest = max([1, *map(len, cut)])
    vectors = np.zeros((len(texts), longest, dim), np.float32)
    there = np.zeros((len(texts), longest), bool)
    for i, words in enumerate(cut):
        for j, word in enumerate(words):
            vectors[i, j], there[i, j] = word_vector(word, dim), True
    there[:, 0] = True
    return vectors, there


def mean_vectors(texts: list[str], dim: int) -> np.ndarray:
    """float32 [n,dim]: the mean of each text's word vectors, at length 1 (0 without a word)."""
    vectors, there = text_vectors(texts, dim)
    mean = (vectors * there[..., None]).sum(1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.asarray(mean / np.maximum(length, 1e-12), np.float32)
