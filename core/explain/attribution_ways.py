"""Ways to attribute a result to its input: each takes `forward` ([b,*input] -> [b]) and inputs
x [b,*input] and gives float32 [b,*input].

Gradients are taken here, the steps or draws of several cases in one call; what captum alone has
(occlusion, ablation, DeepLift, Shapley values by sampling) is captum's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from core.errors import UserError

STEPS = 64  # of integrated gradients
DRAWS = 32  # noisy copies of SmoothGrad
SPREAD = 0.15  # their noise, as a share of the range of the case (Smilkov et al.: 10 to 20 %)
ORDERS = 12  # orders of parts that Shapley values are averaged over
PATCHES = 7  # along each side of a picture, for Shapley values
TOGETHER = 256  # inputs the model looks at in one call
GAP = 0.05  # share of the result that DeepLift's parts may miss

Forward = Callable[[Any], Any]


def row_gradients(forward: Forward, x: Any) -> Any:
    """Gradients [b,*input] of each row's result at x [b,*input]: of their sum, since rows do not
    depend on one another.
    """
    import torch

    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(forward(x).sum(), x)[0]


def integrated_gradients(forward: Forward, x: Any, base: Any) -> Any:
    """Return the slopes of `forward` ([b,*input] -> [b]) at `STEPS` points between `base`
    [1 or b,*input] and each of `x` [b,*input], averaged by Gauss and Legendre's rule, times
    x - base: [b,*input].

    The steps of several cases go through the model in one call. Source: Sundararajan, Taly, Yan,
    Axiomatic attribution for deep networks, ICML 2017.
    """
    import torch

    nodes, weights = (
        torch.from_numpy(v).to(x).view(-1, *[1] * x.ndim)
        for v in np.polynomial.legendre.leggauss(STEPS)
    )
    found = []
    size = max(1, TOGETHER // STEPS)
    for part, start in zip(x.split(size), base.expand_as(x).split(size)):
        along = start + (nodes + 1) / 2 * (part - start)
        slopes = row_gradients(forward, along.flatten(0, 1)).view_as(along)
        found.append((slopes * (weights / 2)).sum(0) * (part - start))
    return torch.cat(found)


def smooth_grad(forward: Forward, x: Any, seed: int = 0, unit: Any = None) -> Any:
    """Mean gradient over `DRAWS` copies of each case with Gaussian noise of `SPREAD` of its range;
    with `unit` [*input] (the spread of each column of a table, whose scales differ) of `SPREAD` of
    that, and the gradient by that unit.

    Source: Smilkov, Thorat, Kim, Viégas, Wattenberg, SmoothGrad, 2017.
    """
    import torch

    made = torch.Generator().manual_seed(seed)
    found = []
    for part in x.split(max(1, TOGETHER // DRAWS)):
        flat = part.flatten(1)
        reach = unit
        if reach is None:
            reach = (flat.amax(1) - flat.amin(1)).view(-1, *[1] * (x.ndim - 1))
        noise = torch.randn((DRAWS, *part.shape), generator=made).to(part)
        noisy = (part + SPREAD * reach * noise).flatten(0, 1)
        found.append(row_gradients(forward, noisy).view(DRAWS, *part.shape).mean(0))
    slopes = torch.cat(found)
    return slopes if unit is None else slopes * unit


def grad_cam(nets: list[Any], forward: Forward, x: Any) -> Any:
    """Where the last convolutional layer speaks for the result: the positive part of its channels
    weighted by their mean gradient, enlarged to the input and shared among the channels of it.

    UserError where the model's forward passes through no convolution with places. Source:
    Selvaraju et al., Grad-CAM, ICCV 2017.
    """
    import torch

    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    layers = [m for net in nets for m in net.modules() if isinstance(m, kinds)]
    seen: list[Any] = []

    def note(layer: Any, given: Any, out: Any) -> None:
        whole = out.ndim == x.ndim and min(out.shape[2:]) > 1
        patches = layer.stride == layer.kernel_size and layer.stride[0] > 1
        if whole and not patches and out.requires_grad:
            seen.append(out)

    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.enable_grad():
            result = forward(x.detach().requires_grad_())
            slopes = torch.autograd.grad(result.sum(), seen, allow_unused=True) if seen else ()
    finally:
        for hook in hooks:
            hook.remove()
    used = [(a, g) for a, g in zip(seen, slopes) if g is not None]
    if not used:
        raise UserError(
            "Grad-CAM needs a network with convolutional layers between the input and what is"
            " explained; this model has none. Choose integrated gradients or occlusion."
        )
    layer, slope = used[-1]
    weight = slope.flatten(2).mean(2).view(*slope.shape[:2], *[1] * (x.ndim - 2))
    coarse = (weight * layer).sum(1, keepdim=True).relu().detach()
    mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[x.ndim]
    large = torch.nn.functional.interpolate(coarse, x.shape[2:], mode=mode, align_corners=False)
    return large.expand_as(x) / x.shape[1]


def deep_lift(nets: list[Any], forward: Forward, x: Any, base: Any) -> tuple[Any, Any]:
    """Differences from the baseline carried back through the layers (DeepLift, rescale rule), and
    the gap [b] between their sum and the difference of the result.

    A softmax at the end is left out: what is explained is the number before it. UserError where
    the parts miss the result by more than `GAP` of it: the network has layers that the rule does
    not know. Source: Shrikumar, Greenside, Kundaje, ICML 2017.
    """
    import warnings

    import torch
    from captum.attr import DeepLift
    from torch.overrides import TorchFunctionMode

    class WithoutSoftmax(TorchFunctionMode):
        def __torch_function__(
            self, fn: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if fn in (torch.softmax, torch.Tensor.softmax, torch.nn.functional.softmax):
                return args[0]
            return fn(*args, **(kwargs or {}))

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nets = torch.nn.ModuleList(nets)

        def forward(self, given: Any) -> Any:
            with WithoutSoftmax():
                return forward(given)

    if not nets:
        raise UserError("DeepLift needs a network; this model has none.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value, gap = DeepLift(Whole()).attribute(
                x.detach().requires_grad_(),
                baselines=base.expand_as(x).contiguous(),
                return_convergence_delta=True,
            )
        except (AssertionError, RuntimeError, AttributeError) as e:
            raise UserError(f"{_UNKNOWN_LAYERS} ({type(e).__name__}).") from e
    size = value.flatten(1).sum(1).abs().mean()
    if float(gap.detach().abs().mean()) > GAP * max(float(size.detach()), 1e-6):
        raise UserError(f"{_UNKNOWN_LAYERS}: its parts would not add up to the result.")
    return value.detach(), gap.detach()


_UNKNOWN_LAYERS = (
    "DeepLift does not know all layers of this network; choose integrated gradients instead"
)


def shapley(forward: Forward, x: Any, base: Any, seed: int = 0) -> Any:
    """Shapley values by sampling `ORDERS` orders in which parts are put from the baseline to the
    case: each column of a table, each of `PATCHES` x `PATCHES` patches of a picture (shared evenly
    by its pixels), each stretch of a signal's channel.

    Source: Štrumbelj and Kononenko, JMLR 2010.
    """
    import torch
    from captum.attr import ShapleyValueSampling

    parts = _parts(tuple(x.shape[1:])).to(x.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        value = ShapleyValueSampling(forward).attribute(
            x,
            baselines=base.expand_as(x).contiguous(),
            feature_mask=parts[None],
            n_samples=ORDERS,
            perturbations_per_eval=max(1, TOGETHER // len(x)),
        )
    size = torch.bincount(parts.flatten())
    return value / size[parts]


def _parts(shape: tuple[int, ...]) -> Any:
    """int64 [*shape]: the part each value belongs to, counted from 0."""
    import torch

    if len(shape) == 1:
        return torch.arange(shape[0])
    if len(shape) == 2:  # a signal: each channel in stretches
        stretch = torch.arange(shape[1]) * min(16, shape[1]) // shape[1]
        return torch.arange(shape[0])[:, None] * (int(stretch.max()) + 1) + stretch
    place = torch.zeros(shape[1:], dtype=torch.long)
    for axis, size in enumerate(shape[1:]):
        many = min(PATCHES, size)
        step = (torch.arange(size) * many // size).view(
            [-1 if a == axis else 1 for a in range(len(shape) - 1)]
        )
        place = place * many + step
    return place.expand(shape).contiguous()


def occlusion(forward: Forward, x: Any, base: Any, series: bool) -> Any:
    """Captum's Occlusion: each patch (of a signal: each stretch of a channel) set to the
    baseline.
    """
    from captum.attr import Occlusion

    shape = tuple(x.shape[1:])
    side = max(2, min(shape[-2:]) // 7)
    window = (*shape[:-2], side, side)
    stride = (*shape[:-2], max(1, side // 2), max(1, side // 2))
    if series:
        window, stride = (1, max(2, shape[-1] // 16)), (1, max(1, shape[-1] // 32))
    return Occlusion(forward).attribute(
        x,
        sliding_window_shapes=window,
        strides=stride,
        baselines=base.expand_as(x),
        perturbations_per_eval=max(1, TOGETHER // len(x)),
    )


def feature_ablation(forward: Forward, x: Any, base: Any) -> Any:
    """Captum's FeatureAblation: each column set to the baseline."""
    from captum.attr import FeatureAblation

    return FeatureAblation(forward).attribute(
        x, baselines=base.expand_as(x), perturbations_per_eval=max(1, TOGETHER // len(x))
    )
