"""SAM 2.1 for video (Ravi and others 2024) as a tracker: from a folder of this machine, through
transformers. Nothing is fetched.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pictures it was trained on


class Sam2Net(nn.Module):
    """forward(frames [b,T,C,S,S], first [b,1,S,S] mask of frame 0) -> logits [b,T,S,S] in [-20,
    20]. Entry 0 repeats the mask given.

    `frames` have mean 0 and deviation 1 over the first frame; S = `side`, a quarter of the side the
    network works at, which is the side of the masks it makes. Frames are streamed one by one, so
    nothing of a later frame can reach an earlier mask. `config` is its configuration as json.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = model.config.to_json_string(use_diff=False)
        self.side = int(model.config.image_size) // 4
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None], persistent=False)

    @classmethod
    def of(cls, config: str) -> Sam2Net:
        """With random weights, from a configuration as json."""
        from transformers import Sam2VideoConfig, Sam2VideoModel

        return cls(Sam2VideoModel(Sam2VideoConfig(**json.loads(config))).float())

    @classmethod
    def open(cls, folder: str) -> Sam2Net:
        """With the weights in `folder`. UserError, in one sentence, when they are not there, of
        another kind, or not complete.
        """
        from transformers import Sam2VideoModel

        from core.nets.local_folder import open_weights

        known = {"sam2_video": Sam2VideoModel}
        return cls(open_weights(folder, "SAM 2.1 for video", known, "the network “small”"))

    def train(self, mode: bool = True) -> Sam2Net:
        """Its dropout stays off and its memory as in use, also while it learns: the library runs
        films in that mode only.
        """
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, frames: Tensor, first: Tensor) -> Tensor:
        return torch.stack([self.follow(one, mask) for one, mask in zip(frames, first)])

    def follow(self, frames: Tensor, first: Tensor) -> Tensor:
        """Logits [T,S,S] of one film [T,C,S,S] from the mask [1,S,S] of its first frame."""
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        size, where, config = 4 * self.side, frames.device, self.model.config
        session: Any = Sam2VideoInferenceSession(
            video_height=size,
            video_width=size,
            dtype=torch.float32,
            inference_device=where,
            inference_state_device=where,
            video_storage_device=where,
        )
        thing = session.obj_id_to_idx(1)
        session.obj_with_new_inputs = [1]
        session.add_mask_inputs(thing, 0, (grown(first[None].float(), size) > 0.5).float())
        # as published it runs without gradients, which fine-tuning needs
        step = inspect.unwrap(type(self.model).forward)
        made = [torch.where(first[0] > 0.5, 10.0, -10.0)]
        kept = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        for t, frame in enumerate(frames):
            out = step(
                self.model, session, frame_idx=t, frame=self.coloured(grown(frame[None], size))
            )
            if t:
                made.append(out.pred_masks[0, 0].float().clamp(-20, 20))
            # a film of any length fits: only what it may still look back at is kept
            session.processed_frames.pop(t)
            session.output_dict_per_obj[thing]["non_cond_frame_outputs"].pop(t - kept, None)
        return torch.stack(made)

    def coloured(self, frame: Tensor) -> Tensor:
        """Levelled grey or colour [1,C,S,S] as the kind of picture it was trained on, [1,3,S,S]."""
        shown = (0.45 + 0.225 * frame).clamp(0, 1).expand(-1, 3, -1, -1)
        return (shown - self.mean) / self.spread


def grown(x: Tensor, size: int) -> Tensor:
    """Return maps [B,C,H,W] at `size` by `size`, between the points linear."""
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)
