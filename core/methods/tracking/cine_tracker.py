"""Tracking of an outlined object through a film: the outline of one frame is given, the frames
after it are outlined by looking back.

Objective
    (1 - Dice) + (1 - soft intersection over union) of the masks made for each known frame after the
    first, plus cross-entropy (our addition).

Cost
    One training clip for each outlined frame per epoch; about 80 s of one core for 30 epochs of 55
    outlined heart frames; 5 to 10 ms a frame afterwards.

Differences from the paper
    The authors fine-tune SAM 2.1; that is the choice “sam2”, for which its weights must lie in a
    folder of this machine. The choice “small” is a network of our own with the same parts (encoder,
    memory of the first and the last frames, attention, decoder), learned from scratch on outlined
    frames that are moved about and on true passages between two outlined frames. Both look at a
    window around the given outline instead of the whole frame, and at grey values on one scale a
    clip instead of one a frame, which flickers.

Reference
    Boussot, Hémon, Nunes, Dillenseger, Fine-tuning Segment Anything for real-time tumor tracking in
    cine-MRI, 2025 (TrackRAD challenge); Ravi and others, SAM 2: Segment anything in images and
    videos, 2024.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core import limits
from core.artifacts import Artifact, Metric, Metrics, Model, Predictions
from core.errors import UserError
from core.method import Method, Takes
from core.params import TrainingParams, batch_param, epochs_param, param, rate_param

if TYPE_CHECKING:
    import torch

    from core.data.clips import Clip
    from core.data.dataset import Dataset
    from core.training.run import Run


class CineTracker(Method):
    id = "cine_tracker"
    title = "Tracking through a film"
    seed_number = 4
    net_: Any  # TrackNet or Sam2Net: (frames [b,T,C,S,S], first mask [b,1,S,S]) -> logits [b,T,S,S]
    takes = Takes(
        ("image",), masks="needed", volumes="no", min_rows=6, min_size=16, seconds_per_value=4e-6
    )
    gives = (Model, Predictions, Metrics)
    other_data = True
    tiny = {"epochs": 1, "batch_size": 8, "width": 8, "steps": 3, "side": 32}
    presets = {
        "fast": {"epochs": 60},
        "standard": {"epochs": 240},
        "thorough": {"epochs": 600, "width": 64, "steps": 6},
    }
    least_steps = 300

    class Params(TrainingParams):
        epochs: int = epochs_param(
            60,
            "Passes over the outlined training frames; 0 with “sam2” = use it as it is.",
            ge=0,
            le=20000,
        )
        batch_size: int = batch_param(8, "Training clips per step.", ge=1, le=256, advanced=False)
        learning_rate: float = rate_param(
            2e-3, "Largest step size of AdamW; about 1e-4 suits “sam2”.", le=1
        )
        steps: int = param(4, "Frames of a training clip, the given one included.", ge=2, le=16)
        recent: int = param(
            3, "How many of the last frames are remembered, besides the outlined one.", ge=0, le=8
        )
        window: float = param(
            3.0,
            "Width of the window looked at, in widths of the given outline; more for larger"
            " motion.",
            ge=1.5,
            le=10,
        )
        backwards: bool = param(
            False,
            "Also follow backwards into the frames before the outlined one; not possible while the"
            " film is being taken.",
        )
        width: int = param(
            32,
            "Channels of the small network, a multiple of 8.",
            ge=8,
            le=256,
            multiple_of=8,
            advanced=True,
        )
        side: int = param(
            64,
            "Side of the window as the small network sees it, a multiple of 8; more shows finer"
            " edges and takes longer.",
            unit="pixels",
            ge=32,
            le=256,
            multiple_of=8,
            advanced=True,
        )
        network: Literal["small", "sam2"] = param(
            "small", "The network: a small one of our own, or SAM 2.1 from a folder.", advanced=True
        )
        sam2_folder: str = param(
            "",
            "Folder of this machine that holds SAM 2.1 for video (config.json, model.safetensors).",
            advanced=True,
        )

    def declines(self, data: Dataset) -> str | None:
        from core.data.clips import clip_names, is_film

        if not is_film(data):
            return (
                "Needs a film: a column that says which clip a frame is of, and one that orders its"
                " frames; this data has none."
            )
        if data.shape[0] not in (1, 3):
            return f"Works on pictures with one or three channels; these have {data.shape[0]}."
        if 8 * len(data) * int(np.prod(data.shape[1:])) > limits.OUTLINES:
            return (
                f"The masks of {len(data):,} frames of this size would need more than"
                f" {limits.OUTLINES >> 30} GB; bring fewer frames or smaller ones."
            )
        times, clips = data.column("time"), data.column("sequence")
        assert times is not None
        assert clips is not None
        if any(not _number(t) for t in times if t is not None):
            return "The column that orders the frames must hold numbers."
        lacking = sum(t is None or c is None for t, c in zip(times, clips))
        if lacking:
            return (
                f"{lacking:,} frames lack the name of their clip or their time; fill them in or"
                " leave these frames out."
            )
        torn = len(set(zip(clip_names(data), data.splits))) - len(set(clip_names(data)))
        if torn:
            return (
                f"The frames of {torn:,} clips lie on two sides of the split, so that tests would"
                " be of films seen in training; name the patient (or clip) column as the group."
            )
        return None

    def make_net(self) -> torch.nn.Module:
        if self.params.network == "sam2":
            if find_spec("transformers") is None:
                raise UserError(
                    "SAM 2.1 is opened with the package transformers, which is not installed: pip"
                    " install lightbox[text]."
                )
            from core.nets.sam2 import Sam2Net

            return (
                Sam2Net.open(self.params.sam2_folder)
                if self.config_ is None
                else Sam2Net.of(self.config_)
            )
        from core.nets.tracker import TrackNet

        return TrackNet(
            self.channels_, self.params.width, self.params.recent, side=self.params.side
        )

    def fit(self, data: Dataset, run: Run) -> None:
        """Learn from the outlined training frames; a tracker that was opened goes on from the
        weights it has (fine-tuning).
        """
        import torch

        from core.data.clips import clips_of
        from core.methods.tracking._clips import Maker

        p, train = self.params, data.part("train")
        clips = [c for c in clips_of(train) if c.start >= 0]
        if not clips:
            raise UserError(
                "No training clip has an outlined frame; outline at least one frame of some, or"
                " choose other training cases."
            )
        if getattr(self, "net_", None) is None:
            self.channels_, self.config_ = data.shape[0], None
            self.net_ = self.make_net()
        if data.shape[0] != self.channels_:
            raise UserError(
                f"This tracker has learned from pictures with {self.channels_} channels; these have"
                f" {data.shape[0]}."
            )
        if p.network == "sam2":
            self.config_ = self.net_.config
        if not p.epochs:
            if p.network == "small":
                raise UserError("The small network has to learn; choose at least 1 epoch.")
            return
        made = Maker(train, clips, p.steps, self.net_.side, p.window, run.where)
        starts = np.concatenate([c.rows[c.outlined] for c in clips])
        optimiser = torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=1e-4)
        net = run.setup(self.net_, optimiser)
        outlined = train.of(starts)
        # the training clips are read elsewhere, so the batches need not carry the pictures
        empty = outlined.with_samples(np.zeros((len(starts), 1), np.float32))
        steps = p.epochs * -(-len(starts) // p.batch_size)
        for batch in run.batches(empty, p.batch_size, p.epochs, of=outlined):
            fallen = 0.02 + 0.49 * (1 + math.cos(math.pi * batch.step / max(1, steps)))
            run.set_rate(p.learning_rate * min(1.0, (batch.step + 1) / 20) * fallen)
            frames, truth, known = made.make(outlined.rows[batch.at])
            logits = net(frames, truth[:, :1])
            loss, dice = overlap_loss(logits[:, 1:], truth[:, 1:], known[:, 1:])
            run.step(loss, clip=1.0)
            run.report(batch.step, loss=loss, **{"training Dice": dice})

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        from core.data.clips import clips_of, whole

        # a frame's mask rests on the earlier frames of its clip, asked for or not
        every, wanted = whole(data), set(data.rows.tolist())
        clips = [c for c in clips_of(every) if wanted & set(c.rows.tolist())]
        masks: dict[int, np.ndarray] = {}
        began = time.monotonic()
        for clip in clips:
            run.check()
            if clip.start >= 0:
                masks |= dict(zip(clip.rows.tolist(), self.follow(every, clip)))
        took, size = (time.monotonic() - began) / max(len(masks), 1), tuple(data.shape[1:])
        prob = np.zeros((len(data), 2, *size), np.float32)
        for i, r in enumerate(data.rows.tolist()):
            prob[i, 1] = masks.get(r, np.float32(0))
        prob[:, 0] = 1 - prob[:, 1]
        yield Predictions(
            rows=data.rows, name="tracked", prob=prob, classes=["background", "marked"]
        )
        without = sum(c.start < 0 for c in clips)
        yield Metrics.of(
            [
                Metric(
                    "seconds per frame",
                    took if masks else None,
                    n=len(masks),
                    higher_is_better=False,
                    note="" if masks else "no clip has an outlined frame",
                ),
                Metric(
                    "clips without any outlined frame",
                    float(without),
                    n=len(clips),
                    higher_is_better=False,
                    note="nothing is followed there",
                ),
            ],
            data.rows,
            name="speed",
        )

    def follow(self, data: Dataset, clip: Clip) -> np.ndarray:
        """Probabilities float32 [T,H,W] of the object in each frame of `clip`, from its first
        outlined frame alone; that frame repeats its outline, frames before it are 0 unless
        `backwards`.
        """
        import torch

        from core.data.clips import window
        from core.methods.tracking._clips import grid_of, levelled, look, placed

        images = torch.from_numpy(data.of(clip.rows).inputs())
        given = data.of(clip.rows[clip.start : clip.start + 1]).mask()[0]
        box = window(given, self.params.window)
        where = next(self.net_.parameters()).device
        pixels = grid_of(torch.tensor([box]), self.net_.side)
        frames = look(images, pixels.expand(len(images), -1, -1, -1))
        first = look(torch.from_numpy(given)[None, None].float(), pixels, padding="zeros")
        out = torch.zeros(len(images), *given.shape)
        forward = list(range(clip.start, len(images)))
        ways = (
            [forward, forward[:1] + list(range(clip.start - 1, -1, -1))]
            if self.params.backwards
            else [forward]
        )
        with torch.no_grad():
            for way in ways:
                if len(way) > 1:
                    logits = self.net_(levelled(frames[None, way]).to(where), first.to(where))[
                        0, 1:
                    ]
                    out[way[1:]] = placed(logits.float().sigmoid().cpu(), box, given.shape)
        out[clip.start] = torch.from_numpy(given).float()
        return out.numpy()


def overlap_loss(
    logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(loss, soft Dice) of logits against masks [b,T,S,S] over the frames `known` [b,T]."""
    from torch.nn import functional as F

    weight = known.float() / known.sum().clamp(min=1)
    prob = logits.sigmoid()
    both, total = (prob * truth).sum((2, 3)), (prob + truth).sum((2, 3))
    dice, union = (2 * both + 1) / (total + 1), (both + 1) / (total - both + 1)
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((2, 3))
    return ((2 - dice - union + each) * weight).sum(), (dice * weight).sum()


def _number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
