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

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Metrics, Model, Predictions
from core.errors import UserError
from core.method import Method, Takes
from core.methods.tracking._params import CineTrackerParams

if TYPE_CHECKING:
    import torch

    from core.data.clips import Clip
    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


class CineTracker(Method):
    id = "cine_tracker"
    title = "Tracking through a film"
    seed_number = 4
    net_: Any  # TrackNet or Sam2Net: (frames [b,T,C,S,S], first mask [b,1,S,S]) -> logits [b,T,S,S]
    takes = Takes(
        ("image",), masks="needed", volumes="no", min_rows=6, min_size=16, seconds_per_value=4e-6
    )
    gives = (Model, Predictions, Metrics)
    shares_batches = True
    Params = CineTrackerParams
    other_data = True
    tiny = {"epochs": 1, "batch_size": 8, "width": 8, "steps": 3, "side": 32}
    presets = {
        "fast": {"epochs": 60},
        "standard": {"epochs": 240},
        "thorough": {"epochs": 600, "width": 64, "steps": 6},
    }
    least_steps = 300

    def declines(self, data: Dataset) -> str | None:
        from core.methods.tracking._film import why_not_followed

        return why_not_followed(data)

    def make_net(self) -> torch.nn.Module:
        from core.methods.tracking._follow import make_network

        return make_network(self.params, self.channels_, self.config_)

    def fit(self, data: Dataset, run: Run) -> None:
        """Learn from the outlined training frames; a tracker that was opened goes on from the
        weights it has (fine-tuning).
        """
        import torch

        from core.data.clips import clips_of
        from core.methods.tracking._clips import ClipMaker
        from core.methods.tracking._follow import warm_cosine
        from core.nets.tracker import overlap_loss

        p, train = self.params, data.part("train")
        clips = [c for c in clips_of(train) if c.start >= 0]
        if not clips:
            raise UserError(
                "No training clip has an outlined frame; outline at least one frame of some, or"
                " choose other training cases."
            )
        self._begin_network(data.shape[0])
        if not p.epochs:
            if p.network == "small":
                raise UserError("The small network has to learn; choose at least 1 epoch.")
            return
        outlined = train.of(np.concatenate([c.rows[c.outlined] for c in clips]))
        made = ClipMaker(train, clips, p.steps, self.net_.side, p.window, run.where)

        def loss(net: Any, batch: Batch) -> dict[str, torch.Tensor]:
            frames, truth, known = made.make(outlined.rows[batch.at])
            logits = net(frames, truth[:, :1])
            missed, dice = overlap_loss(logits[:, 1:], truth[:, 1:], known[:, 1:])
            return {"loss": missed, "training Dice": dice}

        run.fit(
            self.net_,
            loss,
            # the training clips are read elsewhere, so the batches need not carry the pictures
            outlined.with_samples(np.zeros((len(outlined), 1), np.float32)),
            p,
            optimiser=torch.optim.AdamW(self.net_.parameters(), p.learning_rate, weight_decay=1e-4),
            schedule=lambda step, total: warm_cosine(p.learning_rate, step, total),
            clip=1.0,
            drop_last=False,
            of=outlined,
        )

    def _begin_network(self, channels: int) -> None:
        """Make a new network where none was opened. UserError when the one opened has learned from
        other pictures.
        """
        if getattr(self, "net_", None) is None:
            self.channels_, self.config_ = channels, None
            self.net_ = self.make_net()
        if channels != self.channels_:
            raise UserError(
                f"This tracker has learned from pictures with {self.channels_} channels; these have"
                f" {channels}."
            )
        if self.params.network == "sam2":
            self.config_ = self.net_.config

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        from core.data.clips import all_frames, clips_of
        from core.methods.tracking._follow import measure_speed

        # a frame's mask rests on the earlier frames of its clip, asked for or not
        every, wanted = all_frames(data), set(data.rows.tolist())
        clips = [c for c in clips_of(every) if wanted & set(c.rows.tolist())]
        masks: dict[int, np.ndarray] = {}
        began = time.monotonic()
        for clip in clips:
            run.check()
            if clip.start >= 0:
                masks |= dict(zip(clip.rows.tolist(), self.follow(every, clip)))
        seconds = time.monotonic() - began
        prob = np.zeros((len(data), 2, *data.shape[1:]), np.float32)
        for i, r in enumerate(data.rows.tolist()):
            prob[i, 1] = masks.get(r, np.float32(0))
        prob[:, 0] = 1 - prob[:, 1]
        classes = ["background", "marked"]
        yield Predictions(rows=data.rows, name="tracked", prob=prob, classes=classes)
        yield Metrics.of(measure_speed(seconds, len(masks), clips), data.rows, name="speed")

    def follow(self, data: Dataset, clip: Clip) -> np.ndarray:
        """Probabilities float32 [T,H,W] of the object in each frame of `clip`, from its first
        outlined frame alone.
        """
        from core.methods.tracking._follow import follow_clip

        return follow_clip(self.net_, data, clip, self.params.window, self.params.backwards)
