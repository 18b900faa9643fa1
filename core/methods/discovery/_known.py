"""Known classes of novel class discovery: which are hidden, and the weight of their classifier,
chosen by hiding some of them in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.data.labels import codes_among
from core.errors import UserError
from core.methods.discovery._groups import fit_centres, nearest_centre
from core.nets.pbn import discovery_loss
from core.stats.cluster_agreement import accuracy

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.discovery._params import TabularNCDParams
    from core.training.run import Run

WEIGHTS = (0.05, 0.2, 0.4, 0.6, 0.8)
FOLDS = 4  # times half of the known classes are hidden to choose the weight
MADE = "accuracy on hidden known classes"


def hidden_classes(data: Dataset, novel: str) -> np.ndarray:
    """int64 codes of the classes whose labels are not used: those named in `novel`, parted by
    commas; where none is named and every training row has a label, the rarest. UserError for a name
    that is no class, or when nothing known is left.
    """
    names = [n.strip() for n in novel.split(",") if n.strip()]
    wrong = [n for n in names if n not in data.classes]
    if wrong:
        raise UserError(
            f"“novel” = {wrong[0]}: there is no such class (there are:"
            f" {', '.join(data.classes[:20])})."
        )
    labels = data.part("train").labels
    if not names and not (labels < 0).any():
        count = np.bincount(labels, minlength=len(data.classes))
        names = [data.classes[int(count.argmin())]]
    codes = np.array([data.classes.index(n) for n in names], dtype=int)
    if len(codes) >= len(data.classes):
        raise UserError("“novel” names every class; at least one must stay known.")
    return codes


def label_known(data: Dataset, novel: str) -> tuple[list[str], np.ndarray]:
    """(names of the known classes, int64 [n] which of them each training row is of, -1 = novel).
    UserError when there are fewer than four novel rows.
    """
    hidden = hidden_classes(data, novel)
    names = [name for j, name in enumerate(data.classes) if j not in hidden]
    label = codes_among(data.part("train"), names)
    if (label < 0).sum() < 4:
        raise UserError(
            "There are fewer than 4 rows to discover anything in; leave some rows unlabelled or"
            " name classes in “novel”."
        )
    return names, label


def choose_weight(
    x: np.ndarray,
    label: np.ndarray,
    classes: int,
    make_net: Callable[[int], Any],
    params: TabularNCDParams,
    run: Run,
) -> tuple[float, list[dict[str, float]]]:
    """Return (the classifier's weight, the accuracies it was chosen by). Where it is to be tuned
    and there are three known classes, that of WEIGHTS with the best mean clustering accuracy of
    known classes hidden in turn; labels of novel classes are never seen. One known class has no
    classifier.

    `x` float32 [n,d]; `label` int64 [n], which of the known `classes`, -1 = novel; `make_net(k)`
    gives a new network for k classes.
    """
    if not params.tune or classes < 3:
        return (params.weight if classes > 1 else 0.0), []
    rows = label >= 0
    x, label = x[rows], label[rows]
    known = np.unique(label)
    folds = [run.rng.permutation(known)[: max(1, len(known) // 2)] for _ in range(FOLDS)]
    table = []
    for weight in WEIGHTS:
        scores = []
        for fold in folds:
            run.check()
            held = np.isin(label, fold)
            z = train_briefly(x, np.where(held, -1, label), weight, make_net, params, run)[held]
            centres = fit_centres(z, max(2, len(fold)), run.seed)
            scores.append(accuracy(nearest_centre(z, centres), label[held]))
        table.append({"weight": weight, MADE: float(np.mean(scores))})
    return max(table, key=lambda row: row[MADE])["weight"], table


def train_briefly(
    x: np.ndarray,
    label: np.ndarray,
    weight: float,
    make_net: Callable[[int], Any],
    params: TabularNCDParams,
    run: Run,
) -> np.ndarray:
    """Latents float32 [n,z] of a network trained for half the epochs on x [n,d] (label -1 =
    hidden), on the CPU and outside of the checkpoints.
    """
    codes = np.unique(label[label >= 0])
    y = torch.from_numpy(np.where(label >= 0, np.searchsorted(codes, label), -1))
    net, data = make_net(len(codes)), torch.from_numpy(x)
    optimiser = torch.optim.AdamW(net.parameters(), params.learning_rate)
    size = min(params.batch_size, len(x))
    for _ in range(max(1, params.epochs // 2)):
        run.check()
        order = torch.from_numpy(run.rng.permutation(len(x)))
        for i in range(0, len(x) - size + 1, size):
            at = order[i : i + size]
            loss = discovery_loss(net(data[at]), data[at], y[at], weight)["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval()
    with torch.no_grad():
        return net.embed(data).numpy()
