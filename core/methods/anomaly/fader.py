"""FADeR: gates on the skip connections of a trained inpainter, so that what it did not hide of a
defect is not simply copied.

Objective
    A skip F_l of the frozen network becomes S F_l, S = sigmoid of two linear layers over what all
    levels hold at a place. The gates learn with normal pictures x, and with copies into which a
    part of another picture is pasted and only partly hidden. They minimise BCE(S, t) + w L(x', x) +
    k mean(1 - S): t is 0 where a pasted part is not hidden, and falls to 0 with the error of the
    frozen network where that is larger than usual; x' is the picture redrawn, to be like the normal
    one in both cases; the last term counts on normal pictures. A second round takes the fifth of
    the copies that come out worst. At last the gates are opened, by a number added before the
    sigmoid, until errors on normal validation pictures grow by no more than a set share.

Cost
    The gates have under 5 % of the network's parameters; a step is about twice that of the earlier
    run; fast preset under a minute on two cores.

Differences from the paper
    The paper's soft masks on skip connections, from two layers, that learn from reconstruction
    errors are kept. One gate serves all skips, since at the fine ones alone a place does not show
    whether it is foreign. What the gates learn from in detail (targets, pasted parts, weights, the
    second round, the opening) was not at hand, and is ours.

Reference
    Park, Kang, Kim, Kim, Yi, Feature attenuation of defective representation can resolve incomplete
    masking on anomaly detection, arXiv 2407.04597, 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Metrics, Model
from core.artifacts.tables import Metric
from core.method import Takes
from core.methods._on_model import OnModel
from core.methods.anomaly import _slices
from core.methods.anomaly._fader_copies import (
    edge_errors,
    fill_in,
    taken_apart,
    targets_of,
    with_copies,
)
from core.methods.anomaly._fader_params import FADeRParams
from core.methods.anomaly._inpainting import Inpainting, heat_of, pictures, spread
from core.methods.anomaly.ear import EAR
from core.registry import methods
from core.stages import Control, Stage
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

MANY = 2000  # training pictures the gates learn with, at most
MOST_BYTES = 2**28  # of copies, where pictures have several
LARGEST_SHIFT, HALVINGS = 8.0, 9  # of what opens the gates: before the sigmoid, found by bisection
WORST = 0.2  # share of the copies that the second round takes
USUAL = (0.9, 0.999)  # shares of normal places with less error than where a gate begins to shut


class FADeR(OnModel, Inpainting):
    id = "fader"
    title = "Attenuate what was not hidden (FADeR)"
    seed_number = 10
    gates_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        on=("Model",),
        min_rows=8,
        min_size=16,
        seconds_per_value=1.5e-6,
    )
    gives = (Model, Embedding, AnomalyMaps, Images, Metrics)
    shares_batches = True
    Params = FADeRParams
    other_data = True
    tiny_on = "ear"
    tiny = {"epochs": 1, "batch_size": 8}
    presets = {"fast": {"epochs": 4}, "standard": {"epochs": 10}, "thorough": {"epochs": 30}}
    least_steps = 100

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        base = next(a for a in on.values() if isinstance(a, Model))
        if issubclass(methods().get(base.method, object), EAR):
            return None
        return (
            f"That run’s model ({base.method}) does not fill in what it hides; choose a run of"
            f" “{EAR.title}”."
        )

    def opened(self, name: str) -> Any:
        """Return the earlier run's method, its network laid out as in that run (channels last):
        twice as fast on a processor, and equal to it in each bit.
        """
        import torch

        known = name in self.__dict__.get("_opened", {})
        found = super().opened(name)
        if not known:
            found.net_.to(memory_format=torch.channels_last)
        return found

    # -- learning ----------------------------------------------------------------------------------
    def make_gates(self) -> torch.nn.Module:
        from core.nets.gates import SkipGates

        return SkipGates(int(self.base_.params["width"]) * 31)  # 1 + 2 + 4 + 8 + 16

    def fit(self, data: Dataset, run: Run) -> None:
        train, normal = _slices.find_healthy(data, "FADeR learns from normal pictures")
        self.base_, self._device = run.base(Model), run.where
        self.gates_ = self.make_gates()
        for q in self.opened("base_").net_.parameters():
            q.requires_grad_(False)
        some, rate = self._several(spread(train, MANY)), self.params.learning_rate
        ready = with_copies(self.opened("base_"), some, run)
        self._round(ready, some, rate, None, run)
        worst, before = self._worst(ready, run), self.make_gates().to(run.where).eval()
        before.load_state_dict(self.gates_.state_dict())
        self._round(ready.take(worst), some.take(worst), rate / 10, before, run)
        self.gates_.eval()
        self._open(normal, run)
        self.costs_ = self._costs(normal, run)
        self.calibrate(normal, run, self.params.healthy)

    def _several(self, some: Dataset) -> Dataset:
        """Return the pictures as often as memory allows and epochs ask for, so that each pass meets
        another copy of a picture; `passes_` is how often these are then passed over.
        """
        side = int(self.opened("base_").params.side)
        bytes_each = 4 * (2 * some.shape[0] + 2) * side**2
        most = min(MANY, MOST_BYTES // bytes_each) // len(some)
        times = max(1, min(self.params.epochs, most))
        self.passes_ = -(-self.params.epochs // times)
        return some.take(np.tile(np.arange(len(some)), times))

    def _round(self, ready: Dataset, of: Dataset, rate: float, before: Any, run: Run) -> None:
        """Train the gates with pictures and their copies (see `with_copies`), towards the errors
        that the gates `before` left, None = none were there.
        """
        import torch

        from core.nets.losses.gating import gate_error
        from core.nets.losses.recovery import recovery

        p, base = self.params, self.opened("base_")
        usual = self._usual(ready, before, run)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, given, shut = taken_apart(base, batch.x)
            with torch.no_grad():
                levels = base.net_.encode(given)
                error = edge_errors(base, x, [v[: len(x)] for v in levels], before)
                targets = targets_of(error, shut, usual)
            gates = net(levels)
            back = self.fill_in(levels, gates)
            drawn = recovery(torch.cat([x, x]), back, base.params.structure)["loss"]
            shutting = gate_error(gates, targets, p.rare)
            lost = torch.stack([1 - g[: len(x)].mean() for g in gates]).mean()
            return {
                "loss": shutting + p.redraw * drawn + p.keep * lost,
                "gates": shutting,
                "redrawing": drawn,
                "shut on normal pictures": lost,
            }

        optimiser = torch.optim.Adam(self.gates_.parameters(), rate)
        schedule = half_cosine(rate, 0.5)
        how = p.model_copy(update={"epochs": self.passes_})
        run.fit(self.gates_, loss, ready, how, optimiser=optimiser, schedule=schedule, of=of)

    def _usual(self, ready: Dataset, gates: Any, run: Run) -> list[torch.Tensor]:
        """Return the errors between which gates shut, [2] for each skip: of normal places the
        shares USUAL have less.
        """
        import torch

        base = self.opened("base_")

        def errors(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x, given, _ = taken_apart(base, rows)
            return tuple(edge_errors(base, x, base.net_.encode(given[: len(x)]), gates))

        found = run.map(errors, spread(ready, 256), 32)
        shares = [np.quantile(error, USUAL).astype(np.float32) for error in found]
        return [torch.from_numpy(s).to(run.where) for s in shares]

    def _worst(self, ready: Dataset, run: Run) -> np.ndarray:
        """Return the positions of the copies whose pasted part is least different from what is
        redrawn of it.
        """
        base = self.opened("base_")
        self.gates_.eval()

        def seen(rows: torch.Tensor) -> torch.Tensor:
            x, given, shut = taken_apart(base, rows)
            levels = base.net_.encode(given[len(x) :])
            back = self.fill_in(levels, self.gates_(levels))
            wrong = (back - x).abs().mean(1, keepdim=True) * shut
            return wrong.sum((1, 2, 3)) / shut.sum((1, 2, 3)).clamp_min(1)

        left = np.asarray(run.map(seen, ready, 32))
        many = max(min(len(left), 8), int(WORST * len(left)))
        return np.sort(np.argsort(-left, kind="stable")[:many])

    def _open(self, normal: Dataset, run: Run) -> None:
        """Add to the gates, before the sigmoid, the least that keeps the error on normal pictures
        within the `cost`; nothing where it is.
        """
        base, limit = self.opened("base_"), 1 + self.params.cost
        before = self.gates_.last.bias.detach().clone()

        def excess(shift: float) -> float:
            """Return the error with gates opened by `shift`, by that without."""
            self.gates_.last.bias.data.copy_(before + shift)

            def errors(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
                x = self.resized(x)
                levels = self.levels(x)
                backs = (self.fill_in(levels, self.gates_(levels)), base.net_.decode(levels))
                return tuple((back - x).abs().mean((1, 2, 3)) for back in backs)

            with_gates, without = run.map(errors, spread(normal, 128), 32)
            return float(with_gates.mean() / max(without.mean(), 1e-12))

        low, high = 0.0, LARGEST_SHIFT
        self.shift_ = 0.0
        if excess(0.0) > limit:
            for _ in range(HALVINGS):
                run.check()
                middle = (low + high) / 2
                low, high = (low, middle) if excess(middle) <= limit else (middle, high)
            self.shift_ = high
        self.gates_.last.bias.data.copy_(before + self.shift_)

    def _costs(self, normal: Dataset, run: Run) -> dict[str, float]:
        """Return how many times as large errors are with the gates: of normal pictures, and where a
        pasted part was not hidden.
        """
        base = self.opened("base_")
        ready = with_copies(base, spread(normal, 256), run)

        def errors(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
            import torch

            x, given, shut = taken_apart(base, rows)
            levels = base.net_.encode(given)
            changed = rows[:, x.shape[1] : 2 * x.shape[1]]
            found = []
            for gates in (self.gates(levels), [torch.ones_like(v[:, :1]) for v in levels[:-1]]):
                normals, copies = self.fill_in(levels, gates).split(len(x))
                part = ((copies - changed).abs() * shut).sum((1, 2, 3))
                found += [(normals - x).abs().mean((1, 2, 3)), part]
            return tuple(found)

        normal_with, part_with, normal_without, part_without = run.map(errors, ready, 32)
        return {
            "error on normal pictures, with gates / without": float(
                normal_with.mean() / max(normal_without.mean(), 1e-12)
            ),
            "error where a pasted part was not hidden, with gates / without": float(
                part_with.mean() / max(part_without.mean(), 1e-12)
            ),
        }

    # -- what is let through and filled in ---------------------------------------------------------
    def resized(self, x: torch.Tensor) -> torch.Tensor:
        return self.opened("base_").resized(x)

    def levels(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Return what the frozen network makes of x [b,C,S,S], hidden as it hides, or by `mask`
        [b,1,S,S]: its levels from fine to coarse.
        """
        base = self.opened("base_")
        return base.net_.encode(base.excised(x, base.mask(x) if mask is None else mask, base.size_))

    def gates(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return what is let through of each skip, as far as `strength` has it: [b,1,h,w]."""
        strength = self.params.strength
        return [1 - strength * (1 - gate) for gate in self.gates_(levels)]

    def fill_in(self, levels: list[torch.Tensor], gates: list[torch.Tensor]) -> torch.Tensor:
        """Return the picture [b,C,S,S] of levels whose skips are let through by `gates`."""
        return fill_in(self.opened("base_"), levels, gates)

    def recovered(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        levels = self.levels(x, mask)
        return self.fill_in(levels, self.gates(levels))

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, score, heat, suspicion, before, after, passed = run.map(self._described, data, 64)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield self.anomaly_maps(data, score, heat)
        yield pictures(data, "suspicion", "attention", suspicion)
        yield pictures(data, "recovered", "reconstruction", after)
        yield pictures(data, "recovered-without-gates", "reconstruction", before)
        yield Metrics.of(self._figures(data, passed), data.rows)

    def _described(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of inputs [b,C,H,W]: latent, score, heat, what the gates shut out, what is redrawn
        without and with them, and the share let through.
        """
        import torch
        from torch.nn.functional import interpolate

        x = self.resized(x)
        levels = self.levels(x)
        gates = self.gates(levels)
        after = self.fill_in(levels, gates)
        before = self.opened("base_").net_.decode(levels)
        whole = [interpolate(g, x.shape[2:], mode="bilinear")[:, 0] for g in gates]
        shut, heat = 1 - torch.stack(whole).mean(0), heat_of(x, after)
        passed = torch.stack([g.mean((1, 2, 3)) for g in gates]).mean(0)
        z, score = levels[-1].mean((2, 3)), heat.amax((1, 2))
        return z, score, heat, shut, before.clamp(0, 1), after.clamp(0, 1), passed

    def _figures(self, data: Dataset, passed: np.ndarray) -> list[Metric]:
        """Return what the gates let through of each part, what they cost and gain, and how many
        parameters they add.
        """
        found = []
        for split in ("train", "val", "test"):
            some = data.splits == split
            if some.any():
                value, n = float(passed[some].mean()), int(some.sum())
                found.append(Metric("share let through", value, split=split, n=n))
        for name, value in self.costs_.items():
            found.append(Metric(name, value, split="val", higher_is_better="pasted" in name))
        own, whole = (
            sum(q.numel() for q in net.parameters())
            for net in (self.gates_, self.opened("base_").net_)
        )
        name = "parameters of the gates / of the network"
        return [*found, Metric(name, own / whole, higher_is_better=False)]

    # -- step by step ------------------------------------------------------------------------------
    def controls(self) -> list[Control]:
        shares = sorted({0.0, 0.25, 0.5, 0.75, 1.0, self.params.strength})
        choices = tuple((s, "off" if s == 0 else f"{s:.0%}") for s in shares)
        words = (
            "How far the gates act on what was not hidden: off = the earlier run as it is. Move it"
            " to see whether a mark that is copied when off is removed at 100%."
        )
        return [Control("strength", "Gates", words, self.params.strength, choices)]

    def stages(self, x: torch.Tensor, strength: float | None = None) -> list[Stage]:
        """Return what becomes of one input [1,C,H,W]: what the network is given, where gates shut,
        the picture redrawn without and with them, where it differs, and what they add to that.
        """
        strength = self.params.strength if strength is None else strength
        base = self.opened("base_")
        x = self.resized(x)
        given = base.excised(x, base.mask(x), base.size_)
        levels = base.net_.encode(given)
        gates = [1 - strength * (1 - gate) for gate in self.gates_(levels)]
        before, after = base.net_.decode(levels), self.fill_in(levels, gates)
        heat, earlier = heat_of(x, after)[0], heat_of(x, before)[0]
        shut = np.asarray(1 - gates[0][0, 0].cpu())
        added = np.asarray((heat - earlier).clamp_min(0).cpu())
        return [
            Stage("What the network gets", "hidden as in the earlier run", "input", _shown(given)),
            Stage("Suspicion", f"gates shut by {shut.mean():.0%}, mean", "grey", shut),
            Stage("Redrawn without gates", "the earlier run", "generated", _shown(before)),
            Stage("Redrawn with gates", f"strength {strength:.0%}", "generated", _shown(after)),
            Stage(
                "Where the edges differ",
                f"highest {float(heat.max()):.3g}; {float(earlier.max()):.3g} without gates",
                "heat",
                np.asarray(heat.cpu()),
            ),
            Stage("What the gates add", f"highest {added.max():.3g}", "heat", added),
        ]

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.levels(self.resized(x))[-1].mean((2, 3))


def _shown(x: torch.Tensor) -> np.ndarray:
    """Return a batch of one picture as [C,S,S] in [0, 1]."""
    return np.asarray(x[0].clamp(0, 1).cpu())
