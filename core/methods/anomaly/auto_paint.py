"""AutoPaint: fills healthy tissue in wherever a slice departs from it, and outlines what was there.

Objective
    A U-Net f of partial convolutions, which never read what lies under a hole, learns on healthy
    slices x with irregular holes h: |f - x| outside of h + 6 |f - x| within + w (|grad f - grad x|
    + 1 - SSIM) + 0.1 (smoothness within h). A slice is then covered by disjoint patterns of
    holes, so that each pixel is filled in from its surroundings; what departs from that, in
    standard deviations of healthy slices, is filled in anew as one hole, until it stays the same.

Cost
    About 8 ms of a processor a step and slice of 64 x 64; fast preset about a minute on two cores.
    A slice is described by eight passes of 2 ms and one more a round.

Differences from the paper
    The paper's code is not public; the loop is ours, and the network follows Liu and others (2018)
    with four levels. Edges and structural similarity stand in for the features of a network trained
    on photographs. Residuals are divided by what healthy validation slices show at each place;
    channels are combined by the correlation they have there. Slices beside a slice are not looked
    at, only joined to lesions afterwards.

Reference
    AutoPaint: self-inpainting for unsupervised tumour detection in PET, CT and PET-CT. Network and
    loss: Liu, Reda, Shih, Wang, Tao, Catanzaro, Image inpainting for irregular holes using partial
    convolutions, ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Embedding, Images, Lesions, Model
from core.io.shared_work import NOTHING, OnlyHere
from core.method import Method, Takes
from core.methods.anomaly import _auto_paint_loop as loop
from core.methods.anomaly import _auto_paint_marks as marks
from core.methods.anomaly import _auto_paint_steps as steps
from core.methods.anomaly import _residuals, _slices
from core.methods.anomaly._auto_paint_params import AutoPaintParams
from core.stages import Control, Stage
from core.training.ordinary import half_cosine

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

FROZEN = 2 / 3  # of the epochs, after which the encoder's normalisation stays as it is
TWIN = "healthy-twin"  # the name of the pictures with what was unusual filled in
UNIT = "standard deviations of healthy residuals"


class AutoPaint(Method):
    id = "auto_paint"
    title = "Self-inpainting (AutoPaint)"
    seed_number = 11
    net_: Any  # the network; Any, since torch types a module's parts as Tensor | Module
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        seconds_per_value=3e-6,
    )
    gives = (Model, Embedding, AnomalyMaps, Images, Lesions)
    shares_batches = True
    Params = AutoPaintParams
    other_data = True
    tiny = {"epochs": 1, "side": 32, "batch_size": 8, "width": 2, "rounds": 1}
    presets = {"fast": {"epochs": 10}, "standard": {"epochs": 60}, "thorough": {"epochs": 200}}
    least_steps = 400
    gradients = False  # what is unusual is marked and filled in anew, which has no gradient

    def declines(self, data: Dataset) -> str | None:
        p = self.params
        if p.channel >= data.shape[0]:
            return f"There is no channel {p.channel}; these pictures have {data.shape[0]}."
        if p.inputs == "one channel" and p.channel < 0:
            return "Choose the channel to learn from alone, counted from 0, or all channels."
        return None

    # -- learning ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from core.nets.partial_conv import PartialUNet

        return PartialUNet(len(range(self.shape_[0])[self.inputs]), self.params.width)

    def fit(self, data: Dataset, run: Run) -> None:
        import torch

        from core.nets.holes import irregular_holes
        from core.nets.losses.inpainting import inpainting

        p = self.params
        train, normal = self._parts(data)
        self.shape_ = tuple(data.shape)
        self.net_ = self.make_net()
        frozen = round(FROZEN * p.epochs)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            x, body, counts = batch.x.split((batch.x.shape[1] - 2, 1, 1), 1)
            x = x * (1 + p.gain * torch.randn_like(x[:, :, :1, :1]))
            self.net_.freeze_norms(cast(bool, batch.phase))
            hole = irregular_holes(body)
            return inpainting(x, net(x, (1 - hole) * counts), hole, counts, p.structure)

        run.fit(
            self.net_,
            loss,
            train.with_samples(self._learned(train, run)),
            p,
            optimiser=torch.optim.Adam(self.net_.parameters(), p.learning_rate),
            schedule=half_cosine(p.learning_rate, 0.5),
            clip=5.0,
            of=train,
            phase=lambda batch: batch.epoch >= frozen,
        )
        self.net_.eval()
        self._calibrate(normal, run)

    def _parts(self, data: Dataset) -> tuple[Dataset, Dataset]:
        """Rows to learn from, and healthy ones to calibrate on. UserError for too few."""
        return _slices.find_healthy(data, "AutoPaint learns from healthy slices", self._usable)

    def _usable(self, part: Dataset) -> Dataset:
        """Return the rows of a part that can be learned from."""
        if self.params.learn_from == "healthy parts" and part.outlined.any():
            return part.take(np.flatnonzero(part.outlined))
        return _slices.healthy(part)

    def _learned(self, train: Dataset, run: Run) -> np.ndarray:
        """float32 [n,C+2,S,S]: slices at the working size, their body, and 0 where something is
        marked (widened by two pixels), which is not to be learned.
        """
        from scipy.ndimage import binary_dilation

        found = []
        for start in range(0, len(train), 256):
            run.check()
            part = train.take(np.arange(start, min(start + 256, len(train))))
            x, body = self.prepare(part.inputs())
            counts = np.ones(body.shape, np.float32)
            if part.masks is not None and part.outlined.any():
                marked = self._small(part.mask()[:, None].astype(np.float32))[:, 0] > 0
                wide = binary_dilation(marked, np.ones((1, 5, 5)))
                counts[wide & part.outlined[:, None, None]] = 0
            found.append(np.concatenate([x, body[:, None], counts[:, None]], 1, dtype=np.float32))
        return np.concatenate(found)

    def _calibrate(self, normal: Dataset, run: Run) -> None:
        """Learn what residuals of healthy slices are like, and the thresholds."""
        p = self.params
        some = normal.take(np.arange(0, len(normal), -(-len(normal) // 256)))
        x, body, counts = np.split(self._learned(some, run), (-2, -1), axis=1)
        body = (body * counts)[:, 0] > 0
        proposed = loop.propose(x, self._fill(run.where, run.check), self.patterns)
        residual = (x - proposed)[:, self.channels]
        found = loop.standard_of(residual, body, p.sign, p.smooth)
        hole = self._random_holes(body)
        filled = (x - self._fill(run.where, run.check)(x, hole))[:, self.channels]
        deepest = int(p.side) // 4
        self.mean_, self.spread_, self.precision_ = found.mean, found.spread, found.precision
        self.depth_ = loop.depth_factors(filled, hole, body, found, deepest)
        heat = self.standard.heat(residual, body)
        self.cut_ = _residuals.pixel_threshold(heat, body, 0.995)
        heat = self._heat(x, body, self._painted(x, body, run.where, run.check))
        self.pixel_threshold_ = marks.empty_threshold(heat, p.smallest, p.healthy)
        self.threshold_ = float(np.quantile(_residuals.case_score(heat), 0.95))

    def _random_holes(self, body: np.ndarray) -> np.ndarray:
        """Holes bool [n,S,S] as learned from."""
        import torch

        from core.nets.holes import irregular_holes

        inside = torch.from_numpy(body[:, None].astype(np.float32))
        return np.asarray(irregular_holes(inside)[:, 0].numpy() > 0)

    @property
    def inputs(self) -> slice:
        """The channels of the data that the network is given."""
        one = self.params.channel
        return slice(one, one + 1) if self.params.inputs == "one channel" else slice(None)

    @property
    def channels(self) -> slice:
        """The channels of what the network is given whose departures count."""
        one = self.params.channel
        if one < 0 or self.params.inputs == "one channel":
            return slice(None)
        return slice(one, one + 1)

    def _heat(self, x: np.ndarray, body: np.ndarray, painted: loop.Painted) -> np.ndarray:
        """Heat [n,S,S] of slices [n,C,S,S] after the loop."""
        return self._departs(x - painted.twin, body, painted.hole)

    def _departs(self, residual: np.ndarray, body: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Heat [n,S,S] of residuals [n,C,S,S] with `hole` bool [n,S,S] filled in as one."""
        return self.standard.heat(residual[:, self.channels], body, hole)

    @property
    def standard(self) -> loop.Standard:
        """What residuals of healthy slices are like."""
        p = self.params
        return loop.Standard(
            self.mean_, self.spread_, self.precision_, self.depth_, p.sign, p.smooth
        )

    # -- filling in --------------------------------------------------------------------------------
    @property
    def patterns(self) -> np.ndarray:
        """Holes that cover a slice, bool [2,4,S,S]."""
        from core.nets.holes import tilings

        side = int(self.params.side)
        cell = max(2, round(self.params.cell * side))
        return tilings(side, (cell, 2 * cell))

    def _small(self, x: np.ndarray) -> np.ndarray:
        """[n,C,H,W] at the working size."""
        side = int(self.params.side)
        flat = _slices.resized(x.reshape(-1, *x.shape[2:]), (side, side))
        return flat.reshape(len(x), -1, side, side)

    def prepare(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the channels of inputs [n,C,H,W] that the network is given, at the working size
        [n,c,S,S], and the body bool [n,S,S]; all of a slice where no body is found.
        """
        from core.nets.tissue import brain_mask

        small = self._small(x[:, self.inputs])
        body = np.stack([brain_mask(i) for i in small.mean(1)])
        body[~body.any((1, 2))] = True
        return small, body

    def _fill(self, where: Any, check: Callable[[], None] = NOTHING, many: int = 32) -> loop.Fill:
        """Return how holes are filled in by the network on a device."""
        import torch

        def fill(x: np.ndarray, hole: np.ndarray) -> np.ndarray:
            out = np.empty(x.shape, np.float32)
            for i in range(0, len(x), many):
                check()
                with torch.no_grad():
                    given = torch.from_numpy(x[i : i + many]).to(where)
                    holes = torch.from_numpy(hole[i : i + many].astype(np.float32)[:, None])
                    filled = self.net_.filled(given, holes.to(where))
                    out[i : i + many] = filled.float().cpu().numpy()
            return out

        return fill

    def _painted(
        self,
        x: np.ndarray,
        body: np.ndarray,
        where: Any,
        check: Callable[[], None] = NOTHING,
        rounds: int | None = None,
        cut: float = 1.0,
    ) -> loop.Painted:
        """Return the loop's result for slices [n,C,S,S] at the working size, with other `rounds`
        or `cut` times the limit of what is filled in anew where these are given.
        """
        return loop.auto_paint(
            x,
            body,
            self._fill(where, check),
            self._departs,
            self.patterns,
            cut * self.cut_,
            max(1, round(int(self.params.side) / 40)),
            self.params.rounds if rounds is None else rounds,
        )

    # -- applying ----------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        size, low_high = (data.shape[1], data.shape[2]), data.input_range
        where, check = run.where, OnlyHere(run.check)
        z, heat, residual, proposed, twin = _slices.described(
            lambda x: self._described(x, where, check), data, run
        )
        score = _residuals.case_score(heat).astype(np.float32)
        heat = _slices.resized(heat, size)
        large = _slices.resized(residual * (low_high[1] - low_high[0]), size)
        yield Embedding(rows=data.rows, name="latent", z=z)
        yield AnomalyMaps(
            rows=data.rows,
            score=score,
            map=heat,
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            smallest=self.smallest_spot(size),
            rule="95 % of healthy validation slices lie below",
            unit=UNIT,
        )
        unit = str(data.card.get("unit", "")) or "stored values"
        absolute = np.abs(large)
        yield AnomalyMaps(
            rows=data.rows,
            name="residual",
            score=_residuals.case_score(absolute).astype(np.float32),
            map=absolute,
            unit=unit,
        )
        for name, image in (("proposed", proposed), (TWIN, twin)):
            flat = _slices.resized(image.reshape(-1, *image.shape[2:]), size)
            flat = flat.reshape(len(data), -1, *size)
            if flat.shape[1] < data.shape[0]:  # a channel left out stays as it is
                whole = np.array(data.inputs(), np.float32)
                whole[:, self.inputs], flat = flat, whole
            yield Images(rows=data.rows, name=name, image=flat)
        yield self.lesions(heat, large, data)

    def lesions(self, heat: np.ndarray, residual: np.ndarray, data: Dataset) -> Lesions:
        """Return what heat [n,H,W] marks, joined to lesions; `residual` [n,H,W] in stored units."""
        size = (data.shape[1], data.shape[2])
        spots = marks.opened(heat > self.pixel_threshold_, self.smallest_spot(size))
        volume = marks.pixel_ml(data)
        runs = marks.runs_of_slices(data)
        mask = marks.lesions_of(spots, runs, volume, self.params.smallest_ml)
        return Lesions(
            rows=data.rows,
            mask=mask,
            table=marks.lesion_table(mask, runs, heat, residual, data),
            unit=UNIT,
            residual_unit=str(data.card.get("unit", "")) or "stored values",
            twin=TWIN,
        )

    def _described(
        self, x: np.ndarray, where: Any, check: Callable[[], None]
    ) -> tuple[np.ndarray, ...]:
        """Of inputs [n,C,H,W]: latent, heat, mean residual over channels, and healthy versions
        before and after the rounds.
        """
        import torch

        small, body = self.prepare(x)
        painted = self._painted(small, body, where, check)
        with torch.no_grad():
            z = self._latent(torch.from_numpy(small).to(where)).float().cpu().numpy()
        residual = (small - painted.twin)[:, self.channels]
        heat = self._heat(small, body, painted)
        twin, proposed = (np.clip(v, 0, 1) for v in (painted.twin, painted.proposed))
        return z, heat, residual.mean(1) * body, proposed, twin

    def smallest_spot(self, size: tuple[int, int]) -> int:
        """`smallest`, in pixels of the working size, in pixels of a picture of `size`."""
        return _slices.spot_size(self.params.smallest, int(self.params.side), size)

    def _latent(self, small: torch.Tensor) -> torch.Tensor:
        """Return the mean of the deepest features [b,d] of slices [b,C,S,S] without a hole."""
        import torch

        return self.net_.encode(small, torch.ones_like(small[:, :1]))[-1][0].mean((2, 3))

    # -- step by step ------------------------------------------------------------------------------
    def controls(self) -> list[Control]:
        return steps.controls_of(self.params.rounds)

    def stages(self, x: torch.Tensor, rounds: float | None = None, cut: float = 1.0) -> list[Stage]:
        """Return what becomes of one input [1,C,H,W]: filled in from its surroundings, where it
        departs from that, what each round fills in anew and with what, and what is marked.
        """
        small, body = self.prepare(x.detach().cpu().numpy())
        most = None if rounds is None else int(rounds)
        painted = self._painted(small, body, x.device, NOTHING, most, cut)
        fill, marked = self._fill(x.device), partial(marks.opened, smallest=self.params.smallest)
        found = steps.rounds_of(small, body, painted, fill, self._departs)
        return steps.stages_of(found, self.channels, lambda h: marked(h > self.pixel_threshold_))

    # -- abilities ---------------------------------------------------------------------------------
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        small = self._small(x.detach().cpu().numpy()[:, self.inputs])
        return self._latent(torch.from_numpy(small).to(x.device))

    def score(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        small, body = self.prepare(x.detach().cpu().numpy())
        heat = self._heat(small, body, self._painted(small, body, x.device))
        return torch.from_numpy(_residuals.case_score(heat)).to(x.device)
