"""The definitions that LaGoVAD learns from: class names and sentences made of them, and which
frames each applies to.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from core.data.labels import column_as_words
from core.nets.hashed_words import split_words

if TYPE_CHECKING:
    from core.data.dataset import Dataset

NORMAL = "normal"  # the first line where none is given
NOTHING = "nothing that counts as abnormal"  # the normal text beside sentences
MOST = 240  # sentences
WORDS = 40  # class names
ONE = ("{a} appears", "a frame with {a}")
OR = "{a} or {b}"
BUT = "anything but {a}"
BOTH = "{a} and {b}"
NEITHER = "anything but {a} or {b}"
WITHHELD = 6  # one in so many pairs is never read in training


def frame_words(data: Dataset, columns: list[str]) -> list[tuple[str, ...]]:
    """Return what each row shows: the words of its label and of `columns`, "" where unknown.
    UserError for a column that is not there.
    """
    names = [" ".join(split_words(c)) for c in data.classes]
    first = [names[k] if k >= 0 else "" for k in data.labels]
    more = [
        [" ".join(split_words(v)) for v in column_as_words(data, c, "also").tolist()]
        for c in columns
    ]
    return list(zip(first, *more, strict=True))


@dataclass(frozen=True)
class Texts:
    """Texts the network learns from, and `withheld` ones it never reads.

    `kinds` are the combinations of words that frames show; `applies` bool [n,kinds] says which of
    them text i applies to, `named` whether it is a class name alone. The first two are of what is
    normal and apply to nothing.
    """

    kinds: list[tuple[str, ...]]
    texts: list[str]
    named: list[bool]
    applies: np.ndarray
    withheld: list[str]
    withheld_applies: np.ndarray

    @property
    def names(self) -> np.ndarray:
        """Numbers of the class names."""
        return np.flatnonzero(self.named)[1:]  # the first is the normal one

    @property
    def sentences(self) -> np.ndarray:
        """Numbers of the sentences that are no normal text."""
        return np.flatnonzero(~np.array(self.named))[1:]


def make_texts(kinds: list[tuple[str, ...]], normal: str) -> Texts:
    """Return the texts for frames of these `kinds`; `normal` is the user's text of what is normal.

    The same kinds give the same texts. One pair of words in six is withheld: “a or b” is read of
    neither order, though both words are.
    """
    rng = np.random.default_rng(0)
    has = _words_of(kinds)
    words = list(has)
    pairs = list(combinations(words, 2))
    held = set()
    if len(words) >= 4:
        alike = [p for p in pairs if _of_one_column(kinds, *p)]
        held = {alike[i] for i in rng.permutation(len(alike))[: len(alike) // WITHHELD]}
    made: list[tuple[str, np.ndarray]] = []
    withheld: list[tuple[str, np.ndarray]] = []
    for a in words:
        made += [(t.format(a=a), has[a]) for t in ONE]
        made.append((BUT.format(a=a), ~has[a]))
    more: list[tuple[str, np.ndarray]] = []
    for pair in pairs:
        a, b = pair
        either, both = has[a] | has[b], has[a] & has[b]
        into = withheld if pair in held else more
        into.append((OR.format(a=a, b=b), either))
        if pair not in held:
            more.append((OR.format(a=b, b=a), either))
            more.append((NEITHER.format(a=a, b=b), ~either))
            more.append((BOTH.format(a=a, b=b), both))
    more = [more[i] for i in rng.permutation(len(more))]
    usable = [(t, v) for t, v in made + more if 0 < v.sum() < len(kinds)][:MOST]
    withheld = [(t, v) for t, v in withheld if 0 < v.sum() < len(kinds)]
    nothing = np.zeros(len(kinds), bool)
    names = [(w, has[w]) for w in words if has[w].sum() < len(kinds)]
    whole = [(normal, nothing), (NOTHING, nothing), *names, *usable]
    return Texts(
        kinds,
        [t for t, _ in whole],
        [True, False, *[True] * len(names), *[False] * len(usable)],
        np.stack([v for _, v in whole]),
        [t for t, _ in withheld],
        np.stack([v for _, v in withheld]) if withheld else np.zeros((0, len(kinds)), bool),
    )


def _words_of(kinds: list[tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Class names, the commonest first, at most WORDS, each with the kinds it stands in (bool)."""
    found: dict[str, np.ndarray] = {}
    for i, kind in enumerate(kinds):
        for word in kind:
            if word:
                found.setdefault(word, np.zeros(len(kinds), bool))[i] = True
    return dict(sorted(found.items())[:WORDS])


def _of_one_column(kinds: list[tuple[str, ...]], a: str, b: str) -> bool:
    """Whether both words are values of the same column."""
    return any(a in column and b in column for column in map(set, zip(*kinds)))
