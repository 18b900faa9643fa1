"""What only a graphics card can show; skipped where there is none. The contract suite runs on one
with LIGHTBOX_TEST_DEVICE=cuda.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.explain.attribution import attribute
from core.jobs import queue
from core.method import check_params
from core.registry import methods
from core.training import loader
from core.training.fit import fit_and_apply
from core.training.run import Run
from core.workspace.workspace import Workspace
from tests.benchmarks._common import enlarged
from tests.contract._fits import small

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
GPU = torch.device("cuda", 0)


def trained(
    data: Dataset, id: str = "gaussian_vae", params: dict[str, Any] | None = None, **more: Any
) -> tuple[Run, Any, np.ndarray]:
    kind, run = methods()[id], Run(**({"device": "cuda"} | more))
    method, found = fit_and_apply(
        kind, check_params(kind, kind.tiny if params is None else params), data, run
    )
    return run, method, next(np.asarray(a.z) for a in found if isinstance(a, Embedding))


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4", "f8"])
@pytest.mark.parametrize("room", [0, 1 << 30])
def test_inputs_on_the_card_have_the_bits_of_those_made_by_numpy(
    kind: str, room: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "room", lambda device: room)
    monkeypatch.setattr(loader, "BLOCK", 1000)
    rng = np.random.default_rng(0)
    data = small("digits")
    data = replace(
        data,
        samples=rng.uniform(0, 255, data.samples.shape).astype(kind),
        input_range=(-10.3, 271.7),
    ).save(tmp_path / "stored")
    data = data.take(rng.permutation(len(data))[:100])
    wanted = [rng.integers(0, 100, k) for k in (1, 40, 64)]
    with loader.Inputs(data, GPU, tmp_path) as inputs:
        assert (inputs.held is not None) == bool(room)
        placed = [loader.Positions(at, GPU) for at in wanted]
        for wish, (at, x) in zip(wanted, inputs.batches(placed), strict=True):
            assert (x.device, x.dtype) == (GPU, torch.float32)
            assert np.array_equal(at.at, wish)
            assert np.array_equal(at.placed.cpu().numpy(), wish)
            assert np.array_equal(x.cpu().numpy(), data.inputs(wish))
    assert np.array_equal(
        torch.cat(list(loader.in_order(data, GPU, 8))).cpu().numpy(), data.inputs()
    )


def test_networks_learn_in_bf16_and_as_well_as_in_float32_on_the_processor() -> None:
    digits = make_sample("digits")
    run, fast, z = trained(digits, params={"epochs": 15})
    _, slow, z_slow = trained(digits, params={"epochs": 15}, device="cpu")
    assert run.fabric.strategy.precision.precision == "bf16-mixed"
    assert {p.dtype for p in fast.net_.parameters()} == {torch.float32}, "weights are kept in full"
    assert fast._loss_on(digits.part("val"), run) == pytest.approx(
        slow._loss_on(digits.part("val"), Run(device="cpu")), rel=0.05
    )
    assert z.std() == pytest.approx(z_slow.std(), rel=0.1)


@pytest.mark.parametrize("id", ["gaussian_vae", "swav", "classifier"])
def test_replayed_steps_learn_what_steps_call_by_call_learn(
    id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small("digits")
    params = {**methods()[id].tiny, "epochs": 6, "batch_size": 16}
    run, _, fast = trained(data, id, params)
    assert run.notes == [], "they could be recorded"
    monkeypatch.setenv("LIGHTBOX_CAPTURE", "0")
    _, _, slow = trained(data, id, params)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-5 * np.abs(slow).max())


def test_a_run_with_recorded_steps_killed_and_resumed_equals_the_straight_one(
    tmp_path: Any,
) -> None:
    params = {**methods()["gaussian_vae"].tiny, "epochs": 6, "batch_size": 16}
    _, _, straight = trained(small("digits"), params=params)

    def kill(step: int, total: int, scalars: dict[str, float]) -> None:
        if step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(
            small("digits"), params=params, folder=tmp_path, checkpoint_every=-1.0, report_to=kill
        )
    _, _, resumed = trained(small("digits"), params=params, folder=tmp_path, resume=True)
    np.testing.assert_allclose(resumed, straight, rtol=0, atol=1e-5 * np.abs(straight).max())


def test_begun_on_the_processor_it_goes_on_on_the_card_and_says_so(tmp_path: Any) -> None:
    def kill(step: int, total: int, scalars: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(
            small("digits"), device="cpu", folder=tmp_path, checkpoint_every=-1.0, report_to=kill
        )
    steps: list[int] = []
    run, _, z = trained(
        small("digits"),
        folder=tmp_path,
        resume=True,
        report_to=lambda step, total, scalars: steps.append(step),
    )
    assert steps[0] == 3, "two were done, the third is done again"
    assert any(
        "began on the processor (32-true) and went on on the GPU (bf16-mixed)" in note
        for note in run.notes
    )
    assert np.isfinite(z).all()


def test_memory_of_the_card_that_suffices_for_half_a_batch_suffices() -> None:
    data = enlarged(small("digits"), 16)
    params = {"epochs": 2, "batch_size": 96, "width": 64}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    whole, _, _ = trained(data, params=params)
    peak, total = (
        torch.cuda.max_memory_allocated(),
        torch.cuda.get_device_properties(GPU).total_memory,
    )
    assert whole.notes == []
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.75 * peak / total)
        tight, _, z = trained(data, params=params)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert 2 <= tight.accumulation_steps <= 8
    assert "in 2 parts" in tight.notes[0]
    assert np.isfinite(z).all()


def test_explained_on_the_card_as_on_the_processor() -> None:
    data = small("digits")
    _, method, _ = trained(data)
    rows = data.rows[:40]
    here = attribute(method, data, rows, "integrated_gradients", "axis 1")
    method.to("cpu")
    there = attribute(method, data, rows, "integrated_gradients", "axis 1")
    np.testing.assert_allclose(here.value, there.value, atol=2e-3)
    assert here.residual is not None
    assert here.residual.max() < 0.05 * np.abs(there.output).max()


def test_one_training_a_card_and_one_on_the_processors_beside_it(tmp_path: Any) -> None:
    ws = Workspace(tmp_path)
    ws.add(make_sample("digits"), sample=True)
    params = {"epochs": 40}
    asked = [
        queue.train(ws, "digits", "gaussian_vae", params, seed=seed, device=device)
        for seed, device in ((0, "auto"), (1, "cuda"), (2, "cpu"))
    ]
    seen: set[frozenset[str]] = set()
    deadline = time.monotonic() + 180
    while any(ws.job(job.id).status in ("queued", "running") for job in asked):
        assert time.monotonic() < deadline
        seen.add(frozenset(job.id for job in asked if ws.job(job.id).status == "running"))
        time.sleep(0.05)
    assert [ws.job(job.id).status for job in asked] == ["done"] * 3, [
        ws.job(job.id).error for job in asked
    ]
    first, second, beside = (job.id for job in asked)
    assert not any({first, second} <= together for together in seen), "one at a time on the card"
    assert any(beside in together and len(together) == 2 for together in seen), (
        "the processors worked meanwhile"
    )
    made = [
        next(a for a in ws.artifacts(job.id).values() if isinstance(a, Embedding)).made_by.device
        for job in asked
    ]
    assert [device.split(":")[0] for device in made] == ["cuda", "cuda", "cpu"]


def test_a_map_of_all_rows_is_drawn_on_the_card_as_faithfully_and_twice_the_same() -> None:
    from core.maps.card import Card
    from core.maps.make import make_map
    from tests.test_maps import embedding, mixture

    z, card = embedding(mixture(20_000, 64, 40)[0]), Card("cuda:0", pytest.fail)
    made, again, here = make_map(z, card=card), make_map(z, card=card), make_map(z)
    assert card.used
    assert made.xy.tobytes() == again.xy.tobytes()
    assert made.scores["trustworthiness"] >= here.scores["trustworthiness"] - 0.005


@pytest.mark.parametrize("clustered", [True, False])
def test_neighbours_found_on_the_card_are_true_ones(clustered: bool) -> None:
    from core import nearest_on_card
    from core.neighbours import RECALL
    from tests.test_maps import mixture
    from tests.test_maps_on_card import recall_of

    uniform = np.random.default_rng(0).random((20_000, 64), np.float32)
    z = mixture(20_000, 64, 40)[0] if clustered else uniform
    found = nearest_on_card.neighbours(torch.from_numpy(z).to(GPU), 15, 1 << 30)
    assert recall_of(found[0].cpu().numpy(), z) >= RECALL
