"""Attributions: how much each input value moved a model's result, with the completeness residual
where the axiom holds.

The baseline is the mean training input (missing table values: their column's mean). Integrated
gradients and feature ablation start from it. Occlusion and ablation are captum's; gradients are
taken here, since captum cuts the steps of every case into many calls and takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Attributions
from core.data.slices import as_slices, slice_ids, slices_per_volume
from core.errors import UserError
from core.training.loader import in_order
from core.training.slices_to_volumes import Fold

if TYPE_CHECKING:
    from core.data.dataset import Dataset

HOW = {
    "integrated_gradients": (
        "Integrated gradients: adds up the slope from the average case to this one"
    ),
    "occlusion": "Occlusion: covers a patch and looks how the result changes",
    "gradient_x_input": "Gradient times input: the slope at this case",
    "feature_ablation": (
        "Feature ablation: sets one column to its average and looks how the result changes"
    ),
}
STEPS = 64  # of integrated gradients
BATCH = 32
TOGETHER = 256  # inputs the model looks at in one call


def list_targets(model: Any) -> list[tuple[str, str]]:
    """Return what can be explained: (key, title): each class, the anomaly score, each latent
    axis.
    """
    found = (
        [(f"class {c}", f"how likely “{c}” is") for c in model.classes]
        if "predict" in model.abilities
        else []
    )
    found += (
        [("score", "how unusual it is")] if "score" in model.abilities and model.gradients else []
    )
    if "embed" in model.abilities and model.gradients:
        found += [(f"axis {j + 1}", f"latent axis {j + 1}") for j in range(model.latent_axes)]
    return found


def attribution_methods(data: Dataset) -> list[str]:
    """Which ways fit this kind of data."""
    return (
        ["integrated_gradients", "gradient_x_input", "feature_ablation"]
        if data.modality == "table"
        else ["integrated_gradients", "occlusion", "gradient_x_input"]
    )


def _make_forward(model: Any, target: str) -> Callable[[Any], Any]:
    """`x [b,*input]` -> [b]."""
    if target.startswith("class "):
        name = target.removeprefix("class ")
        if name not in model.classes:
            raise UserError(
                f"This model does not predict “{name}” (it predicts:"
                f" {', '.join(model.classes) or 'nothing'})."
            )
        j = model.classes.index(name)
        return lambda x: model.predict(x)[:, j]
    if target == "score":
        return lambda x: model.score(x)
    if target.startswith("axis ") and target[5:].isdigit():
        return lambda x: model.embed(x)[:, int(target[5:]) - 1]
    raise UserError(f"“{target}” is nothing this model can be asked about.")


def attribute(
    model: Any,
    data: Dataset,
    rows: np.ndarray,
    how: str,
    target: str,
    report: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Attributions:
    """Attributions of `rows`, value float32 [n,*input]. Raises UserError for a way that does not
    fit the data or an unknown target.

    Cost per case: 64 gradients (integrated gradients), 1 (gradient x input), about 64 forward
    passes (occlusion), d (ablation). Of a model that takes volumes slice by slice every slice is a
    case; the values are volumes again, output and residual sums over the slices.
    """
    import torch

    if data.modality == "volume" and model.slicewise:
        made = attribute(model, as_slices(data), slice_ids(data, rows), how, target, report, stop)
        done = len(made.rows) // slices_per_volume(data)
        part = data.of(np.asarray(rows)[:done])
        made = replace(
            made,
            rows=made.rows[: done * slices_per_volume(data)],
            value=made.value[: done * slices_per_volume(data)],
            residual=_first(made.residual, done * slices_per_volume(data)),
            output=_first(made.output, done * slices_per_volume(data)),
        )
        (whole,) = Fold(part, np.ones((done, slices_per_volume(data)), bool))([made])
        assert isinstance(whole, Attributions)
        return whole
    fitting = attribution_methods(data)
    if how not in HOW or how not in fitting:
        raise UserError(f"“{how}” does not fit {data.modality} data; use {' or '.join(fitting)}.")
    forward = _make_forward(model, target)
    device = next((p.device for net in model.nets() for p in net.parameters()), torch.device("cpu"))
    base = torch.from_numpy(_mean_input(data.reference))[None].to(device)
    explain = _make_explainer(forward, base, how, data)
    with torch.no_grad():
        usual = forward(base)
    values, residuals, outputs = [], [], []
    for i, raw in zip(range(0, len(rows), BATCH), in_order(data.of(rows), device, BATCH)):
        if stop():
            break
        x = torch.where(raw.isnan(), base.expand_as(raw), raw)
        with torch.enable_grad():
            value = explain(x).detach()
        with torch.no_grad():
            out = forward(x)
        if how == "integrated_gradients":
            gap = value.flatten(1).sum(1) - (out - usual)
            residuals.append(gap.abs().cpu().numpy())
        values.append(value.float().cpu().numpy())
        outputs.append(out.float().cpu().numpy())
        if report is not None:
            report(min(1.0, (i + BATCH) / len(rows)))
    done = sum(map(len, values))
    return Attributions(
        rows=np.asarray(rows)[:done],
        value=np.concatenate(values),
        target=target,
        how=how,
        output=np.concatenate(outputs),
        residual=np.concatenate(residuals) if residuals else None,
    )


def _mean_input(data: Dataset) -> np.ndarray:
    """Mean input [*shape] in the type of inputs, missing values left out (0 where all are missing);
    read a block at a time.
    """
    import torch

    total, count = np.zeros(data.shape), np.zeros(data.shape)
    for x in in_order(data, torch.device("cpu"), TOGETHER):
        there = ~x.isnan()
        total += x.nan_to_num(0.0).double().sum(0).numpy()
        count += there.sum(0).numpy()
    return (total / np.maximum(count, 1)).astype(data.input_type)


def _first(values: np.ndarray | None, many: int) -> np.ndarray | None:
    return None if values is None else values[:many]


def _make_explainer(
    forward: Callable[[Any], Any], base: Any, how: str, data: Dataset
) -> Callable[[Any], Any]:
    if how == "integrated_gradients":
        return lambda x: integrated_gradients(forward, x, base)
    if how == "gradient_x_input":
        return lambda x: x * _row_gradients(forward, x)
    from captum.attr import FeatureAblation, Occlusion

    if how == "feature_ablation":
        ablation = FeatureAblation(forward)
        return lambda x: ablation.attribute(
            x, baselines=base.expand_as(x), perturbations_per_eval=max(1, TOGETHER // len(x))
        )
    side = max(2, min(data.shape[-2:]) // 7)
    window = (*data.shape[:-2], side, side)
    stride = (*data.shape[:-2], max(1, side // 2), max(1, side // 2))
    if data.modality == "series":  # a stretch of one channel at a time
        window, stride = (1, max(2, data.shape[-1] // 16)), (1, max(1, data.shape[-1] // 32))
    cover = Occlusion(forward)
    return lambda x: cover.attribute(
        x,
        sliding_window_shapes=window,
        strides=stride,
        baselines=base.expand_as(x),
        perturbations_per_eval=max(1, TOGETHER // len(x)),
    )


def integrated_gradients(forward: Callable[[Any], Any], x: Any, base: Any) -> Any:
    """Return the slopes of `forward` ([b,*input] -> [b]) at `STEPS` points between `base`
    [1,*input] and each of `x` [b,*input], averaged by Gauss and Legendre's rule, times x - base:
    [b,*input].

    The steps of several cases go through the model in one call. Source: Sundararajan, Taly, Yan,
    Axiomatic attribution for deep networks, ICML 2017.
    """
    import torch

    nodes, weights = (
        torch.from_numpy(v).to(x).view(-1, *[1] * x.ndim)
        for v in np.polynomial.legendre.leggauss(STEPS)
    )
    found = []
    for part in x.split(max(1, TOGETHER // STEPS)):
        along = base + (nodes + 1) / 2 * (part - base)
        slopes = _row_gradients(forward, along.flatten(0, 1)).view_as(along)
        found.append((slopes * (weights / 2)).sum(0) * (part - base))
    return torch.cat(found)


def _row_gradients(forward: Callable[[Any], Any], x: Any) -> Any:
    """Gradients [b,*input] of each row's result at x [b,*input]: of their sum, since rows do not
    depend on one another.
    """
    import torch

    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(forward(x).sum(), x)[0]


def randomisation_check(
    model: Any, data: Dataset, rows: np.ndarray, how: str, target: str, seed: int = 0
) -> float:
    """Rank correlation of absolute attributions with those of the same network with random weights;
    near 1 means the map ignores the model.

    NaN for methods without network weights (Adebayo et al., Sanity checks for saliency maps,
    NeurIPS 2018).
    """
    import copy

    import torch
    from scipy.stats import spearmanr

    if not model.nets():
        return float("nan")
    other = copy.deepcopy(model)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for net in other.nets():
            for layer in net.modules():
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
    a, b = (
        np.abs(attribute(m, data, rows, how, target).value).reshape(len(rows), -1)
        for m in (model, other)
    )
    found = [spearmanr(p, q).statistic for p, q in zip(a, b) if np.ptp(p) > 0 and np.ptp(q) > 0]
    return float(np.mean(found)) if found else float("nan")
