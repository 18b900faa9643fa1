"""Paths through the latent space of an opened model, what the decoder shows along them, and how far
from real cases they lead.

`model` is a fitted Method with `embed` and `decode`; `embedding` its latent coordinates. On the
simplex every path stays on it: setting one coordinate to v scales the others to sum to 1 - v.
Everything here is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding, Traversal
from core.errors import UserError
from core.sampling import evenly_spaced

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def decode(model: Any, z: np.ndarray) -> np.ndarray:
    """Return inputs [b,*input] decoded from z [b,d]: float32, or float64 where the model's scale
    has it (see `Standardise`).
    """
    import torch

    with torch.no_grad():
        made = model.decode(torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32)))
        return (made if made.dtype == torch.float64 else made.float()).numpy()


def predict(model: Any, x: np.ndarray) -> np.ndarray | None:
    """Class probabilities [b,k] of inputs, or None when the model does not predict."""
    import torch

    if "predict" not in model.abilities:
        return None
    with torch.no_grad():
        kind = np.float64 if x.dtype == np.float64 else np.float32
        return model.predict(torch.from_numpy(np.ascontiguousarray(x, dtype=kind))).float().numpy()


def latent_position(embedding: Embedding, row: int) -> np.ndarray:
    """Latent coordinates [d] of a row. UserError when the run does not hold it."""
    at = embedding.at(np.array([row]))
    if not len(at):
        raise UserError(f"Row {row} is not among the cases of this run.")
    return np.array(embedding.z[at[0]], dtype=np.float32)


def set_coordinate(embedding: Embedding, z: np.ndarray, axis: int, value: float) -> np.ndarray:
    """`z [d]` with one coordinate set; on the simplex the others are scaled so that the sum stays 1
    and value is kept within [0, 0.999].
    """
    out = z.copy()
    if embedding.geometry == "simplex":
        value = float(np.clip(value, 0.0, 0.999))
        rest = 1.0 - out[axis]
        out *= (1.0 - value) / max(float(rest), 1e-9)
    out[axis] = value
    return out


def axis_range(embedding: Embedding, axis: int) -> tuple[float, float]:
    """Return the ends of an axis: the 1st and 99th percentile of all cases, widened by a tenth; 0
    to 0.95 on the simplex; of a sparse feature, which is off in most cases, the 99th percentile of
    its strength where it is on, to either side if it has two poles.
    """
    if embedding.geometry == "simplex":
        return 0.0, 0.95
    if embedding.geometry == "sparse":
        value = np.asarray(embedding.z[:, axis])
        top = float(np.quantile(np.abs(value[value != 0]), 0.99)) if (value != 0).any() else 1.0
        return (-top if (value < 0).any() else 0.0), top
    low, high = np.quantile(np.asarray(embedding.z[:, axis]), [0.01, 0.99])
    room = 0.1 * (high - low)
    return float(low - room), float(high + room)


@dataclass(frozen=True)
class Ahead:
    """What a case becomes when one axis is moved from where it is, for several axes: `axes` [a],
    `values` [a,s] float, of which `values[i, at[i]]` is where axis i is now; `frames` [a,s,*input]
    decoded; `output` [a,s,k] class probabilities or None; `distance` [a,s] percentile as in
    `distance_percentile`.
    """

    axes: np.ndarray
    values: np.ndarray
    at: np.ndarray
    frames: np.ndarray
    output: np.ndarray | None
    distance: np.ndarray


def decode_ahead(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    z: np.ndarray,
    reach: dict[int, tuple[float, float]],
    steps: int = 15,
) -> Ahead:
    """Decode `steps` places along each axis of `reach` (its lowest and highest value) through the
    latent point `z [d]`, so that a slider need not wait. Where `z` itself is takes the place of the
    nearest. Cost: a·s decodings, in batches.
    """
    axes = np.array(list(reach), dtype=np.int64)
    values = np.stack([np.linspace(*reach[j], steps) for j in reach])
    now = np.clip(z[axes], values[:, 0], values[:, -1])
    at = np.abs(values - now[:, None]).argmin(1)
    values[np.arange(len(axes)), at] = now
    path = np.stack(
        [set_coordinate(embedding, z, int(j), v) for j, row in zip(axes, values) for v in row]
    ).astype(np.float32)
    frames = np.concatenate([decode(model, path[i : i + 64]) for i in range(0, len(path), 64)])
    output = predict(model, frames)
    grid = values.shape
    return Ahead(
        axes=axes,
        values=values,
        at=at,
        frames=frames.reshape(*grid, *frames.shape[1:]),
        output=None if output is None else output.reshape(*grid, -1),
        distance=distance_percentile(data, embedding, path).reshape(grid),
    )


def traverse_axis(
    model: Any, data: Dataset, embedding: Embedding, row: int, axis: int, steps: int = 9
) -> Traversal:
    """Return the case with one coordinate moved over its reach, the others kept."""
    start = latent_position(embedding, row)
    values = np.linspace(*axis_range(embedding, axis), steps)
    path = np.stack([set_coordinate(embedding, start, axis, v) for v in values])
    name = embedding.axes[axis] if embedding.axes else f"axis {axis + 1}"
    return make_traversal(model, data, embedding, [row], path, values, name)


def traverse_between(
    model: Any, data: Dataset, embedding: Embedding, row_a: int, row_b: int, steps: int = 9
) -> Traversal:
    """Return the straight line between two cases; its ends decode to their reconstructions exactly.
    A convex mix stays on the simplex.
    """
    a, b = latent_position(embedding, row_a), latent_position(embedding, row_b)
    share = np.linspace(0, 1, steps)
    path = np.stack([(1 - s) * a + s * b for s in share]).astype(np.float32)
    path[-1], path[0] = b, a
    return make_traversal(
        model, data, embedding, [row_a, row_b], path, share, f"from row {row_a} to row {row_b}"
    )


def find_direction(data: Dataset, embedding: Embedding, label: str) -> tuple[np.ndarray, float]:
    """Return the unit vector [d] that parts `label` from the rest (logistic regression on
    standardised training coordinates) and its AUC on held-out cases.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    if label not in data.classes:
        raise UserError(f"There is no class “{label}” (there are: {', '.join(data.classes[:20])}).")
    whole = data.of(embedding.rows)
    yes, z = whole.labels == data.classes.index(label), np.asarray(embedding.z, dtype=np.float64)
    fit = (whole.splits == "train") & (whole.labels >= 0)
    held = (whole.splits != "train") & (whole.labels >= 0)
    if yes[fit].all() or not yes[fit].any():
        raise UserError(
            f"“{label}” cannot be separated from the rest: the training part holds only one side."
        )
    mean, sd = z[fit].mean(0), np.maximum(z[fit].std(0), 1e-9)
    fitted = LogisticRegression(max_iter=1000).fit((z[fit] - mean) / sd, yes[fit])
    normal = fitted.coef_[0] / sd
    score = (
        roc_auc_score(yes[held], ((z[held] - mean) / sd) @ fitted.coef_[0])
        if held.any() and yes[held].any() and not yes[held].all()
        else float("nan")
    )
    return (normal / np.linalg.norm(normal)).astype(np.float32), float(score)


def traverse_toward_label(
    model: Any, data: Dataset, embedding: Embedding, row: int, label: str, steps: int = 9
) -> Traversal:
    """From the case along the direction of a class, up to where the middle case of that class lies
    (at least two standard deviations).

    Where the model has learned the class as a symbol, only the axes move that the symbol fixes, to
    where it fixes them.
    """
    if (
        label in getattr(model, "symbols_", [])
        and (path := _traverse_toward_symbol(model, data, embedding, row, label, steps)) is not None
    ):
        return path
    way, score = find_direction(data, embedding, label)
    start, z = latent_position(embedding, row), np.asarray(embedding.z)
    along = z @ way
    goal = np.median(along[data.of(embedding.rows).labels == data.classes.index(label)])
    length = max(float(goal - start @ way), 2 * float(along.std()))
    values = np.linspace(0, length, steps)
    path = start + values[:, None] * way
    if embedding.geometry == "simplex":
        path = np.clip(path, 0, None)
        path /= path.sum(1, keepdims=True)
    held = "not defined" if score != score else f"{score:.2f}"
    return make_traversal(
        model,
        data,
        embedding,
        [row],
        path.astype(np.float32),
        values,
        f"towards “{label}” (the direction parts held-out cases with AUC {held})",
    )


def _traverse_toward_symbol(
    model: Any, data: Dataset, embedding: Embedding, row: int, label: str, steps: int
) -> Traversal | None:
    """None when the symbol fixes no axis firmer than chance does."""
    mu, _, fixed = model.imagine([label])
    if not fixed.any():
        return None
    start, share = latent_position(embedding, row), np.linspace(0, 1, steps)
    path = start + share[:, None] * np.where(fixed, mu - start, 0)
    axes = ", ".join(str(j + 1) for j in np.flatnonzero(fixed))
    return make_traversal(
        model,
        data,
        embedding,
        [row],
        path.astype(np.float32),
        share,
        f"towards “{label}” (the axes this symbol fixes, {axes}, go where it has them; the others"
        " stay)",
    )


def make_traversal(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    rows: list[int],
    path: np.ndarray,
    values: np.ndarray,
    name: str,
) -> Traversal:
    """Return a path [steps,d] with what is decoded along it; `values` [steps] stand under it."""
    frames = decode(model, path)
    return Traversal(
        rows=np.array(rows),
        path=path.astype(np.float32),
        frames=frames,
        value=np.asarray(values, dtype=float),
        axis=name,
        distance=distance_percentile(data, embedding, path),
        near=nearest_cases(embedding, path, 3),
        output=predict(model, frames),
    )


def axis_effects(model: Any, embedding: Embedding) -> np.ndarray:
    """Return what `measure_axis_effects` gave when the run was trained, float [d]; of a run from
    before that was kept, measured now.
    """
    if embedding.effect is not None:
        return np.asarray(embedding.effect)
    return measure_axis_effects(model, embedding)


def measure_axis_effects(
    model: Any,
    embedding: Embedding,
    anchors: int = 16,
    report: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """Mean absolute change of the decoded input when an axis is turned from 2 sd below to 2 sd
    above its mean, over `anchors` cases: [d].

    On the simplex: from 0 to 0.5; a sparse feature from end to end, for the 64 most used ones (0
    for the others). Constant decoders give 0. Cost: 2 d anchors decodings, in one batch an axis.
    `report` hears of the share that is done, 0 to 1.
    """
    z = np.asarray(embedding.z, dtype=np.float32)
    some = z[evenly_spaced(len(z), anchors)]
    mean, sd = z.mean(0), z.std(0)
    out = np.zeros(z.shape[1])
    sparse = embedding.geometry == "sparse"
    axes = np.argsort(-(z != 0).mean(0), kind="stable")[:64] if sparse else range(z.shape[1])
    for done, j in enumerate(axes):
        report(done / len(axes))
        low, high = mean[j] - 2 * sd[j], mean[j] + 2 * sd[j]
        if embedding.geometry == "simplex":
            low, high = 0.0, 0.5
        elif sparse:
            low, high = axis_range(embedding, j)
        ends = [
            decode(model, np.stack([set_coordinate(embedding, a, j, v) for a in some]))
            for v in (low, high)
        ]
        out[j] = np.abs(ends[1] - ends[0]).mean()
    return out


def nearest_cases(embedding: Embedding, z: np.ndarray, k: int = 3) -> np.ndarray:
    """Row ids int64 [b,k] of the real cases nearest to latent points z [b,d]."""
    from scipy.spatial.distance import cdist

    order = np.argsort(cdist(z, np.asarray(embedding.z)), axis=1, kind="stable")[:, :k]
    return np.asarray(embedding.rows)[order]


def describe_distance(percent: float) -> str:
    """Return what a `distance_percentile` says, as a clause: how far from real cases a point is."""
    than = "every real case" if percent >= 100 else f"{int(percent)} of 100 real cases"
    if percent < 95:
        words = "as real cases are"
    elif percent < 99:
        words = "at the edge of what the model has seen"
    else:
        words = "unlike anything the model has seen: do not trust it"
    return f"farther from the nearest training case than {than}: {words}"


def distance_percentile(
    data: Dataset, embedding: Embedding, z: np.ndarray, most: int = 4_000
) -> np.ndarray:
    """Distance of points z [b,d] to the nearest training case, as percentile 0..100 of such
    distances of held-out cases (training cases' own, each to its nearest other, when nothing is
    held out). Coordinates are divided by their training sd. At most `most` training cases are used.
    Where no case was trained on (data a model was applied to), all stand for them.
    """
    tree, sd, own = _training_tree(data, embedding, most)
    return np.searchsorted(np.sort(own), tree.query(np.asarray(z) / sd)[0]) / len(own) * 100


def distance_to_training(
    data: Dataset, embedding: Embedding, z: np.ndarray, most: int = 4_000
) -> np.ndarray:
    """Distance of points z [b,d] to the nearest training case, in its training sd, as
    `distance_percentile` counts it.
    """
    tree, sd, _ = _training_tree(data, embedding, most)
    return np.asarray(tree.query(np.asarray(z) / sd)[0])


def _training_tree(
    data: Dataset, embedding: Embedding, most: int
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Places of training cases, their sd [d], and the distances that are usual."""
    from scipy.spatial import cKDTree

    known = data.of(embedding.rows).splits == "train"
    known |= not known.any()
    every = np.asarray(embedding.z, dtype=np.float64)
    train = every[known]
    train = train[:: max(1, len(train) // most)]
    sd = np.maximum(train.std(0), 1e-9)
    tree = cKDTree(train / sd)
    held = every[~known]
    own = tree.query(held / sd)[0] if len(held) >= 20 else tree.query(train / sd, k=2)[0][:, 1]
    return tree, sd, own


def save_frames(made: Traversal, data: Dataset, folder: Path) -> list[Path]:
    """Write frame_00.png ... (marked GENERATED), strip.png, traversal.gif and path.json; tables get
    path.json only. Gives the files.
    """
    from PIL import Image

    from core.imaging import render
    from core.io.files import make_folder, write_bytes, write_json

    make_folder(folder)
    files = []
    if render.is_drawable(data):
        images = [render.draw_generated(f, data, 240) for f in np.asarray(made.frames)]
        for k, image in enumerate([*images, np.concatenate(images, 1)]):
            files.append(folder / (f"frame_{k:02d}.png" if k < len(images) else "strip.png"))
            write_bytes(files[-1], render.encode_png(image))
        first, *others = [Image.fromarray(i) for i in images]
        first.save(
            folder / "traversal.gif",
            save_all=True,
            append_images=[*others, *others[-2::-1]],
            duration=200,
            loop=0,
        )
        files.append(folder / "traversal.gif")
    write_json(
        folder / "path.json",
        {
            "axis": made.axis,
            "rows": made.rows,
            "values": made.value,
            "path": made.path,
            "distance_percentile": made.distance,
            "nearest_rows": made.near,
            "output": made.output,
            "generated": True,
            **({"frames": made.frames} if made.frames.ndim == 2 else {}),
        },
    )
    return [*files, folder / "path.json"]
