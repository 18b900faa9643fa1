"""SAM 2 as the film tracker's network: opened from a folder, trained, and folders without it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from core.data.clips import clips_of
from core.data.samples.generated import cine
from core.errors import UserError
from core.registry import open_model
from tests.methods._fit import fit


def tiny_sam2() -> dict:
    """A configuration of SAM 2.1's own class, as small as it goes."""
    wide = {"hidden_size": 128}
    hiera = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [64, 64],
        "window_positional_embedding_background_size": [4, 4],
        "blocks_per_stage": [1, 1, 1, 1],
        "embed_dim_per_stage": [8, 16, 24, 32],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [],
    }
    sizes = [[16, 16], [8, 8], [4, 4]]
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": hiera,
        "backbone_channel_list": [32, 24, 16, 8],
        "backbone_feature_sizes": sizes,
        "fpn_hidden_size": 128,
    }
    return {
        "vision_config": vision,
        "prompt_encoder_config": {**wide, "image_size": 64, "mask_input_channels": 4},
        "mask_decoder_config": {**wide, "mlp_dim": 32, "num_attention_heads": 2},
        "image_size": 64,
        "memory_attention_hidden_size": 128,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [4, 4],
        "memory_encoder_hidden_size": 128,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 32,
        "num_maskmem": 4,
        "max_object_pointers_in_encoder": 4,
    }


@pytest.fixture(scope="module")
def sam2_folder(tmp_path_factory):
    pytest.importorskip("transformers")
    from transformers import Sam2VideoConfig, Sam2VideoModel

    folder = tmp_path_factory.mktemp("sam2")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Sam2VideoModel(Sam2VideoConfig(**tiny_sam2()))
    with torch.no_grad():
        # by chance it might see the object nowhere, and masks are empty then
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(5.0)
    model.save_pretrained(folder)
    return folder


def opened(folder):
    from core.nets.sam2 import Sam2Net

    return Sam2Net.open(str(folder)).eval()


def a_film(net, frames=7):
    generator = torch.Generator().manual_seed(1)
    first = torch.zeros(1, 1, net.side, net.side)
    first[..., 4:10, 4:10] = 1
    return torch.randn(1, frames, 1, net.side, net.side, generator=generator), first


def test_sam2_gives_what_the_library_gives_when_it_runs_the_film_itself(sam2_folder):
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    from core.nets.sam2 import grown

    net = opened(sam2_folder)
    frames, first = a_film(net)
    with torch.no_grad():
        made = net(frames, first)[0]
    session = Sam2VideoInferenceSession(video_height=64, video_width=64, dtype=torch.float32)
    thing = session.obj_id_to_idx(1)
    session.obj_with_new_inputs = [1]
    session.add_mask_inputs(thing, 0, (grown(first, 64) > 0.5).float())
    for t in range(frames.shape[1]):
        out = net.model(session, frame=net.coloured(grown(frames[0, t : t + 1], 64)))
        if t:
            torch.testing.assert_close(made[t], out.pred_masks[0, 0].clamp(-20, 20))
    assert torch.equal(made[0] > 0, first[0, 0] > 0)


def test_sam2_looks_back_only_and_its_memory_matters(sam2_folder):
    net = opened(sam2_folder)
    frames, first = a_film(net)
    other = frames.clone()
    other[:, 4:] = torch.randn_like(other[:, 4:])
    with torch.no_grad():
        straight, changed, longer = net(frames, first), net(other, first), net(frames[:, :5], first)
        elsewhere = net(frames, first.roll(4, -1))
    assert torch.equal(straight[:, :4], changed[:, :4])
    assert torch.equal(straight[:, :5], longer)
    assert not torch.equal(straight[:, 4:], changed[:, 4:])
    assert not torch.allclose(straight[:, 1:], elsewhere[:, 1:])


def test_sam2_learns_also_in_its_memory(sam2_folder):
    from core.nets.tracker import overlap_loss

    net = opened(sam2_folder).train()
    frames, first = a_film(net, 3)
    frames = frames * 0.2 + 2 * first[:, None]
    optimiser, losses = torch.optim.AdamW(net.parameters(), 2e-3), []
    for _ in range(40):
        loss, _ = overlap_loss(
            net(frames, first)[:, 1:],
            first.expand(-1, 2, -1, -1),
            torch.ones(1, 2, dtype=torch.bool),
        )
        optimiser.zero_grad()
        loss.backward()
        if not losses:
            moved = {
                name.split(".")[1]
                for name, p in net.named_parameters()
                if p.grad is not None and p.grad.abs().sum() > 0
            }
        optimiser.step()
        losses.append(float(loss.detach()))
    assert {"vision_encoder", "mask_decoder", "memory_attention", "memory_encoder"} <= moved
    assert losses[-1] < 0.8 * losses[0]


def test_the_method_runs_saves_and_opens_sam2_from_a_folder(sam2_folder):
    data = cine(patients=6, frames=4)
    method, found = fit(
        "cine_tracker", data, network="sam2", sam2_folder=str(sam2_folder), epochs=0
    )
    said = found["predictions-tracked"]
    assert said.prob.shape == (len(data), 2, 48, 48)
    back = open_model(found["model"])  # without the folder's weights: they are in the model
    clip = clips_of(data)[0]
    np.testing.assert_allclose(back.follow(data, clip), method.follow(data, clip), atol=1e-5)


def broken(folder, tmp_path, change):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy)
    return str(copy)


def other_kind(folder):
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"model_type": "bert"}))


def without_memory(folder):
    from safetensors.torch import load_file, save_file

    held = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in held.items() if not k.startswith("memory_encoder")},
        folder / "model.safetensors",
        {"format": "pt"},
    )


BROKEN = {
    "config.json is missing": lambda f: (f / "config.json").unlink(),
    "is no JSON": lambda f: (f / "config.json").write_text("{"),
    "no .safetensors weights": lambda f: (f / "model.safetensors").unlink(),
    "of type “bert”": other_kind,
    "are not complete": without_memory,
    "cannot be read": lambda f: (f / "model.safetensors").write_bytes(b"x" * 100),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_folder_that_holds_no_sam2_is_told_in_one_sentence(words, sam2_folder, tmp_path):
    with pytest.raises(UserError, match=words) as said:
        opened(broken(sam2_folder, tmp_path, BROKEN[words]))
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_no_folder_is_told_too(folder):
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match=r"SAM 2\.1 for video cannot be opened"):
        fit(
            "cine_tracker", cine(patients=6, frames=4), network="sam2", sam2_folder=folder, epochs=0
        )
