"""What `import lightbox` offers: plain functions over the engine that the app and the CLI use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import core.registry as registry
from core.artifacts import (
    AnomalyMaps,
    Artifact,
    Attributions,
    Benchmark,
    Clusters,
    ConceptTest,
    Counterfactual,
    Embedding,
    Grid,
    Images,
    Map,
    Metric,
    Metrics,
    Model,
    Network,
    Predictions,
    Rationales,
    Scope,
    Steering,
    Traversal,
)
from core.data.dataset import Dataset
from core.errors import UserError
from core.evaluate import measure
from core.maps.make import make_map
from core.maps.projections import AUTOMATIC
from core.measure import Measure
from core.method import Method, Takes, check_params
from core.params import BaseParams, TrainingParams, param
from core.training.fit import fit_and_apply
from core.training.run import Run
from lightbox import screen

if TYPE_CHECKING:
    from core.explain.axis_names import AxisName

__all__ = [
    "AnomalyMaps",
    "Artifact",
    "Attributions",
    "BaseParams",
    "Benchmark",
    "Clusters",
    "ConceptTest",
    "Counterfactual",
    "Dataset",
    "Embedding",
    "Fit",
    "Grid",
    "Images",
    "Map",
    "Measure",
    "Method",
    "Metric",
    "Metrics",
    "Model",
    "Network",
    "Predictions",
    "Rationales",
    "Run",
    "Scope",
    "Steering",
    "Takes",
    "TrainingParams",
    "Traversal",
    "UserError",
    "axis_names",
    "check_explanations",
    "concepts",
    "counterfactual",
    "explain",
    "fit",
    "load_dataset",
    "map",
    "methods",
    "open_run",
    "param",
    "report",
    "sample",
    "samples",
    "screen",
    "steer",
]


@dataclass(repr=False)
class Fit:
    """A fitted method with its artifacts by name and its metrics, on the dataset it describes.

    `method` is None for a stored run that gave no model.
    """

    method: Method | None
    data: Dataset
    artifacts: dict[str, Artifact]
    metrics: list[Metric] = field(default_factory=list)

    @property
    def embedding(self) -> Embedding:
        """The first embedding: `z` is float32 [n,d]. UserError when the method gives none."""
        for artifact in self.artifacts.values():
            if isinstance(artifact, Embedding):
                return artifact
        raise UserError("This fit gives no embedding.")

    def __repr__(self) -> str:
        gives = ", ".join(self.artifacts)
        return f"Fit({self.method!r} on “{self.data.name}”, {len(self.data)} cases: {gives})"


def load_dataset(path: str | Path, **options: Any) -> Dataset:
    """Read a file, zip or folder into a Dataset, which is not stored.

    `options` are those of the reader: label, group, domain, text (names of columns), masks (a
    path), name, seed, normal. Raises UserError, one sentence, for what cannot be read whole.
    """
    from core.data.readers import read

    if options.get("masks") is not None:
        options["masks"] = Path(options["masks"])
    return read(Path(path), **options)


def samples() -> list[str]:
    """Names of the built-in datasets, for `sample`."""
    from core.data.samples.catalogue import SAMPLES
    from core.data.samples.generated import GENERATED

    return [*SAMPLES, *GENERATED]


def sample(name: str) -> Dataset:
    """Return the built-in dataset called `name`. Raises UserError when there is none."""
    from core.data.samples.catalogue import make_sample

    return make_sample(name)


def methods() -> dict[str, type[Method]]:
    """All methods by id, sorted; `methods()["pca"].Params` has the parameters."""
    return dict(registry.methods())


def fit(
    method: str | type[Method],
    data: Dataset,
    *,
    seed: int = 0,
    device: str = "auto",
    on: Mapping[str, Artifact] | Fit | None = None,
    **params: Any,
) -> Fit:
    """Fit `method` (an id or a class) on the training rows of `data` and describe every row.

    `on`: the fit (or its artifacts by name) that this method builds upon. `params`: parameters
    of the method. Raises UserError for an unknown method or parameter and for data that does
    not fit the method.
    """
    kind = registry.method_class(method) if isinstance(method, str) else method
    if kind is None:
        raise UserError(f"There is no method “{method}” (there are: {', '.join(methods())}).")
    earlier = on.artifacts if isinstance(on, Fit) else dict(on or {})
    run = Run(seed=seed, device=device, on=earlier)
    fitted, made = fit_and_apply(kind, check_params(kind, params), data, run)
    own = [m for a in made if isinstance(a, Metrics) for m in a]
    given = {a.slug: a for a in made}
    below = earlier if isinstance(on, Fit) and on.data is data else None
    return Fit(fitted, data, given, [*own, *measure(data, given, None, seed, below)])


def open_run(workspace: str | Path, id: str) -> Fit:
    """Return the finished run `id` (or an unambiguous start of it) of a workspace folder.

    Raises UserError when there is no such workspace or run, or the run is not finished.
    """
    from core.jobs.queue import finished_run
    from core.workspace.workspace import Workspace

    if not Path(workspace).is_dir():
        raise UserError(f"There is no workspace folder {workspace}.")
    ws = Workspace(Path(workspace))
    job = finished_run(ws, id, "opened")
    given = ws.artifacts(job.id)
    model = next((a for a in given.values() if isinstance(a, Model)), None)
    metrics = [m for a in given.values() if isinstance(a, Metrics) for m in a]
    opened = registry.open_model(model) if model is not None else None
    return Fit(opened, ws.dataset(job.dataset), given, metrics)


def map(of: Embedding | Fit, how: str = AUTOMATIC, dims: int = 2, seed: int = 0) -> Map:
    """Project an embedding: `xy` is float32 [n,dims]; `how` is umap, tsne, pca, pacmap,
    or auto: UMAP unless another was clearly more faithful on a sample (`compared` has the scores).

    Raises UserError for fewer than 5 rows or an unknown projection.
    """
    return make_map(of.embedding if isinstance(of, Fit) else of, how, dims, seed)


def axis_names(fitted: Fit) -> list[AxisName | None]:
    """Return what each axis of the embedding follows most, a column or a picture measure, chosen on
    training cases and measured on held-out ones with q-values; None where it is nothing.
    """
    from core.explain.axis_names import name_axes

    return name_axes(fitted.embedding, fitted.data)


def concepts(
    fitted: Fit, of: Mapping[str, Sequence[int]] | Sequence[str], layer: str = "", seed: int = 0
) -> list[ConceptTest]:
    """Test whether the model uses concepts, against 200 random ones of the same size each.

    `of`: row ids by the name of the concept, or words, each COLUMN=VALUE or a column of numbers
    (its upper third). `layer`: the latent space by default. Raises UserError where that cannot be
    asked, or a concept has fewer than 8 training cases.
    """
    from core.explain.concepts import concept_of_column, concept_of_rows, measure_concepts

    if fitted.method is None:
        raise UserError("This run keeps no model that could be asked.")
    if isinstance(of, Mapping):
        asked = [concept_of_rows(fitted.data, np.array(rows), name) for name, rows in of.items()]
    else:
        parts = [words.partition("=") for words in of]
        asked = [concept_of_column(fitted.data, a.strip(), b.strip()) for a, _, b in parts]
    return measure_concepts(fitted.method, fitted.data, asked, layer, seed=seed)


def counterfactual(fitted: Fit, row: int, to: str, locked: Sequence[str] = ()) -> Counterfactual:
    """Find the smallest change of the case `row` that makes the model say `to`: a class, or "score"
    for an anomaly score at its threshold.

    `locked`: columns of a table that may not change. Raises UserError where that cannot be asked
    or the model says so already; where no plausible change is found, `found` of the result is
    False and `said` tells why.
    """
    from core.explain.counterfactual import find_counterfactual

    if fitted.method is None:
        raise UserError("This run keeps no model that could be asked.")
    kept = list(fitted.artifacts.values())
    maps = next((a for a in kept if isinstance(a, AnomalyMaps) and a.shows != "doubt"), None)
    return find_counterfactual(
        fitted.method,
        fitted.data,
        next((a for a in kept if isinstance(a, Embedding)), None),
        row,
        f"class {to}" if to in fitted.method.classes else to,
        None if maps is None else maps.threshold,
        locked,
    )


def explain(
    fitted: Fit,
    rows: Sequence[int],
    how: str = "integrated_gradients",
    target: str = "",
    baseline: str = "mean",
) -> Attributions:
    """Attribute the result for the cases `rows` to their input: `value` is float32 [n,*input].

    `how`: a way such as smooth_grad; `target`: "predicted", "class NAME", "score", "axis K",
    "cluster K" or "neighbour ROW", by default the first that the model can be asked; `baseline`:
    mean, zero, blur, normal or other. Raises UserError for what does not fit.
    """
    from core.explain.attribution import attribute

    method, asked, ask = _asked(fitted, target, baseline)
    return attribute(method, fitted.data, np.asarray(rows), how, asked, ask=ask)


def check_explanations(
    fitted: Fit,
    rows: Sequence[int] | None = None,
    hows: Sequence[str] | None = None,
    target: str = "",
    baseline: str = "mean",
) -> tuple[Metrics, Grid]:
    """Check whether maps that `explain` makes can be trusted: a metric for each way (`group`) and
    check (`name`), with interval and n, and the matrix of agreement between ways.

    `rows`: 16 cases of the test part by default; `hows`: by default all ways but Shapley values.
    Raises UserError where no way fits.
    """
    from core.explain.map_health import check_maps, default_rows

    method, asked, ask = _asked(fitted, target, baseline)
    cases = default_rows(fitted.data) if rows is None else np.asarray(rows)
    return check_maps(method, fitted.data, cases, asked, list(hows) if hows else None, ask)


def _asked(fitted: Fit, target: str, baseline: str) -> tuple[Method, str, Any]:
    from core.explain.attribution import Question, list_targets

    if fitted.method is None:
        raise UserError("This run keeps no model that could be asked.")
    kept = list(fitted.artifacts.values())
    clusters = next((a for a in kept if isinstance(a, Clusters)), None)
    offered = [key for key, _ in list_targets(fitted.method, clusters)]
    if not offered:
        raise UserError("This model can be asked nothing that could be explained.")
    space = next((a for a in kept if isinstance(a, Embedding) and a.place is None), None)
    return fitted.method, target or offered[0], Question(baseline, space, clusters)


def steer(
    fitted: Fit,
    on: Fit,
    feature: int,
    strength: float = 1.0,
    off: bool = False,
    row: int | None = None,
    seed: int = 0,
) -> Steering:
    """Add feature number `feature` (from 1) of a sparse autoencoder `fitted` to held-out cases and
    measure what changes, beside 40 other features and 40 random directions; `on`: the fit it was
    learned on.

    `strength` in multiples of the 95th percentile of the feature's codes in training cases; `off`:
    take it out instead. `row`: a case that is shown first. Raises UserError where that cannot be
    asked.
    """
    from core.explain.steering import steer as measured

    if fitted.method is None:
        raise UserError("This run keeps no model that could be asked.")
    return measured(
        fitted.method,
        fitted.embedding,
        on.method,
        on.embedding,
        fitted.data,
        feature - 1,
        strength,
        off,
        row,
        seed,
    )


def report(workspace: str | Path, runs: list[str], path: str | Path) -> Path:
    """Write the HTML report of finished runs of a workspace to `path`, and return that path.

    Raises UserError when there is no such workspace or a run is not finished.
    """
    from core.report.html import report_html
    from core.workspace.workspace import Workspace

    if not Path(workspace).is_dir():
        raise UserError(f"There is no workspace folder {workspace}.")
    Path(path).write_text(report_html(Workspace(Path(workspace)), runs), encoding="utf-8")
    return Path(path)
