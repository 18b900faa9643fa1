"""Whether attribution maps can be trusted: each way of making them is put to five checks over
several cases.

- model randomisation: do the maps change once the network's weights are random? A map that stays
  shows the picture, not the model (Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018);
- repeatability: does the map stay when the case changes by less than anyone would see?
- agreement: do other ways mark the same places?
- completeness: do the parts add up to the result, where the way promises it?
- localisation: where masks exist, does the map mark what is outlined (Arun et al., Radiology:
  Artificial Intelligence 2021)?

Similarity of two maps is Spearman's rank correlation of their absolute values, channels summed. The
cut-offs in `CHECKS` are ours; nobody has validated them against reading.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.artifacts import Attributions, Grid, Metric, Metrics
from core.errors import Cancelled, UserError
from core.explain.attribution import (
    COMPLETE,
    PLAIN,
    Question,
    attribute,
    attribute_each,
    attribution_methods,
)
from core.explain.explained_targets import PREDICTED, predicted_targets
from core.sampling import evenly_spaced
from core.stats.auroc import auroc_of_ranks
from core.stats.bootstrap import mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

CASES = 16  # that the checks are made on where none are named
NOISE = 0.05  # of the spread of the data, added for the check of repeatability
# ways whose maps are checked where none are named: Shapley values take as long as all others
LONG = ("shapley",)
State = Literal["passes", "doubt", "unknown"]


@dataclass(frozen=True)
class Check:
    """One check: what it is called (a term of the glossary), the cut-off that is ours, on which
    side of it a map passes, and what passing and failing mean in words.
    """

    name: str
    cut: float
    above: bool
    good: str
    bad: str


CHECKS = {
    check.name: check
    for check in (
        Check(
            "model randomisation",
            0.5,
            False,
            "The map changes when the model’s weights are random, so it depends on the model.",
            "The map hardly changes when the model’s weights are random: it may not reflect the"
            " model.",
        ),
        Check(
            "repeatability",
            0.7,
            True,
            "A case with a little noise gets nearly the same map.",
            "A little noise in the case changes the map: it may not reflect the model.",
        ),
        Check(
            "agreement between ways",
            0.3,
            True,
            "Other ways mark the same places, which does not prove them right.",
            "Other ways mark other places: at most one of them can be right.",
        ),
        Check(
            "completeness gap",
            0.05,
            False,
            "The parts add up to the result.",
            "The parts do not add up to the result: read sizes with doubt.",
        ),
        Check(
            "localisation of findings",
            0.5,
            True,
            "The map is stronger inside the outlined finding than outside.",
            "The map is not clearly stronger inside the outlined finding than outside: it does not"
            " show where the finding is.",
        ),
        Check(
            "localisation gain",
            0.0,
            True,
            "The map marks the outlined finding better than the bare picture and a model with"
            " random weights do.",
            "The bare picture, or a model with random weights, marks the outlined finding as well:"
            " the map adds nothing about where it is.",
        ),
    )
}


def state_of(metric: Metric) -> State:
    """Whether a way passes a check: by its value beside the cut-off; localisation by the lower end
    of its interval, which must lie above chance, and is unknown without an interval.
    """
    check = CHECKS[metric.name]
    value = metric.value
    if metric.name.startswith("localisation") and value is not None:
        if value <= check.cut:
            return "doubt"
        value = metric.low  # one case, or a few, say nothing against chance
    if value is None or not np.isfinite(value):
        return "unknown"
    return "passes" if (value >= check.cut) == check.above else "doubt"


def describe(metric: Metric) -> str:
    """Return what the outcome of a check means, in one sentence."""
    check = CHECKS[metric.name]
    state = state_of(metric)
    if state == "unknown":
        return f"Not known: {metric.note or 'it could not be measured'}."
    return check.good if state == "passes" else check.bad


def default_rows(data: Dataset, row: int | None = None, many: int = CASES) -> np.ndarray:
    """Return the cases that checks are made on: `row`, then evenly taken test cases (all where
    there is no test part); outlined ones first where there are masks.
    """
    test = data.part("test")
    test = test if len(test) else data
    rows = test.rows
    if data.masks is not None:
        marked = test.outlined
        marked[marked] = test.mask(np.flatnonzero(marked)).reshape(int(marked.sum()), -1).any(1)
        rows = np.concatenate([rows[marked], rows[~marked]])[: max(many, int(marked.sum()))]
    rows = rows[evenly_spaced(len(rows), many)]
    if row is None:
        return rows
    return np.concatenate([[row], rows[rows != row]])[:many].astype(np.int64)


def check_maps(
    model: Any,
    data: Dataset,
    rows: np.ndarray,
    target: str,
    hows: list[str] | None = None,
    ask: Question = PLAIN,
    report: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Metrics, Grid]:
    """Put ways of attribution to the checks: a metric for each way (`group`) and check (`name`),
    and the matrix of agreement. A way that the model declines has one metric, "model
    randomisation" without a value, whose note says why.

    The target "predicted" is what the trained model names each case, for the random one as well.
    Weights are drawn once, from the seed of `ask`. Cost: three times that of the attributions.
    Raises UserError where no way fits, Cancelled once `stop` says so.
    """
    hows = hows or [h for h in attribution_methods(data) if h not in LONG]
    rows = np.asarray(rows)
    whole = data.modality == "volume" and model.slicewise
    each = predicted_targets(model, data, rows) if target == PREDICTED and not whole else None
    random = randomised(model, ask.seed)
    asked = 3 * len(hows)
    done = 0

    def maps(which: Any, how: str, question: Question) -> Any:
        nonlocal done

        if stop():
            raise Cancelled

        def tell(share: float) -> None:
            if report is not None:
                report(min(1.0, (done + share) / asked))

        if each is None:
            made = attribute(which, data, rows, how, target, tell, stop, question)
        else:
            made = attribute_each(which, data, rows, how, each, tell, stop, question)
        if len(made.rows) < len(rows):
            raise Cancelled
        done += 1
        return made

    trained: dict[str, np.ndarray] = {}
    table: list[Metric] = []
    for how in hows:
        try:
            made = maps(model, how, ask)
        except UserError as e:
            table.append(Metric("model randomisation", None, group=how, note=str(e).rstrip(".")))
            done += 3
            continue
        trained[how] = strengths(made.value)
        drawn = _of_random(how, random, maps, ask)
        table.append(_randomisation(how, trained[how], drawn, data, rows))
        noisy = maps(model, how, replace(ask, noise=NOISE, seed=ask.seed + 1))
        same = similarity(trained[how], strengths(noisy.value))
        table.append(_metric("repeatability", how, same, data, rows, (-1.0, 1.0)))
        table += _of_one(how, made, drawn, data, rows)
    if not trained:
        raise UserError("None of these ways can explain this model: " + (table[0].note or "") + ".")
    agreement, pairs = _agreement(trained)
    for how in pairs:
        table.append(_metric("agreement between ways", how, pairs[how], data, rows, (-1.0, 1.0)))
    metrics = Metrics.of(table, rows, name="health")
    names = list(trained)
    grid = Grid(
        rows=rows,
        name="agreement-of-ways",
        value=agreement,
        x=names,
        y=names,
        x_title="way",
        y_title="way",
        unit="rank correlation of maps, mean over cases",
        low=0.0,
        high=1.0,
    )
    return metrics, grid


def _of_one(
    how: str, made: Attributions, drawn: np.ndarray | str, data: Dataset, rows: np.ndarray
) -> list[Metric]:
    """Return the checks of completeness and localisation."""
    found = []
    if how in COMPLETE and made.residual is not None:
        size = np.abs(np.asarray(made.value).reshape(len(rows), -1).sum(1))
        gap = np.asarray(made.residual) / np.maximum(size, 1e-9)
        found.append(_metric("completeness gap", how, np.minimum(gap, 1.0), data, rows, (0, 1)))
    if data.masks is not None:
        found.append(localisation(how, made.value, data, rows))
        found.append(_gain(how, made.value, drawn, data, rows))
    return found


def _gain(
    how: str, value: np.ndarray, drawn: np.ndarray | str, data: Dataset, rows: np.ndarray
) -> Metric:
    """How much better than plain rivals the map marks the outlined finding: of each case its AUROC
    less that of the better of two that know nothing, the picture itself (distance from its mean)
    and the same way with random weights, where there is one.
    """
    x = data.of(rows).inputs()
    plain = x - x.mean(tuple(range(2, x.ndim)), keepdims=True)
    rivals = {"the picture itself": inside_auroc(strengths(plain), data, rows)}
    if not isinstance(drawn, str):
        rivals["random weights"] = inside_auroc(strengths(drawn), data, rows)
    own = inside_auroc(strengths(value), data, rows)
    means = {k: float(np.nanmean(v)) for k, v in rivals.items() if np.isfinite(v).any()}
    if not means:
        return Metric(
            "localisation gain", None, group=how, note="none of these cases has an outlined finding"
        )
    best = max(means, key=lambda k: means[k])
    note = ", ".join(f"{k}: {v:.2f}" for k, v in means.items())
    return _metric("localisation gain", how, own - rivals[best], data, rows, (-1.0, 1.0), note)


def _randomisation(
    how: str, own: np.ndarray, drawn: Any, data: Dataset, rows: np.ndarray
) -> Metric:
    """Compare maps with those of random weights `drawn`: a sentence in place of maps says why there
    are none.
    """
    if isinstance(drawn, str):
        return Metric("model randomisation", None, group=how, note=drawn)
    other = strengths(drawn)
    # a map that vanishes with the weights has changed
    same = np.where(np.ptp(other, 1) > 0, similarity(own, other), 0.0)
    same[np.ptp(own, 1) == 0] = np.nan
    return _metric("model randomisation", how, same, data, rows, (-1.0, 1.0))


def _of_random(how: str, random: Any, maps: Callable[..., Any], ask: Question) -> np.ndarray | str:
    """Return the maps of the model with random weights, or why there are none."""
    if random is None:
        return "this model has no network weights that could be made random"
    try:
        value: np.ndarray = maps(random, how, ask).value
    except UserError as e:  # DeepLift may decline a network of random weights
        return str(e).rstrip(".")
    return value


def _metric(
    name: str,
    how: str,
    values: np.ndarray,
    data: Dataset,
    rows: np.ndarray,
    within: tuple[float, float],
    note: str = "",
) -> Metric:
    """Return the mean of a figure over cases, with its 95 % interval over patients."""
    check, there = CHECKS[name], np.isfinite(values)
    if not there.any():
        why = note or "the maps are the same everywhere"
        return Metric(name, None, group=how, note=why, higher_is_better=check.above)
    groups = data.of(np.asarray(rows)[there]).groups
    found = mean_interval(values[there], groups, within)
    metric = Metric(
        name,
        float(values[there].mean()),
        group=how,
        n=int(there.sum()),
        higher_is_better=check.above,
        note=note,
    )
    return metric.within(found)


def inside_auroc(strong: np.ndarray, data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return of each case the AUROC of its map's strengths [n,places] against its mask, float64
    [n]; NaN without a known outline that has both sides, or where the map is the same everywhere.
    """
    from scipy.stats import rankdata

    part = data.of(rows)
    known, masks = part.outlined, part.mask().reshape(len(rows), -1)
    found = np.full(len(rows), np.nan)
    for i, (mask, heat) in enumerate(zip(masks, strong)):
        if not known[i] or mask.all() or not mask.any() or np.ptp(heat) == 0:
            continue
        found[i] = auroc_of_ranks(mask, rankdata(heat))
    return found


def pointing(value: np.ndarray, data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return of each case whether the strongest place of its map `value` [n,*input] lies inside its
    mask (the pointing game of Zhang et al. 2018), float64 [n] of 0 and 1; NaN without a known
    outline.
    """
    part, strong = data.of(rows), strengths(value)
    masks = part.mask().reshape(len(rows), -1)
    hit = masks[np.arange(len(rows)), strong.argmax(1)].astype(float)
    return np.where(part.outlined & masks.any(1), hit, np.nan)


def localisation(how: str, value: np.ndarray, data: Dataset, rows: np.ndarray) -> Metric:
    """AUROC of the map's strength against the mask, over cases whose mask has both sides; chance is
    0.5. The note gives the share of strength inside beside the share of area, and how often the
    strongest place is inside.
    """
    masks = data.of(rows).mask().reshape(len(rows), -1)
    strong = strengths(value)
    found = inside_auroc(strong, data, rows)
    area, inside, hit = [], [], []
    for i in np.flatnonzero(np.isfinite(found)):
        mask, heat = masks[i], strong[i]
        area.append(mask.mean())
        inside.append(heat[mask].sum() / heat.sum())
        hit.append(mask[heat.argmax()])
    if not area:
        return Metric(
            "localisation of findings",
            None,
            group=how,
            note="none of these cases has an outlined finding",
        )
    note = (
        f"{100 * np.mean(inside):.0f} % of the map’s strength lies inside"
        f" (chance {100 * np.mean(area):.0f} %); its strongest place is inside in"
        f" {int(np.sum(hit))} of {len(hit)} cases"
    )
    return _metric("localisation of findings", how, found, data, rows, (0.0, 1.0), note)


def _agreement(maps: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the matrix of mean similarities float32 [k,k], and for each way its mean similarity
    to the others, case by case; nothing of a single way.
    """
    names = list(maps)
    matrix, own = np.eye(len(names), dtype=np.float32), {}
    for i, a in enumerate(names):
        with_others = [similarity(maps[a], maps[b]) for b in names if b != a]
        for j, b in enumerate(names):
            if a != b:
                same = with_others[j - (j > i)]
                matrix[i, j] = np.nanmean(same) if np.isfinite(same).any() else np.nan
        if with_others:
            there = np.isfinite(with_others)
            many = there.sum(0)
            total = np.where(there, with_others, 0).sum(0)
            own[a] = np.where(many > 0, total / np.maximum(many, 1), np.nan)
    return matrix, own


def strengths(value: np.ndarray) -> np.ndarray:
    """Absolute values of attributions [n,*input] as float64 [n,places]: channels of pictures
    summed with their signs first, as they are drawn; columns and signals as they are.
    """
    value = np.asarray(value, np.float64)
    value = value.sum(1) if value.ndim > 3 else value
    return np.abs(value).reshape(len(value), -1)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row of `a` [n,p] with that of `b`, ties at their mean
    rank: float64 [n]; NaN where one of them is the same everywhere.
    """
    from scipy.stats import rankdata

    x, y = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (a, b))
    size = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return np.where(size > 0, (x * y).sum(1) / np.where(size > 0, size, 1), np.nan)


def randomised(model: Any, seed: int = 0, last: int | None = None) -> Any | None:
    """Return a copy of a fitted method whose networks have random weights: all layers as they are
    when built, and parameters that no layer can reset put into another order. None for a method
    without networks.

    `last`: only so many layers that can be reset, counted from the output (cascading
    randomisation, Adebayo et al. 2018).
    """
    import torch

    if not any(True for net in model.nets() for _ in net.parameters()):
        return None
    other = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        left: dict[str, Any] = {}
        for i, net in enumerate(other.nets()):
            left |= {f"{i}.{name}": value for name, value in net.named_parameters()}
        layers = _resettable(other)
        for name, layer in layers if last is None else layers[len(layers) - last :]:
            layer.reset_parameters()
            for own in layer._parameters:
                left.pop(f"{name}.{own}", None)
        for parameter in left.values() if last is None else ():
            flat = parameter.flatten()
            parameter.copy_(flat[torch.randperm(flat.numel())].view_as(parameter))
    return other


def count_layers(model: Any) -> int:
    """Return how many layers of a fitted method's networks can be made random."""
    return len(_resettable(model))


def _resettable(model: Any) -> list[tuple[str, Any]]:
    """Return layers that can be made random, with their names, from the input to the output."""
    return [
        (f"{i}.{name}".rstrip("."), layer)
        for i, net in enumerate(model.nets())
        for name, layer in net.named_modules()
        if hasattr(layer, "reset_parameters")
    ]
