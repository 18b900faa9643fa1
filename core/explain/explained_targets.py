"""What of a model's result is explained: a class, the anomaly score, a latent axis, how well a case
sits in a cluster, how like another case it is, what puts it where it lies on a map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Clusters, Embedding
from core.errors import UserError

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.explain.latent_place import Way

PREDICTED = "predicted"  # of each case the class that the model names
NEIGHBOUR = "neighbour"  # followed by a row id
PLACE = "place"  # on a map, followed by the row id of the case


def list_targets(model: Any, clusters: Clusters | None = None) -> list[tuple[str, str]]:
    """Return what can be explained: (key, title): the predicted class, each class, the anomaly
    score, each latent axis, each cluster, and last, where the model has a latent space,
    ("neighbour", ...), which wants a row id behind it: "neighbour 12".
    """
    found = []
    if "predict" in model.abilities:
        found = [(PREDICTED, "the class that the model names")]
        found += [(f"class {c}", f"how likely “{c}” is") for c in model.classes]
    if "score" in model.abilities and model.gradients:
        found += [("score", "how unusual it is")]
    if "embed" in model.abilities and model.gradients:
        found += [(f"axis {j + 1}", f"latent axis {j + 1}") for j in range(model.latent_axes)]
        if clusters is not None:
            here = np.unique(clusters.label[clusters.label >= 0])
            found += [
                (f"cluster {j + 1}", f"how well it sits in {clusters.name_of(int(j))}")
                for j in here
            ]
        found += [(NEIGHBOUR, "how like another case it is")]
    return found


def make_forward(
    model: Any,
    target: str,
    data: Dataset,
    space: Embedding | None = None,
    clusters: Clusters | None = None,
    way: Way | None = None,
) -> Callable[[Any], Any]:
    """`x [b,*input]` -> [b]. UserError for what the model cannot be asked about.

    A cluster: the squared distance to the nearest other centre less that to its own, in latent
    space, so that more means deeper within. A neighbour: minus the squared distance to that case.
    Both on unit vectors where the space goes by cosine. A place: how far along `way` an input would
    lie on the map, in shares of it.
    """
    import torch

    kind, _, name = target.partition(" ")
    if kind == "class":
        if name not in model.classes:
            raise UserError(
                f"This model does not predict “{name}” (it predicts:"
                f" {', '.join(model.classes) or 'nothing'})."
            )
        j = model.classes.index(name)
        return lambda x: model.predict(x)[:, j]
    if target == "score":
        return lambda x: model.score(x)
    if kind == "axis" and name.isdigit():
        return lambda x: model.embed(x)[:, int(name) - 1]

    cosine = space is not None and space.metric == "cosine"

    def embed(x: Any) -> Any:
        z = model.embed(x)
        return torch.nn.functional.normalize(z, dim=1) if cosine else z

    if kind == PLACE and way is not None and name == str(way.row):
        middle, slope = torch.from_numpy(way.middle), torch.from_numpy(way.slope)
        return lambda x: (embed(x) - middle.to(x)) @ slope.to(x)
    if kind == NEIGHBOUR and name.isdigit():
        if int(name) not in set(data.rows.tolist()):
            raise UserError(f"“{data.name}” has no row {name} to be like.")
        other = torch.from_numpy(data.of(np.array([int(name)])).inputs())

        def likeness(x: Any) -> Any:
            with torch.no_grad():
                there = embed(other.to(x))
            return -(embed(x) - there).square().sum(1)

        return likeness
    if kind == "cluster" and name.isdigit() and clusters is not None and space is not None:
        centres, own = _centres(space, clusters, int(name) - 1, cosine)

        def margin(x: Any) -> Any:
            away = (embed(x)[:, None] - centres.to(x)[None]).square().sum(2)
            others = torch.cat([away[:, :own], away[:, own + 1 :]], 1)
            return others.min(1).values - away[:, own]

        return margin
    raise UserError(f"“{target}” is nothing this model can be asked about.")


def _centres(space: Embedding, clusters: Clusters, which: int, cosine: bool) -> tuple[Any, int]:
    """Mean latent vector of each cluster, float32 [k,d], and the place of `which` among them."""
    import torch

    shared = np.intersect1d(space.rows, clusters.rows)
    z = np.asarray(space.z)[space.at(shared)].astype(np.float32)
    label = np.asarray(clusters.label)[clusters.at(shared)]
    if cosine:
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    here = np.unique(label[label >= 0])
    if which not in here or len(here) < 2:
        raise UserError(
            f"There is no cluster {which + 1} beside others in what was grouped here"
            f" (there are {len(here)})."
        )
    means = np.stack([z[label == j].mean(0) for j in here])
    return torch.from_numpy(means), int(np.flatnonzero(here == which)[0])


def predicted_targets(model: Any, data: Dataset, rows: np.ndarray) -> list[str]:
    """Return "class X" for each of `rows`: what the model names it."""
    import torch

    from core.training.loader import device_of, in_order

    device = device_of(model.nets())
    with torch.no_grad():
        parts = [model.predict(x).argmax(1).cpu() for x in in_order(data.of(rows), device, 256)]
    return [f"class {model.classes[int(j)]}" for part in parts for j in part]
