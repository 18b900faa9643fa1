"""Layers of an opened model: what they hold of cases, and how an output changes with it.

A layer is a module of the model's networks that takes part when it predicts or scores. What it
holds of a case is averaged over places (pictures [b,c,h,w], volumes [b,c,d,h,w], tokens [b,t,c]),
so a layer has as many numbers as channels, wherever in the picture something lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError
from core.training.loader import device_of, in_order

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

BATCH = 64  # inputs the model looks at in one call
FEWEST = 2  # channels a layer needs for a direction in it to mean anything


@dataclass(frozen=True)
class Layer:
    """One layer: `key` names it in the model, `title` is for people, `channels` is how many numbers
    it holds of a case; `latent`: they are what `embed` gives.
    """

    key: str
    title: str
    channels: int
    latent: bool


@dataclass(frozen=True)
class Held:
    """What a layer holds of n cases, `held` float64 [n,c], and `slope` float64 [n,t,c] or None: how
    fast each of t outputs changes when a channel is moved at every place (the gradient by it,
    summed over places).
    """

    held: np.ndarray
    slope: np.ndarray | None


def list_outputs(model: Any) -> list[tuple[str, str]]:
    """Return what a layer can be asked about: (key, title), each class and the anomaly score."""
    if not model.gradients:
        return []
    classes = model.classes if "predict" in model.abilities else []
    found = [(f"class {c}", f"how likely “{c}” is") for c in classes]
    return found + ([("score", "how unusual it is")] if "score" in model.abilities else [])


def list_layers(model: Any, data: Dataset) -> list[Layer]:
    """Return the layers of `model` that its outputs depend on, the latent space first where it is
    one, then those that classes and score share, from the output back to the input; empty where
    there are none.
    """
    import torch

    if not list_outputs(model) or not len(data):
        return []
    x = _inputs(next(in_order(data.take(np.arange(min(4, len(data)))), device_of(model.nets()), 4)))
    with torch.enable_grad(), _catching(model) as caught:
        out, logits = _ask(model, x, caught)
        used = _depended_on(out, caught)
    shared = used
    if {"predict", "score"} <= set(model.abilities):
        with torch.enable_grad(), _catching(model) as scored:
            shared = _depended_on(model.score(x), scored)
    weighed = {k for k in used if _has_weights(model, k)}
    with torch.no_grad():
        z = model.embed(x) if "embed" in model.abilities else None
    found = []
    for i, key in enumerate(used):
        last = i + 1 == len(used) or used[i + 1] in weighed
        pooled, ndim = _pooled(caught[key]), caught[key].ndim
        c = pooled.shape[1]
        if not last or c < FEWEST or key == logits:
            continue
        latent = z is not None and z.shape == pooled.shape and bool(_near(z, pooled))
        size = f"{c} numbers" if ndim == 2 else f"{c} channels"
        title = f"latent space ({size})" if latent else f"layer {key} ({size})"
        found.append(Layer(key, title, c, latent))
    return sorted(reversed(found), key=lambda one: (not one.latent, one.key not in shared))


def _depended_on(out: torch.Tensor, caught: dict[str, torch.Tensor]) -> list[str]:
    """Keys of what an output [b,...] changes with, in order."""
    import torch

    caught = {k: v for k, v in caught.items() if v.requires_grad}
    if not caught or not out.requires_grad:
        return []
    found = torch.autograd.grad(out.square().sum(), list(caught.values()), allow_unused=True)
    return [k for k, g in zip(caught, found) if g is not None]


def read_layer(
    model: Any,
    data: Dataset,
    layer: str,
    outputs: list[str] | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> Held:
    """Return what `layer` holds of the cases of `data` and, where `outputs` are given, how these
    change with it; a class answers by its log-odds, the score by itself. Cost: one pass of the
    model and one gradient an output. Raises UserError for an unknown layer.
    """
    import torch

    held, slopes, done = [], [], 0
    for raw in in_order(data, device_of(model.nets()), BATCH):
        x = _inputs(raw)
        with torch.set_grad_enabled(bool(outputs)):
            parts: list[Any] = []
            values: torch.Tensor | None = None
            for kind in _passes(model, outputs):
                only = (layer,) if kind == "score" else (layer, None)
                with _catching(model, only) as caught:
                    answers = _answers(model, x, caught, kind, outputs or [])
                values = caught.get(layer, values)
                parts += [_gradient(a, caught.get(layer)) for a in answers] if outputs else []
        if values is None:
            raise UserError(f"This model has no layer “{layer}”.")
        parts = [torch.zeros_like(_pooled(values)) if p is None else p for p in parts]
        held.append(_pooled(values).detach().double().cpu().numpy())
        if parts:
            slopes.append(torch.stack(parts, 1).detach().double().cpu().numpy())
        done += len(x)
        report(done / len(data))
    return Held(np.concatenate(held), np.concatenate(slopes) if slopes else None)


def _passes(model: Any, outputs: list[str] | None) -> list[str]:
    """Which abilities have to be asked, classes first."""
    if outputs is None:
        return ["predict" if "predict" in model.abilities else "score"]
    kinds = ["predict"] if any(o != "score" for o in outputs) else []
    return kinds + (["score"] if "score" in outputs else [])


def _answers(
    model: Any, x: torch.Tensor, caught: dict[str, torch.Tensor], kind: str, outputs: list[str]
) -> list[torch.Tensor]:
    """Each wanted output of this kind, [b]."""
    if kind == "score":
        return [model.score(x)]
    out, logits = _ask(model, x, caught)
    odds = out.clamp(1e-6, 1 - 1e-6).logit() if logits is None else _log_odds(caught[logits])
    at = [model.classes.index(o.removeprefix("class ")) for o in outputs if o != "score"]
    return [odds[:, j] for j in at]


def _log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Log-odds [b,k] of each class against all others; of logits, so that nothing saturates."""
    import torch

    k = logits.shape[1]
    others = logits[:, None].expand(-1, k, -1)
    mask = torch.eye(k, dtype=torch.bool, device=logits.device)
    return logits - others.masked_fill(mask, -torch.inf).logsumexp(2)


def _ask(
    model: Any, x: torch.Tensor, caught: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, str | None]:
    """Return what the model predicts or scores, and the key of what gave the logits."""
    if "predict" not in model.abilities:
        return model.score(x), None
    out = model.predict(x)
    same = [k for k, v in caught.items() if v.shape == out.shape and _near(v.softmax(1), out)]
    return out, same[-1] if same else None


def _gradient(answer: torch.Tensor, at: torch.Tensor | None) -> torch.Tensor | None:
    """Gradient of `answer` [b] by what was caught, summed over places: [b,c]; None where it does
    not depend on it.
    """
    import torch

    if at is None:
        return None
    (g,) = torch.autograd.grad(answer.sum(), at, retain_graph=True, allow_unused=True)
    if g is None:
        return None
    return _pooled(g) * (g[0].numel() / _pooled(g).shape[1])


def _pooled(v: torch.Tensor) -> torch.Tensor:
    """[b,c], the mean over places of [b,c,...] or of tokens [b,t,c]."""
    if v.ndim == 2:
        return v
    return v.mean(1) if v.ndim == 3 else v.flatten(2).mean(2)


def _near(a: torch.Tensor, b: torch.Tensor) -> bool:
    import torch

    return bool(torch.allclose(a, b, rtol=1e-4, atol=1e-5))


def _inputs(raw: torch.Tensor) -> torch.Tensor:
    """Return inputs that gradients flow to; missing values stay, as the model takes them."""
    return raw.detach().requires_grad_()


def _modules(model: Any) -> dict[str, Any]:
    """Return the modules without parts of their own, by their place in the model."""
    nets = model.nets()
    found: dict[str, Any] = {}
    for i, net in enumerate(nets):
        for name, module in net.named_modules():
            if not list(module.children()):
                found[f"{i}.{name}" if len(nets) > 1 else name] = module
    return found


def _has_weights(model: Any, key: str) -> bool:
    """Whether a module mixes channels, so that a unit of layers begins with it."""
    return any(p.ndim >= 2 for p in _modules(model)[key].parameters())


@contextmanager
def _catching(
    model: Any, only: tuple[str | None, ...] | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Give what modules give, by key, in the order of their last call. With `only`, these keys, and
    where it holds None also small outputs [b,k], which may be logits.

    What comes next gets a copy, since layers may change in place what they are given.
    """
    import torch

    caught: dict[str, torch.Tensor] = {}

    def hook(key: str) -> Callable[[Any, Any, Any], Any]:
        def catch(module: Any, given: Any, out: Any) -> Any:
            if not isinstance(out, torch.Tensor) or not out.is_floating_point() or out.ndim < 2:
                return None
            if only is not None and key not in only and (None not in only or out.ndim > 2):
                return None
            caught.pop(key, None)
            caught[key] = out
            return out.clone()

        return catch

    handles = [m.register_forward_hook(hook(k)) for k, m in _modules(model).items()]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def pushing(model: Any, layer: str, step: torch.Tensor) -> Iterator[None]:
    """Add `step` [b,c] to what `layer` gives, at every place, while the model looks at b inputs.
    Raises UserError for an unknown layer.
    """
    modules = _modules(model)
    if layer not in modules:
        raise UserError(f"This model has no layer “{layer}”.")

    def push(module: Any, given: Any, out: Any) -> Any:
        wide = step[:, None] if out.ndim == 3 else step.reshape(*step.shape, *[1] * (out.ndim - 2))
        return out + wide.to(out)

    handle = modules[layer].register_forward_hook(push)
    try:
        yield
    finally:
        handle.remove()
