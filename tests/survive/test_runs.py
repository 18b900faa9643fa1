"""A training goes on after damage, memory that does not suffice and losses that are no numbers, and
says so.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.errors import Cancelled, UserError
from core.training import resume
from core.training.checkpoints import Checkpoints, whole
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.survive._fragile import Killed, run_in, some_digits, stopped, trained
from tests.survive.methods.fragile import Fragile


@pytest.fixture(scope="module")
def data() -> Dataset:
    return some_digits()


@pytest.mark.parametrize("kill", [1, 2, 3, 4, 5, 6, 7])  # two steps an epoch, two epochs, two loops
def test_stopped_in_either_loop_it_ends_as_if_nothing_had_happened(
    data: Dataset, tmp_path: Any, kill: int
) -> None:
    stopped(data, run_in(tmp_path, kill))
    again = run_in(tmp_path, resume=True)
    np.testing.assert_array_equal(trained(data, again), trained(data, Run(device="cpu")))
    assert ("began again" if kill == 1 else "resumed") in again.notes[0]


def test_what_was_learned_in_the_first_loop_is_not_learned_again(
    data: Dataset, tmp_path: Any
) -> None:
    stopped(data, run_in(tmp_path, 6))
    steps: list[int] = []
    trained(
        data,
        Run(
            device="cpu",
            folder=tmp_path,
            resume=True,
            report_to=lambda step, total, scalars: steps.append(step),
        ),
    )
    assert steps == [6, 7, 8], "the second loop's steps come behind the four of the first"


def test_two_of_each_loop_are_kept_and_what_is_no_checkpoint_is_let_be(
    data: Dataset, tmp_path: Any
) -> None:
    trained(data, run_in(tmp_path))
    names = [p.name for p in Checkpoints(tmp_path).found()]
    assert (
        len([n for n in names if n.startswith("000-")])
        == len([n for n in names if n.startswith("001-")])
        == 2
    )
    assert all(whole(p) for p in Checkpoints(tmp_path).found())
    assert sorted(p.name for p in Checkpoints(tmp_path).folder.iterdir()) == names
    for path in Checkpoints(tmp_path).folder.rglob("*"):
        assert path.is_dir() or path.suffix in (".safetensors", ".json"), "arrays and json only"


def test_what_is_put_back_lies_where_it_lay() -> None:
    import torch

    from core.training.checkpoints import flat, unflat

    here = {
        "state": {0: {"step": torch.zeros(())}},
        "groups": [{"lr": 0.1}],
        "queue": torch.ones(2),
        "best": None,
    }
    there = {
        "state": {},
        "groups": [{"lr": 0.5}],
        "queue": torch.empty(2, device="meta"),
        "best": 3.0,
    }
    back = unflat(flat(here), there)
    assert (back["queue"].device.type, back["groups"], back["best"], list(back["state"])) == (
        "meta",
        [{"lr": 0.1}],
        None,
        [0],
    )


# -- damage ----------------------------------------------------------------------------------------
def flipped(path: Any, k: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[k % len(raw)] ^= 0x40
    path.write_bytes(bytes(raw))


def damages() -> list[tuple[str, str, int]]:
    """(file, what is done to it, where): sampled bytes flipped, files cut short, emptied and
    gone.
    """
    rng = np.random.default_rng(7)
    files = ("tensors.safetensors", "plain.json", "manifest.json")
    return (
        [(f, "flip", int(k)) for f in files for k in (0, *rng.integers(1, 1 << 20, 4), -1)]
        + [(f, "cut", int(k)) for f in files for k in (0, 1, rng.integers(2, 60))]
        + [(f, "gone", 0) for f in files]
    )


@pytest.fixture(scope="module")
def halfway(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a run stopped at the third step of its first loop, and what it comes to."""
    folder = tmp_path_factory.mktemp("halfway")
    stopped(data, run_in(folder, 4))
    return folder


@pytest.mark.parametrize(("file", "how", "k"), damages())
def test_a_damaged_checkpoint_is_never_used(
    halfway: Any, tmp_path: Any, file: str, how: str, k: int
) -> None:
    import shutil

    kept = Checkpoints(tmp_path)
    shutil.copytree(halfway / "checkpoints", kept.folder)
    before, newest = kept.found()
    path = newest / file
    (
        flipped(path, k)
        if how == "flip"
        else path.unlink()
        if how == "gone"
        else path.write_bytes(path.read_bytes()[:k])
    )
    assert not whole(newest)
    state, damaged = kept.load(0)
    assert state is not None
    assert (state["done"], damaged) == (2, 1)
    assert kept.found() == [before], "the damaged one is taken away once another was found good"
    (before / file).unlink()
    with pytest.raises(UserError, match="start it from scratch"):
        kept.load(0)
    assert kept.found() == [before], "what is damaged is not taken for nothing"


def test_a_run_goes_on_from_the_one_before_and_says_so(
    data: Dataset, halfway: Any, tmp_path: Any
) -> None:
    import shutil

    shutil.copytree(halfway, tmp_path, dirs_exist_ok=True)
    flipped(Checkpoints(tmp_path).found()[-1] / "tensors.safetensors", 1000)
    run = run_in(tmp_path, resume=True)
    np.testing.assert_array_equal(trained(data, run), trained(data, Run(device="cpu")))
    assert any("newest checkpoint was damaged" in n for n in run.notes)
    for one in Checkpoints(tmp_path).found(0):
        flipped(one / "tensors.safetensors", 2000)
    with pytest.raises(UserError, match=r"cannot go on.*start it from scratch"):
        trained(data, run_in(tmp_path, resume=True))
    fresh = run_in(tmp_path)
    trained(data, fresh)
    assert not fresh.notes
    assert all(whole(p) for p in Checkpoints(tmp_path).found())


def test_a_kill_between_writing_and_naming_a_checkpoint_leaves_the_one_before(
    data: Dataset, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.training import checkpoints

    real, named = checkpoints.publish, []

    def dies(made: Any, target: Any) -> None:
        named.append(target)
        if len(named) == 3:
            raise Killed
        real(made, target)

    monkeypatch.setattr(checkpoints, "publish", dies)
    stopped(data, run_in(tmp_path))
    monkeypatch.undo()
    assert (Checkpoints(tmp_path).folder / "tmp" / "manifest.json").exists()
    state, damaged = Checkpoints(tmp_path).load(0)
    assert state is not None
    assert (state["done"], damaged) == (2, 0)
    np.testing.assert_array_equal(
        trained(data, run_in(tmp_path, resume=True)), trained(data, Run(device="cpu"))
    )


def test_other_batches_or_another_network_cannot_be_gone_on_with(
    data: Dataset, halfway: Any, tmp_path: Any
) -> None:
    import shutil

    shutil.copytree(halfway, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"other batches.*start it from scratch"):
        trained(data, Run(device="cpu", folder=tmp_path, resume=True), batch_size=16)

    class Wider(Fragile):
        def make(self, d: int) -> None:
            super().make(d)
            self.net.append(self.second[0])

    with pytest.raises(UserError, match=r"another version.*start it from scratch"):
        fit_and_apply(
            Wider, Fragile.Params(), data, Run(device="cpu", folder=tmp_path, resume=True)
        )


def test_going_on_on_another_device_or_precision_is_told(
    data: Dataset, halfway: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(halfway, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(resume, "describe_place", lambda fabric: "the GPU (bf16-mixed)")
    run = Run(device="cpu", folder=tmp_path, resume=True)
    trained(data, run)
    assert any(
        n.startswith("It began on the processor (32-true) and went on on the GPU (bf16-mixed)")
        for n in run.notes
    )


@pytest.mark.parametrize(
    ("there", "seen", "told"),
    [(True, None, True), (True, "0", True), (True, "", False), (False, None, False)],
)
def test_a_gpu_that_cannot_be_used_is_told(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, there: bool, seen: str | None, told: bool
) -> None:
    import torch

    from core.training import device as module

    if there:
        (tmp_path / "0000:01:00.0").mkdir()
    monkeypatch.setattr(module, "GPUS", tmp_path)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    run = Run()
    assert run.where.type == "cpu"
    assert ["GPU that could not be used" in n for n in run.notes] == [True] * told
    with pytest.raises(UserError, match="No CUDA device"):
        _ = Run(device="cuda").where


# -- losses that are no numbers --------------------------------------------------------------------
def test_a_poisoned_case_is_named_with_its_step_and_no_checkpoint_holds_what_it_did(
    data: Dataset, tmp_path: Any
) -> None:
    import torch

    train = data.part("train")
    order = np.random.default_rng((0, 0)).permutation(len(train))
    bad, reports = int(train.rows[order[3 * 8 + 2]]), []  # in the fourth batch of eight
    run = Run(
        device="cpu",
        folder=tmp_path,
        checkpoint_every=-1.0,
        report_to=lambda step, total, scalars: reports.append(step),
    )
    with pytest.raises(UserError, match=r"at step 4, in a batch of 8 cases: row \d+") as said:
        trained(data, run, batch_size=8, poison=bad)
    named = {int(r) for r in re.findall(r"row (\d+)", str(said.value))}
    assert named <= set(train.rows[order[24:32]].tolist())
    assert len(reports) <= 14
    state, _ = Checkpoints(tmp_path).load(0)
    assert state is not None
    assert state["done"] == 3
    assert all(
        bool(v.isfinite().all())
        for v in state.values()
        if isinstance(v, torch.Tensor) and v.is_floating_point()
    )


def test_the_cases_with_the_most_extreme_values_are_named_first(data: Dataset) -> None:
    import torch

    table = make_sample("breast-cancer").part("train").take(np.arange(32))
    samples = table.raw().astype(np.float32)
    samples[11, 3] = 1e30
    from dataclasses import replace

    odd = replace(table, samples=samples, table=table.frame.reset_index(drop=True), at=None)
    run, net = Run(device="cpu"), torch.nn.Linear(odd.shape[0], 1)
    run.setup(net, torch.optim.SGD(net.parameters(), 0.1))

    def learn() -> None:
        for batch in run.batches(odd, 32, 1):
            run.step(net(batch.x).square().mean())

    with pytest.raises(UserError, match="at step 1, in a batch of 32 cases: row 11,"):
        learn()


def test_weights_that_are_no_numbers_are_never_saved(data: Dataset, tmp_path: Any) -> None:
    import torch

    run, net = Run(device="cpu", folder=tmp_path, checkpoint_every=-1.0), torch.nn.Linear(64, 1)
    run.setup(net, torch.optim.SGD(net.parameters(), 0.1))

    def learn() -> None:
        for batch in run.batches(data.part("train"), 8, 1):
            run.step(net(batch.x.flatten(1)).square().mean())
            if batch.step == 1:
                with torch.no_grad():
                    net.weight[0, 0] = float("inf")

    with pytest.raises(UserError, match="weights stopped being numbers at step 2"):
        learn()
    state, _ = Checkpoints(tmp_path).load(0)
    assert state is not None
    assert state["done"] == 1


def test_a_cancelled_run_is_taken_up_where_it_was(data: Dataset, tmp_path: Any) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        trained(data, Run(device="cpu", folder=tmp_path, checkpoint_every=-1.0, stop=stop))
    run = run_in(tmp_path, resume=True)
    np.testing.assert_array_equal(trained(data, run), trained(data, Run(device="cpu")))
    state = json.loads((Checkpoints(tmp_path).found(1)[-1] / "plain.json").read_text())["plain"]
    assert state["done"] == 4


def test_the_switches_for_sums_in_one_order_are_put_back() -> None:
    import torch

    from core.training.device import fixed_order

    def switches() -> tuple[Any, ...]:
        cudnn = torch.backends.cudnn
        return (
            torch.get_deterministic_debug_mode(),
            torch.utils.deterministic.fill_uninitialized_memory,
            cudnn.deterministic,
            cudnn.allow_tf32,
        )

    before = switches()
    with fixed_order():
        assert switches() == (1, False, True, False)
    assert switches() == before
