"""One pass over all samples: which are copies, which are blank, and a small vector of each from
which likeness is judged.

The vectors need no training: thumbnails of pictures, block means of volumes and series,
standardised columns, hashed words; above 64 numbers a PCA fitted on at most 5,000 evenly taken rows
keeps 32. They see what cases look like at a glance, not what a trained model knows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from core.data.dataset import Dataset
from core.sampling import evenly_spaced

CHUNK = 48 << 20  # bytes of samples read at a time
FITTED = 5_000
KEPT = 32


@dataclass(frozen=True)
class SampleScan:
    """Over the rows of the dataset looked at: `x` [n,d] float32, `copies` sets of row ids with
    equal contents, `blank` row ids; `unit` whether rows of `x` have length one (so that squared
    distance is 2 - 2 times correlation).
    """

    x: np.ndarray
    copies: list[list[int]]
    blank: list[int]
    unit: bool


def scan_samples(
    data: Dataset, report: Callable[[float], None] = lambda fraction: None
) -> SampleScan:
    """Read every sample once. Memory: one chunk, and the vectors. `report` is told the fraction
    done; it may raise to stop.
    """
    if data.samples is None:
        return _scan_texts(data)
    seen: dict[bytes, list[int]] = defaultdict(list)
    blank: list[int] = []
    vector = _make_vectoriser(data)
    parts = []
    for at, block in _chunks(data):
        flat = block.reshape(len(block), -1)
        same = _is_constant(flat) if flat.shape[1] > 1 else np.zeros(len(flat), bool)
        blank += data.rows[at[same]].tolist()
        for row, sample in zip(data.rows[at].tolist(), np.ascontiguousarray(flat)):
            seen[hashlib.blake2b(sample.data, digest_size=16).digest()].append(row)
        parts.append(vector(block))
        report((int(at[-1]) + 1) / len(data))
    x = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    return SampleScan(
        x, [rows for rows in seen.values() if len(rows) > 1], blank, data.modality != "table"
    )


def _chunks(data: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if not len(data):
        return
    per = max(1, CHUNK // max(1, data.raw(np.arange(1)).nbytes))
    for i in range(0, len(data), per):
        at = np.arange(i, min(i + per, len(data)))
        yield at, data.raw(at)


def _is_constant(flat: np.ndarray) -> np.ndarray:
    if flat.dtype.kind != "f":
        return flat.max(1) == flat.min(1)
    none = np.isnan(flat)
    return (np.where(none, -np.inf, flat).max(1) <= np.where(none, np.inf, flat).min(1)) & (
        (~none).sum(1) != 1
    )


def _make_vectoriser(data: Dataset) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from raw samples [b,*shape] to vectors [b,d]."""
    some = data.raw(evenly_spaced(len(data), FITTED)) if len(data) else np.zeros((0, *data.shape))
    plain = (
        _standardise(some)
        if data.modality == "table"
        else lambda raw: normalise_rows(block_means(raw))
    )
    first = (
        np.concatenate([plain(some[i : i + 256]) for i in range(0, len(some), 256)])
        if len(some)
        else np.zeros((0, 1), np.float32)
    )
    if first.shape[1] <= 64 or len(first) <= KEPT:
        return plain
    middle = first.mean(0)
    turn = np.linalg.svd(first - middle, full_matrices=False)[2][:KEPT].T.astype(np.float32)
    return lambda raw: (plain(raw) - middle) @ turn


def _standardise(some: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Columns in robust units (median 0, spread 1, cut at 8); missing = the median."""
    with np.errstate(all="ignore"):
        middle = np.nan_to_num(np.nanmedian(some, axis=0)) if len(some) else np.zeros(some.shape[1])
        low, high = (
            (np.nan_to_num(np.nanquantile(some, q, axis=0)) for q in (0.25, 0.75))
            if len(some)
            else (middle, middle)
        )
        spread = (high - low) / 1.349
        deviation = np.nan_to_num(np.nanstd(some, axis=0)) if len(some) else middle
    spread = np.where(spread > 0, spread, np.where(deviation > 0, deviation, 1.0))

    def make(raw: np.ndarray) -> np.ndarray:
        # offsets go before float32: a Julian day has none of its hours there
        z = (raw - middle.astype(raw.dtype)) / spread.astype(raw.dtype)
        return np.clip(np.nan_to_num(z, nan=0.0, posinf=8, neginf=-8), -8, 8).astype(np.float32)

    return make


def block_means(raw: np.ndarray) -> np.ndarray:
    """[b,C,*spatial] -> [b,d] float32, block means: of pictures 16x16 of the mean channel, of
    volumes 8x8x8, of series 64 stretches of each of at most 8 channels. Smaller ones stay as they
    are.
    """
    x = raw[:, :8] if raw.ndim == 3 else raw.mean(1, dtype=np.float32)[:, None]
    most = {3: 64, 4: 16, 5: 8}[raw.ndim]
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        if size > most:
            edges = np.linspace(0, size, most, endpoint=False).astype(int)
            counts = np.diff(np.append(edges, size)).astype(np.float32)
            x = np.add.reduceat(x, edges, axis=axis, dtype=np.float32) / counts.reshape(
                [-1 if a == axis else 1 for a in range(x.ndim)]
            )
    return np.nan_to_num(np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32))


def normalise_rows(x: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and length 1."""
    x = x - x.mean(1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


def _scan_texts(data: Dataset) -> SampleScan:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer

    words = [" ".join(str(t).lower().split()) for t in data.texts]
    seen: dict[bytes, list[int]] = defaultdict(list)
    for row, text in zip(data.rows.tolist(), words):
        seen[hashlib.blake2b(text.encode(), digest_size=16).digest()].append(row)
    blank = [row for row, text in zip(data.rows.tolist(), words) if len(set(text)) < 2]
    how = (
        {"analyzer": "char", "ngram_range": (4, 4)}
        if data.modality == "sequence"
        else {"analyzer": "word"}
    )
    hashed = HashingVectorizer(n_features=1 << 13, alternate_sign=False, norm="l2", **how)
    counts = hashed.transform([w[:20_000] for w in words])
    x = np.zeros((len(words), 1), np.float32)
    if len(words) > KEPT + 1:
        some = counts[evenly_spaced(len(words), FITTED)]
        x = TruncatedSVD(KEPT, random_state=0).fit(some).transform(counts).astype(np.float32)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    return SampleScan(x, [rows for rows in seen.values() if len(rows) > 1], blank, True)
