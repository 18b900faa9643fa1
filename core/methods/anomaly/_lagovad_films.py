"""Films that LaGoVAD learns from and is measured on: put together of parts of clips, of which one
is abnormal by a definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.data.clips import clip_names

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.anomaly._lagovad_texts import Texts

SETS = 5  # definitions of a film's set, the normal one included
ALONE = 0.3  # share of films that are one part by itself
MOST = 5  # parts of a film
PART = (3, 24)  # steps of a part
LOOKALIKES = 10  # nearest parts that half of the normal ones are drawn of


def film_order(data: Dataset) -> list[tuple[str, np.ndarray]]:
    """Return (name, positions int64 in the order of time) of each clip of `data`, by name."""
    times, names = data.column("time"), clip_names(data).astype(str)
    assert times is not None
    when = np.array([np.inf if t is None else float(t) for t in times])
    order = np.lexsort((data.rows, when, names))
    cut = np.flatnonzero(names[order][1:] != names[order][:-1]) + 1
    parts = np.split(order, cut) if len(order) else []
    return [(str(names[p[0]]), p) for p in parts]


@dataclass(frozen=True)
class Part:
    """A run of frames that show the same: `kind` among the texts' kinds, positions `at` int64 of
    the rows, and the number of its `clip`.
    """

    kind: int
    at: np.ndarray
    clip: int


def parts_of(data: Dataset, kind: np.ndarray) -> list[Part]:
    """Return the parts of `data`, whose frames are of `kind` int64 [n], -1 = unknown, which are
    left out.
    """
    found = []
    for clip, (_, at) in enumerate(film_order(data)):
        for run in np.split(at, np.flatnonzero(np.diff(kind[at])) + 1):
            if kind[run[0]] >= 0:
                found.append(Part(int(kind[run[0]]), run, clip))
    return found


class FilmMaker:
    """Puts films of at most `steps` frames together of `parts`; `z` float32 [n,d] describes their
    frames, by which parts that look alike are found.
    """

    def __init__(
        self, parts: list[Part], z: np.ndarray, texts: Texts, steps: int, synthesis: bool = True
    ) -> None:
        self.parts, self.texts, self.steps, self.synthesis = parts, texts, steps, synthesis
        self.kind = np.array([p.kind for p in parts])
        mean = np.stack([z[p.at].mean(0) for p in parts])
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        self.mean = mean

    # -- parts -------------------------------------------------------------------------------------
    def crop(
        self, part: Part, rng: np.random.Generator, low: int = PART[0], high: int = PART[1]
    ) -> np.ndarray:
        """Return `low` to `high` frames of a part, which is repeated where it is shorter."""
        many = int(rng.integers(low, high + 1))
        if len(part.at) < many:
            return np.resize(part.at, many)
        start = int(rng.integers(len(part.at) - many + 1))
        return part.at[start : start + many]

    def companions(
        self, of: int, allowed: np.ndarray, many: int, rng: np.random.Generator
    ) -> list[int]:
        """Numbers of `many` parts among `allowed` (int64), half of them drawn of those that look
        most like part `of`.
        """
        near = allowed[np.argsort(-(self.mean[allowed] @ self.mean[of]), kind="stable")]
        near = near[:LOOKALIKES]
        return [int(rng.choice(near if rng.random() < 0.5 else allowed)) for _ in range(many)]

    def join(
        self, stretches: list[np.ndarray], place: int, own: np.ndarray
    ) -> tuple[np.ndarray, slice]:
        """Positions of a film: `own` put before stretch `place`, cut to `steps`, and where it lies.

        What is cut is never the whole of `own`.
        """
        before = np.concatenate([np.zeros(0, np.int64), *stretches[:place]])
        room = max(0, self.steps - len(own))
        before = before[max(0, len(before) - room) :]
        whole = np.concatenate([before, own, *stretches[place:]])[: self.steps]
        return whole, slice(len(before), min(len(before) + len(own), len(whole)))

    # -- training ----------------------------------------------------------------------------------
    def row(self, of: int, abnormal: bool, rng: np.random.Generator) -> np.ndarray:
        """int64 [steps + 2 * SETS]: a film about part `of`, -1 where it has ended, and two sets of
        definitions, class names and sentences, -1 where there are fewer.
        """
        applies, kind = self.texts.applies, self.parts[of].kind
        met = [
            int(rng.choice(c)) if len(c) else -1
            for c in (t[applies[t, kind]] for t in (self.texts.names, self.texts.sentences))
        ]
        normal = np.asarray(~applies[[t for t in met if t >= 0]].any(0))
        allowed = np.flatnonzero(normal[self.kind]) if abnormal else np.arange(len(self.parts))
        many = 0
        if len(allowed) and self.synthesis and rng.random() >= ALONE:
            many = int(rng.integers(1, MOST + 1)) - 1
        others = self.companions(of, allowed, many, rng) if many else []
        stretches = [self.crop(self.parts[i], rng) for i in others]
        own = self.crop(self.parts[of], rng)
        film, _ = self.join(stretches, int(rng.integers(many + 1)), own)
        shown = np.unique([kind, *self.kind[others]])
        found = np.full(self.steps + 2 * SETS, -1)
        found[: len(film)] = film
        for k, pool in enumerate((self.texts.names, self.texts.sentences)):
            absent = pool[~applies[pool][:, shown].any(1)]
            own_text = [met[k]] if abnormal and met[k] >= 0 else []
            # as many definitions in abnormal films as in normal ones: their number tells nothing
            extra = rng.permutation(absent)[: int(rng.integers(1, SETS)) - len(own_text)]
            rest = rng.permutation([*own_text, *extra]).astype(np.int64)
            start = self.steps + k * SETS
            found[start : start + 1 + len(rest)] = [k, *rest]
        return found

    def table(self, many: int, rng: np.random.Generator) -> np.ndarray:
        """Return `many` rows, every other one of an abnormal film: float32 [many,...], which the
        numbers fit exactly.
        """
        order = np.concatenate(
            [rng.permutation(len(self.parts)) for _ in range(-(-many // len(self.parts)))]
        )[:many]
        rows = [self.row(int(of), i % 2 == 0, rng) for i, of in enumerate(order)]
        return np.stack(rows).astype(np.float32)

    # -- measuring ---------------------------------------------------------------------------------
    def contested(
        self, applies: np.ndarray, rng: np.random.Generator, share: tuple[float, float] = (0.1, 0.6)
    ) -> list[tuple[np.ndarray, slice, int, int]]:
        """Return two films, each (positions, the span in dispute, and two definitions, numbers of
        the rows of `applies` bool [m,kinds]): by its first the span alone is abnormal, by its
        second nothing is. Both films are judged by the same two definitions the other way round,
        so that neither tells anything without the film. The span takes about `share` of a film;
        all of it where no part is normal by both. [] where there are no such films.
        """
        a, b = (int(t) for t in rng.integers(len(applies), size=2))
        only = [applies[a] & ~applies[b], applies[b] & ~applies[a]]
        ill = [np.flatnonzero(one[self.kind]) for one in only]
        if not len(ill[0]) or not len(ill[1]):
            return []
        well = np.flatnonzero(~(applies[a] | applies[b])[self.kind])
        return [
            (*self.about(int(rng.choice(some)), well, rng, share), *texts)
            for some, texts in zip(ill, ((a, b), (b, a)))
        ]

    def about(
        self, of: int, well: np.ndarray, rng: np.random.Generator, share: tuple[float, float]
    ) -> tuple[np.ndarray, slice]:
        """Return a film with a span of part `of` that takes about `share` of it, the rest being of
        parts `well` (numbers), and where the span lies.
        """
        length = int(rng.integers(self.steps // 2, self.steps + 1))
        many = max(2, round(length * rng.uniform(*share)))
        own = self.crop(self.parts[of], rng, many, many)
        stretches: list[np.ndarray] = []
        while len(well) and sum(map(len, stretches)) < length - many:
            stretches.append(self.crop(self.parts[int(rng.choice(well))], rng, 6, PART[1]))
        return self.join(stretches, int(rng.integers(len(stretches) + 1)), own)
