"""What is counted of LaGoVAD: whether a definition decides, on films of held-out frames in which
the same span is abnormal by one definition and normal by another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Grid
from core.artifacts.tables import Metric
from core.data.clips import clip_names
from core.methods.anomaly._lagovad_films import FilmMaker, parts_of
from core.methods.anomaly._lagovad_texts import frame_words
from core.nets.hashed_words import mean_vectors, split_words
from core.stats.bootstrap import interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

MANY = 60  # films put together for a figure
FEWEST = 10
SHOWN = 40  # films in the grid
PLAIN = {"a", "an", "the", "is", "are", "of", "in", "with", "and", "or", "no", "not", "there"}
DIM = 64


def by_film(data: Dataset, likeness: np.ndarray, texts: list[str]) -> Grid:
    """How likely each film is of each definition: the softmax over the least likeness along the
    film of the normal definition and the largest of each other, as the paper has it. The first
    SHOWN films, held-out ones first.
    """
    names = clip_names(data).astype(str)
    apart = data.splits == "test"
    order = sorted(set(names), key=lambda n: (not apart[names == n].any(), n))[:SHOWN]
    value = np.zeros((len(order), len(texts)), np.float32)
    for i, name in enumerate(order):
        each = likeness[names == name] / 0.2
        score = np.concatenate([each[:, :1].min(0), each[:, 1:].max(0)])
        score = np.exp(score - score.max())
        value[i] = score / score.sum()
    return Grid(
        rows=data.rows,
        name="films-by-definition",
        value=value,
        x=texts,
        y=order,
        x_title="definition",
        y_title="film",
        unit="probability of the definition for a whole film",
        low=0.0,
        high=1.0,
    )


def strangeness(learned: list[str], texts: list[str]) -> list[tuple[float, list[str]]]:
    """See `LaGoVAD.strangeness`."""
    known = {w for t in learned for w in split_words(t)} | PLAIN
    base = mean_vectors(learned, DIM)
    near = base @ base.T
    np.fill_diagonal(near, -1)
    usual = max(1e-6, 1 - float(near.max(1).min()))
    away = 1 - (mean_vectors(texts, DIM) @ base.T).max(1)
    return [
        (float(a / usual), [w for w in dict.fromkeys(split_words(t)) if w not in known])
        for a, t in zip(away, texts)
    ]


def contested_scores(
    method: Any,
    maker: FilmMaker,
    z: np.ndarray,
    texts: list[str],
    applies: np.ndarray,
    rng: np.random.Generator,
    many: int = MANY,
) -> dict[str, Any] | None:
    """Logits of contested spans, of `many` films of `maker`, each judged by two of `texts` (see
    `FilmMaker.contested`). None where too few films can be put together.

    "ill" and "well": lists of logits [span] a film, under the definition by which the span is
    abnormal and under that by which nothing is; "swapped ill", "swapped well" the same with the
    definitions of another pair of films; "constant ill", "constant well" with one text in place of
    all, judged apart as the others are; "films": what was judged.
    """
    found = [film for _ in range(4 * many) for film in maker.contested(applies, rng)][:many]
    if len(found) < FEWEST:
        return None
    films = [f[0] for f in found]
    normal = method.definitions_[0]
    other = np.roll(np.arange(len(found)), 2)
    sets = {
        "ill": [[normal, texts[a]] for _, _, a, _ in found],
        "well": [[normal, texts[b]] for _, _, _, b in found],
        "swapped ill": [[normal, texts[found[j][2]]] for j in other],
        "swapped well": [[normal, texts[found[j][3]]] for j in other],
        "constant ill": [[normal, "something"]] * len(found),
        "constant well": [[normal, "something"]] * len(found),
    }
    out: dict[str, Any] = {"films": found}
    for name, chosen in sets.items():
        judged = method.judge_films(z, films, chosen)
        out[name] = [logit[f[1]] for (_, logit, _), f in zip(judged, found)]
    return out


def auroc(ill: list[np.ndarray], well: list[np.ndarray]) -> float:
    """AUROC of pooled frames: abnormal ones of `ill` against normal ones of `well`; ties half."""
    from scipy.stats import rankdata

    a, b = np.concatenate(ill), np.concatenate(well)
    rank = rankdata(np.concatenate([a, b]))[: len(a)].sum()
    return float((rank - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))


def measure(method: Any, data: Dataset, z: np.ndarray, run: Run) -> list[Metric]:
    """Return, of held-out parts, how well contested spans are told by definitions read in training
    and by withheld ones, and both controls. `z` [n,d] describes the frames.
    """
    texts = method.texts
    place = {k: i for i, k in enumerate(texts.kinds)}
    found = []
    for split in ("val", "test"):
        some = np.flatnonzero(data.splits == split)
        part = data.take(some)
        if not len(part):
            continue
        kind = np.array([place.get(k, -1) for k in _words(part, method.columns)])
        parts = parts_of(part, kind)
        if not parts:
            continue
        maker = FilmMaker(parts, z[some], texts, int(method.params.steps))
        read = np.concatenate([texts.names, texts.sentences])
        pools = {
            "definitions read in training": ([texts.texts[i] for i in read], texts.applies[read]),
            "definitions never read": (texts.withheld, texts.withheld_applies),
        }
        for group, (words, applies) in pools.items():
            run.check()
            if not words:
                continue
            rng = np.random.default_rng((0, split == "test"))
            scores = contested_scores(method, maker, z[some], words, applies, rng)
            found += _figures(scores, split, group)
    return found


def _words(data: Dataset, columns: list[str]) -> list[tuple[str, ...]]:
    """As `frame_words`; nothing is known of other data without the columns."""
    there = all(c in data.table.columns for c in columns)
    return frame_words(data, columns) if there else [("",) * (1 + len(columns))] * len(data)


def _figures(scores: dict[str, Any] | None, split: str, group: str) -> list[Metric]:
    """Return the AUROC of contested spans with its interval over films, and both controls."""
    name = "AUROC of contested spans"
    if scores is None:
        note = "too few held-out parts to put such films together"
        return [Metric(name, None, split=split, group=group, note=note)]
    ill, well = scores["ill"], scores["well"]

    def value(at: np.ndarray) -> float:
        return auroc([ill[i] for i in at], [well[i] for i in at])

    n = len(ill)
    note = "each frame once under a definition it meets and once under one it does not"
    own = Metric(name, value(np.arange(n)), split=split, group=group, n=n, note=note)
    found = [own.within(interval(value, n, None, (0, 1)))]
    swapped = auroc(scores["swapped ill"], scores["swapped well"])
    constant = auroc(scores["constant ill"], scores["constant well"])
    controls = (
        ("the same, definitions of another film", swapped),
        ("the same, one text for all", constant),
    )
    return found + [Metric(w, v, split=split, group=group, n=n) for w, v in controls]
