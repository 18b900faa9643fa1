"""Steering: a feature of a sparse autoencoder is added to cases, or taken out of them, and what
changes is measured.

A step along the feature's decoder direction is added to the latent coordinates z of held-out cases:
z' = z + a d_j, so what the autoencoder does not explain stays as it is. The length a is `strength`
times the 95th percentile of the feature's codes where it is on in training cases; taken out, each
case moves by its own code. Asked are the classes of the earlier model, its latent layer moved while
it looks at the case, or, where it names none, a logistic regression on training cases. [design] The
controls: steps of the same length along other features, and along random directions; a shift stands
out where its interval over patients excludes 0 and it exceeds 95 % of either in size.

Where the latent space goes by cosine, cases are points of unit length and stay so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding, Steering
from core.data.labels import codes_among
from core.errors import UserError
from core.explain.layers import BATCH, list_layers, pushing
from core.explain.traversal import decode, distance_percentile
from core.sampling import evenly_spaced
from core.stats.bootstrap import mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

MOST = 300  # held-out cases that are steered
FEWEST = 10
CONTROLS = 40  # other features, and random directions
LEVEL = 0.05
NEAR = 10  # neighbours that are compared
STRENGTHS = (0.25, 5.0)  # offered, in either direction
SHOWN = 4
SMALL = 0.01  # of a probability; smaller shifts are not told
Report = Callable[[float], None]


@dataclass(frozen=True)
class Reader:
    """What tells classes from latent coordinates: `ask(steps [n,d])` gives the probabilities [n,k]
    of the held-out cases, each moved by its step.
    """

    title: str
    classes: list[str]
    ask: Callable[[np.ndarray], np.ndarray]


def why_no_steering(coder: Any) -> str | None:
    """Why no feature of a fitted method can be steered, in one sentence; None where one can."""
    if directions_of(coder) is None:
        return "Only the features of a sparse autoencoder can be steered; this run has none."
    return None


def directions_of(coder: Any) -> np.ndarray | None:
    """Return the unit direction of each feature in the latent space, float32 [m,d]; None where a
    fitted method is no sparse autoencoder.
    """
    from core.nets.coder import SparseCoder

    net = getattr(coder, "net_", None)
    if not isinstance(net, SparseCoder):
        return None
    return np.asarray(net.decoder.detach().cpu().numpy(), np.float32)


def list_steered(codes: Embedding, data: Dataset) -> list[int]:
    """Return the features, numbered from 0, that are on in at least 5 training cases, those most
    often on first.
    """
    z = np.asarray(codes.z)
    train = z[data.of(codes.rows).splits == "train"]
    often = ((train if len(train) else z) != 0).sum(0)
    return [int(j) for j in np.argsort(-often, kind="stable") if often[j] >= 5]


def steer(
    coder: Any,
    codes: Embedding,
    base: Any | None,
    embedding: Embedding,
    data: Dataset,
    feature: int,
    strength: float = 1.0,
    off: bool = False,
    row: int | None = None,
    seed: int = 0,
    report: Report = lambda share: None,
) -> Steering:
    """Return what changes in held-out cases when feature number `feature` (from 0) of the sparse
    autoencoder `coder` is added with `strength`, or taken `off`. `codes` are its codes, `embedding`
    and `base` the latent space and the fitted method it was learned on (None: it keeps no model).
    `row`: a case that is shown first.

    UserError where that cannot be asked. Cost: about 90 passes of the earlier model over at most
    300 cases.
    """
    if (why := why_no_steering(coder)) is not None:
        raise UserError(why)
    known = list_steered(codes, data)
    many = codes.z.shape[1]
    if not 0 <= feature < many:
        raise UserError(f"There is no feature {feature + 1}; there are {many:,}.")
    if feature not in known:
        raise UserError(
            f"Feature {feature + 1} is on in fewer than 5 training cases, so it has no usual"
            " strength."
        )
    low, high = STRENGTHS
    if not off and not low <= abs(strength) <= high:
        raise UserError(f"A strength lies between {low} and {high:g}, or minus that.")
    rows = _held_out(codes, data, feature if off else None)
    space = _Space.of(embedding, rows, data)
    way = directions_of(coder)
    assert way is not None
    value = np.asarray(codes.z[:, feature], dtype=float)
    own = value[codes.at(rows)]
    scale = float(coder.scale_)
    amount = (
        -scale * own if off else np.full(len(rows), strength * scale * _usual(value, codes, data))
    )
    reader = _reader(base, space, data)
    step = amount[:, None] * way[feature]
    steered = space.move(step)
    title = codes.axes[feature] if codes.axes else f"feature {feature + 1}"
    made = Steering(
        rows=rows,
        feature=feature,
        title=title,
        strength=0.0 if off else float(strength),
        off=off,
        before=np.zeros((len(rows), 0), "f4"),
        after=np.zeros((len(rows), 0), "f4"),
        distance=_distances(space, data, steered),
        length=float(np.abs(amount).mean()),
        sd=float(np.abs(amount).mean() / max(space.spread_along(way[feature]), 1e-12)),
        **_neighbours(space, data, steered),
        **_pictures(base, space, steered, row),
    )
    if reader is not None:
        others = [j for j in known if j != feature]
        measured = _measure(reader, data, rows, amount, way, feature, others, seed, off, report)
        made = replace(made, **measured)
    made.says = describe(made)
    return made


def _usual(value: np.ndarray, codes: Embedding, data: Dataset) -> float:
    """Return the 95th percentile of the size of codes [n] where they are on in training cases."""
    train = value[data.of(codes.rows).splits == "train"]
    train = train if (train != 0).any() else value
    return float(np.quantile(np.abs(train[train != 0]), 0.95))


def _held_out(codes: Embedding, data: Dataset, on: int | None) -> np.ndarray:
    """Return row ids of at most 300 held-out cases, evenly taken: test cases, where there are
    enough, else all that were not trained on; with `on` those in which that feature is on.
    """
    rows = np.asarray(codes.rows)[np.isin(codes.rows, data.rows)]
    if on is not None:
        rows = rows[np.asarray(codes.z[:, on])[codes.at(rows)] != 0]
    splits = data.of(rows).splits
    test = rows[splits == "test"]
    held = test if len(test) >= 2 * FEWEST else rows[splits != "train"]
    if len(held) < FEWEST:
        word = "" if on is None else ", in which the feature is on"
        raise UserError(
            f"An effect is measured on cases that were not learned from; there are {len(held)}"
            f"{word}, of at least {FEWEST}."
        )
    return held[evenly_spaced(len(held), MOST)]


@dataclass(frozen=True)
class _Space:
    """The latent space as the autoencoder takes it: `all` its coordinates (of unit length where it
    goes by cosine), `z [n,d]` those of the held-out cases `rows` and `norm [n]` what they were
    divided by, `train` positions of training cases in `all`.
    """

    all: Embedding
    rows: np.ndarray
    z: np.ndarray
    norm: np.ndarray
    train: np.ndarray

    @classmethod
    def of(cls, embedding: Embedding, rows: np.ndarray, data: Dataset) -> _Space:
        inside = np.flatnonzero(np.isin(embedding.rows, data.rows))
        z = np.asarray(embedding.z, dtype=np.float32)[inside]
        norm = np.ones(len(z), "f4")
        if embedding.metric == "cosine":
            norm = np.maximum(np.linalg.norm(z, axis=1), 1e-12)
            z = z / norm[:, None]
        every = replace(
            embedding, rows=np.asarray(embedding.rows)[inside], z=z, std=None, effect=None
        )
        at = every.at(rows)
        train = data.of(every.rows).splits == "train"
        where = np.flatnonzero(train if train.any() else ~train)
        return cls(every, rows, z[at], norm[at], where)

    def move(self, step: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
        """Return coordinates of the held-out cases after `step` [n,d], kept in the space."""
        after = (self.z if z is None else z) + step
        if self.all.metric == "cosine":
            return np.asarray(
                after / np.maximum(np.linalg.norm(after, axis=1, keepdims=True), 1e-12)
            )
        if self.all.geometry == "simplex":
            after = np.clip(after, 0, None)
            return np.asarray(after / np.maximum(after.sum(1, keepdims=True), 1e-12))
        return np.asarray(after)

    def spread_along(self, way: np.ndarray) -> float:
        """Return the standard deviation of the training cases along a direction [d]."""
        return float((np.asarray(self.all.z)[self.train] @ way).std())


def _reader(base: Any | None, space: _Space, data: Dataset) -> Reader | None:
    """Return the earlier model's own classes, where it reads them from the latent space; else a
    linear probe; None where there are no classes.
    """
    return _own_classes(base, space, data) or _probe(space, data)


def _own_classes(base: Any | None, space: _Space, data: Dataset) -> Reader | None:
    import torch

    from core.training.loader import device_of, in_order

    if base is None or "predict" not in base.abilities or len(base.classes) < 2:
        return None
    if data.samples is None or (data.modality == "volume" and base.slicewise):
        return None
    held = data.of(space.rows)
    layer = next((one for one in list_layers(base, held) if one.latent), None)
    if layer is None or layer.channels != space.z.shape[1]:
        return None
    device = device_of(base.nets())

    def ask(steps: np.ndarray) -> np.ndarray:
        moved = ((space.move(steps) - space.z) * space.norm[:, None]).astype(np.float32)
        found = []
        with torch.no_grad():
            for i, x in zip(range(0, len(held), BATCH), in_order(held, device, BATCH)):
                part = torch.from_numpy(moved[i : i + BATCH]).to(device)
                with pushing(base, layer.key, part):
                    found.append(base.predict(x).float().cpu().numpy())
        return np.concatenate(found)

    return Reader("the classes of the earlier model", list(base.classes), ask)


def _probe(space: _Space, data: Dataset) -> Reader | None:
    """Logistic regression on standardised coordinates of the labelled training cases."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = data.of(space.all.rows).labels[space.train]
    there = labels >= 0
    classes = np.unique(labels[there])
    if len(classes) < 2:
        return None
    z = np.asarray(space.all.z)[space.train][there]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        z, labels[there]
    )

    def ask(steps: np.ndarray) -> np.ndarray:
        return np.asarray(fitted.predict_proba(space.move(steps)), np.float32)

    return Reader(
        "a linear probe fitted on training cases", [data.classes[int(c)] for c in classes], ask
    )


def _measure(
    reader: Reader,
    data: Dataset,
    rows: np.ndarray,
    amount: np.ndarray,
    way: np.ndarray,
    feature: int,
    others: list[int],
    seed: int,
    off: bool,
    report: Report,
) -> dict[str, Any]:
    """Return the shifts of the classes, beside those of the controls."""
    rng = np.random.default_rng(seed)
    some = rng.permutation(others)[:CONTROLS]
    drawn = rng.normal(size=(CONTROLS, way.shape[1]))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    # a feature is added along its own end and against it alike, since the sign of one is arbitrary
    features = way[some] * rng.choice([-1.0, 1.0], len(some))[:, None]
    shares = np.linspace(-1.0, 1.0, 9) if not off else np.linspace(0.0, 1.0, 5)
    passes = 2 + len(some) + CONTROLS + len(shares)
    done = 0

    def ask(steps: np.ndarray) -> np.ndarray:
        nonlocal done
        found = reader.ask(steps)
        done += 1
        report(done / passes)
        return found

    before = ask(np.zeros((len(rows), way.shape[1])))
    after = ask(amount[:, None] * way[feature])
    shift = after - before
    null = {
        name: np.array([(ask(amount[:, None] * w) - before).mean(0) for w in ways])
        for name, ways in (("feature", features), ("direction", drawn))
    }
    curve = [ask(s * amount[:, None] * way[feature]).mean(0) for s in shares]
    held = data.of(rows)
    results = []
    for c, name in enumerate(reader.classes):
        mean = float(shift[:, c].mean())
        bounds = mean_interval(shift[:, c].astype(float), held.groups, (-1.0, 1.0))
        one: dict[str, Any] = {
            "class": name,
            "n": len(rows),
            "before": float(before[:, c].mean()),
            "after": float(after[:, c].mean()),
            "shift": mean,
            "low": bounds.low,
            "high": bounds.high,
        }
        beyond = bounds.low is not None and bounds.high is not None
        beyond = beyond and not (bounds.low <= 0 <= bounds.high)  # type: ignore[operator]
        for control, values in null.items():
            if not len(values):
                continue
            low, high = np.quantile(values[:, c], [0.025, 0.975])
            above = int((np.abs(values[:, c]) < abs(mean)).sum())
            one |= {f"{control}_low": float(low), f"{control}_high": float(high)}
            one |= {f"above_{control}s": above}
            beyond = beyond and above >= (1 - LEVEL) * len(values)
        results.append(one | {"stands_out": bool(beyond and abs(mean) >= SMALL)})
    return {
        "reader": reader.title,
        "classes": reader.classes,
        "before": before.astype("f4"),
        "after": after.astype("f4"),
        "reads": _accuracy(before, reader.classes, held),
        "results": results,
        "features": len(some),
        "directions": len(drawn),
        "curve": {
            "strength": [float(s) for s in shares],
            "share": [[float(p) for p in line] for line in curve],
        },
    }


def _accuracy(prob: np.ndarray, classes: list[str], held: Dataset) -> dict[str, Any]:
    """Return how often the likeliest class is the known one, on the held-out cases whose class is
    known; empty where none is.
    """
    truth = codes_among(held, classes)
    there = truth >= 0
    if not there.any():
        return {}
    right = prob[there].argmax(1) == truth[there]
    groups = None if held.groups is None else held.groups[there]
    bounds = mean_interval(right, groups)
    return {
        "accuracy": float(right.mean()),
        "low": bounds.low,
        "high": bounds.high,
        "n": int(there.sum()),
        "usual": float(np.bincount(truth[there]).max() / there.sum()),
    }


def _distances(space: _Space, data: Dataset, steered: np.ndarray) -> np.ndarray:
    """Percentiles [n,2] of the distance to the nearest training case, before and after."""
    parts = [distance_percentile(data, space.all, z) for z in (space.z, steered)]
    return np.stack(parts, 1).astype("f4")


def _neighbours(space: _Space, data: Dataset, steered: np.ndarray) -> dict[str, Any]:
    """Return the nearest training cases before and after, and the classes among them."""
    from scipy.spatial import cKDTree

    train = np.asarray(space.all.z)[space.train]
    k = min(NEAR, len(train))
    tree = cKDTree(train)
    found = [tree.query(z, k=k)[1].reshape(len(z), k) for z in (space.z, steered)]
    kept = np.array([len(set(a) & set(b)) / k for a, b in zip(*found)], "f4")
    rows = np.asarray(space.all.rows)[space.train]
    labels = data.of(rows).labels
    around = []
    for c, name in enumerate(data.classes if len(data.classes) <= 50 else []):
        shares = [float((labels[at] == c).mean()) for at in found]
        around.append({"class": name, "before": shares[0], "after": shares[1]})
    near = np.stack([rows[at[:, : min(5, k)]] for at in found], 1)
    return {"near": near, "kept": kept, "around": around}


def _pictures(
    base: Any | None, space: _Space, steered: np.ndarray, row: int | None
) -> dict[str, Any]:
    """Return what the earlier model decodes of a few cases before and after."""
    n = len(space.rows)
    at = evenly_spaced(n, SHOWN)
    first = np.flatnonzero(space.rows == row)
    at = np.concatenate([first, at[~np.isin(at, first)]])[:SHOWN]
    frames = None
    if base is not None and "decode" in base.abilities:
        pairs = np.stack([space.z[at], steered[at]], 1) * space.norm[at, None, None]
        made = decode(base, pairs.reshape(-1, pairs.shape[-1]))
        frames = made.reshape(len(at), 2, *made.shape[1:])
    return {"shown": space.rows[at], "frames": frames}


def describe(made: Steering) -> str:
    """Return what steering did, in a sentence."""
    far = float(np.median(made.distance[:, 1]))
    beyond = (
        " Most steered cases lie farther from real ones than 99 of 100 real cases do, so little"
        " can be concluded."
        if far >= 99
        else ""
    )
    if not made.reader:
        return (
            "no classes are known, so only neighbours and pictures tell what it changes." + beyond
        )
    found = sorted((r for r in made.results if r["stands_out"]), key=lambda r: -abs(r["shift"]))
    what = "taking it out" if made.off else "adding it"
    if not found:
        return (
            f"{what} shifts no class more than steps of the same length along other features and"
            " in random directions do." + beyond
        )
    words = [
        f"{'raises' if r['shift'] > 0 else 'lowers'} “{r['class']}” by {abs(r['shift']):.2f}"
        for r in found[:4]
    ]
    return (
        f"{what} {', '.join(words)} on average, more than steps of the same length along"
        f" {made.features} other features and in {made.directions} random directions do." + beyond
    )
