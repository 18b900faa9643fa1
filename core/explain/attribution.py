"""Attributions: how much each input value moved a model's result, against a chosen baseline, with
the completeness residual where the axiom holds.

Ways are in `attribution_ways`, what is explained in `explained_targets`, baselines in `baselines`;
whether a map can be trusted is looked at in `map_health`. Missing table values are always set to
their column's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Attributions, Clusters, Embedding
from core.data.slices import as_slices, slice_ids, slices_per_volume
from core.errors import Cancelled, UserError
from core.explain import attribution_ways as ways
from core.explain.baselines import check_baseline, find_cases, mean_input, starts
from core.explain.explained_targets import PREDICTED, make_forward, predicted_targets
from core.explain.explained_targets import list_targets as list_targets
from core.training.loader import device_of, in_order
from core.training.slices_to_volumes import Fold

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.explain.latent_place import Way

HOW = {
    "integrated_gradients": (
        "Integrated gradients: adds up the slope from the baseline to this case"
    ),
    "occlusion": "Occlusion: covers a patch and looks how the result changes",
    "gradient_x_input": "Gradient times input: the slope at this case",
    "smooth_grad": "SmoothGrad: the slope, averaged over noisy copies of this case",
    "grad_cam": (
        "Grad-CAM: where the last convolutional layer speaks for the result; coarse, positive only"
    ),
    "deep_lift": (
        "DeepLift: carries the difference from the baseline back through the layers (of a class:"
        " of the number before it becomes a probability)"
    ),
    "shapley": "Shapley values: what each part adds, averaged over orders of adding parts",
    "feature_ablation": (
        "Feature ablation: sets one column to the baseline and looks how the result changes"
    ),
}
FROM_BASELINE = (
    "integrated_gradients",
    "occlusion",
    "deep_lift",
    "shapley",
    "feature_ablation",
)
COMPLETE = ("integrated_gradients", "deep_lift", "shapley")  # parts add up to the whole
BATCH = 32


@dataclass(frozen=True)
class Question:
    """What is asked beside way and target: the `baseline` (a key of `BASELINES`), the run's latent
    `space` and `clusters` where targets or baselines go by them, the `seed` of what is drawn, and
    the share `noise` of the spread of the data that is added to every case before it is explained
    (0; for the check of repeatability). `way`: the line on a map that the target “place ROW” goes
    by.
    """

    baseline: str = "mean"
    space: Embedding | None = None
    clusters: Clusters | None = None
    seed: int = 0
    noise: float = 0.0
    way: Way | None = None


PLAIN = Question()


def attribution_methods(data: Dataset) -> list[str]:
    """Which ways fit this kind of data; a model may decline some of them (see `attribute`)."""
    if data.modality == "table":
        return [
            "integrated_gradients",
            "gradient_x_input",
            "feature_ablation",
            "smooth_grad",
            "deep_lift",
            "shapley",
        ]
    return [
        "integrated_gradients",
        "occlusion",
        "gradient_x_input",
        "smooth_grad",
        "grad_cam",
        "deep_lift",
        "shapley",
    ]


def attribute(
    model: Any,
    data: Dataset,
    rows: np.ndarray,
    how: str,
    target: str,
    report: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    ask: Question = PLAIN,
) -> Attributions:
    """Attributions of `rows`, value float32 [n,*input]. Raises UserError for a way that does not
    fit the data or the model, an unknown target, or a baseline that the data does not offer.

    `target` "predicted": of each case the class that the model names it. Cost per case: 64
    gradients (integrated gradients), 32 (SmoothGrad), 1 (gradient x input, Grad-CAM, DeepLift),
    about 64 forward passes (occlusion), d (ablation), 12 d (Shapley values; 600 for a picture). Of
    a model that takes volumes slice by slice every slice is a case; the values are volumes again,
    output and residual sums over the slices. `stop` is asked before each batch; what is done by
    then is returned, and Cancelled raised where nothing is.
    """
    rows = np.asarray(rows)
    if data.modality == "volume" and model.slicewise:
        check_baseline(data, ask.baseline)
        made = attribute(
            model, as_slices(data), slice_ids(data, rows), how, target, report, stop, ask
        )
        return _folded(made, data, rows)
    if target == PREDICTED:
        each = predicted_targets(model, data, rows)
        made = attribute_each(model, data, rows, how, each, report, stop, ask)
        return replace(made, target=PREDICTED)
    fitting = attribution_methods(data)
    if how not in HOW or how not in fitting:
        raise UserError(f"“{how}” does not fit {data.modality} data; use {' or '.join(fitting)}.")
    check_baseline(data, ask.baseline)
    return _attribute(model, data, rows, how, target, report, stop, ask)


def attribute_each(
    model: Any,
    data: Dataset,
    rows: np.ndarray,
    how: str,
    targets: list[str],
    report: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    ask: Question = PLAIN,
) -> Attributions:
    """As `attribute`, with a target for each of `rows`."""
    order: list[np.ndarray] = []
    parts: list[Attributions] = []
    done = 0
    named = np.array(targets, object)
    for target in dict.fromkeys(targets):
        some = np.flatnonzero(named == target)

        def tell(share: float, before: int = done, many: int = len(some)) -> None:
            if report is not None:
                report((before + share * many) / len(rows))

        try:
            part = attribute(model, data, rows[some], how, target, tell, stop, ask)
        except Cancelled:
            if not parts:
                raise
            break
        parts.append(part)
        order.append(some[: len(part.rows)])
        done += len(some)
    back = np.argsort(np.concatenate(order), kind="stable")
    joined: dict[str, Any] = {
        key: None
        if getattr(parts[0], key) is None
        else np.concatenate([getattr(p, key) for p in parts])[back]
        for key in ("rows", *Attributions.per_row)
    }
    return replace(parts[0], **joined)


def _attribute(
    model: Any,
    data: Dataset,
    rows: np.ndarray,
    how: str,
    target: str,
    report: Callable[[float], None] | None,
    stop: Callable[[], bool],
    ask: Question,
) -> Attributions:
    import torch

    forward = make_forward(model, target, data, ask.space, ask.clusters, ask.way)
    nets = model.nets()
    device = device_of(nets)
    usual = mean_input(data.reference)
    mean = torch.from_numpy(usual)[None].to(device)
    against = None
    if how in FROM_BASELINE and ask.baseline in ("normal", "other"):
        against = find_cases(data, rows, ask.baseline, ask.space)
    spread = np.asarray(_spread(data) * ask.noise) if ask.noise else None
    made = torch.Generator().manual_seed(ask.seed)
    values, residuals, outputs = [], [], []
    for i, raw in zip(range(0, len(rows), BATCH), in_order(data.of(rows), device, BATCH)):
        if stop():
            break
        x = torch.where(raw.isnan(), mean.expand_as(raw), raw)
        if spread is not None:
            x = x + torch.randn(x.shape, generator=made).to(x) * torch.from_numpy(spread).to(x)
        near = None if against is None else against[i : i + len(x)]
        base = starts(data, x, ask.baseline, mean, near)
        with torch.enable_grad():
            value, gap = _explain(how, nets, forward, x, base, data, ask.seed)
        with torch.no_grad():
            out = forward(x)
            if how in COMPLETE and gap is None:
                gap = value.flatten(1).sum(1) - (out - forward(base))
        if gap is not None:
            residuals.append(gap.abs().cpu().numpy())
        values.append(value.detach().float().cpu().numpy())
        outputs.append(out.float().cpu().numpy())
        if report is not None:
            report(min(1.0, (i + BATCH) / len(rows)))
    if not values:
        raise Cancelled
    done = sum(map(len, values))
    return Attributions(
        rows=rows[:done],
        value=np.concatenate(values),
        target=target,
        how=how,
        output=np.concatenate(outputs),
        residual=np.concatenate(residuals) if residuals else None,
        baseline=ask.baseline if how in FROM_BASELINE else "",
        against=None if against is None else against[:done],
        usual=usual if how in FROM_BASELINE and ask.baseline == "mean" else None,
    )


def _explain(
    how: str, nets: list[Any], forward: Any, x: Any, base: Any, data: Dataset, seed: int
) -> tuple[Any, Any]:
    """Values of the inputs `x` by this way, and the completeness gap where it measures its own."""
    if how == "deep_lift":
        return ways.deep_lift(nets, forward, x, base)
    unit = None
    if how == "smooth_grad" and data.modality == "table":
        import torch

        unit = torch.from_numpy(_spread(data)).to(x)
    explain: dict[str, Callable[[], Any]] = {
        "integrated_gradients": lambda: ways.integrated_gradients(forward, x, base),
        "gradient_x_input": lambda: x * ways.row_gradients(forward, x),
        "smooth_grad": lambda: ways.smooth_grad(forward, x, seed, unit),
        "grad_cam": lambda: ways.grad_cam(nets, forward, x),
        "shapley": lambda: ways.shapley(forward, x, base, seed),
        "occlusion": lambda: ways.occlusion(forward, x, base, data.modality == "series"),
        "feature_ablation": lambda: ways.feature_ablation(forward, x, base),
    }
    return explain[how](), None


def _spread(data: Dataset) -> np.ndarray:
    """Return the standard deviation of the inputs of at most 500 usual cases: of each column of a
    table, else of all values together.
    """
    usual = data.reference
    x = usual.inputs(np.arange(0, len(usual), max(1, len(usual) // 500)))
    if data.modality == "table":
        return np.nan_to_num(np.nanstd(x, 0)).astype(data.input_type)
    return np.asarray(np.nanstd(x), data.input_type)


def _folded(made: Attributions, data: Dataset, rows: np.ndarray) -> Attributions:
    """Attributions of slices as those of volumes, of as many as are whole."""
    deep = slices_per_volume(data)
    done = len(made.rows) // deep
    made = replace(
        made,
        rows=made.rows[: done * deep],
        value=made.value[: done * deep],
        residual=_first(made.residual, done * deep),
        output=_first(made.output, done * deep),
    )
    (whole,) = Fold(data.of(rows[:done]), np.ones((done, deep), bool))([made])
    assert isinstance(whole, Attributions)
    return whole


def _first(values: np.ndarray | None, many: int) -> np.ndarray | None:
    return None if values is None else values[:many]
