"""Batches: the same bits from memory and from disk, read ahead by a thread that ends with the
loop.
"""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.artifacts import Embedding
from core.errors import Cancelled, UserError
from core.io.threads import read_ahead
from core.method import check_params
from core.registry import methods
from core.training import loader
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.contract._fits import small_shared

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path):
    """160 digits as an import leaves them."""
    data = small_shared("digits")
    return data.save(tmp_path / "stored")


@pytest.fixture
def from_disk(monkeypatch):
    monkeypatch.setattr(loader, "room", lambda device: 0)


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("reading ahead")]


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f2", "f4", "f8", ">i2"])
@pytest.mark.parametrize("modality", ["image", "series"])
def test_inputs_made_on_the_device_have_the_bits_of_those_made_by_numpy(kind, modality):
    rng = np.random.default_rng(0)
    values = (
        rng.uniform(0, 255, (50, 1, 9, 7))
        if kind == "u1"
        else rng.normal(300, 2000, (50, 1, 9, 7)).clip(0 if "u" in kind else -3e4, 3e4)
    )
    data = replace(
        small_shared("digits"),
        samples=values.astype(kind),
        modality=modality,
        input_range=(-1000.3, 3071.7),
        at=np.arange(50)[::-1].copy(),
    )
    at = rng.integers(0, 50, 23)
    with loader.Inputs(data, CPU) as inputs:
        ((_, x),) = inputs.batches([loader.Positions(at, CPU)])
    assert x.dtype == torch.float32
    assert np.array_equal(x.numpy(), data.inputs(at))
    assert np.array_equal(torch.cat(list(loader.in_order(data, CPU, 8))).numpy(), data.inputs())
    assert np.array_equal(data.samples, values.astype(kind)), "what is stored stays as it is"


@pytest.mark.parametrize("limit", [0, 2 << 30])
@pytest.mark.parametrize("block", [1, 1000, 16 << 20])
def test_any_order_of_rows_is_read_alike_from_memory_and_from_disk(
    stored, tmp_path, monkeypatch, limit, block
):
    monkeypatch.setattr(loader, "room", lambda device: limit)
    monkeypatch.setattr(loader, "BLOCK", block)
    data = stored.take(np.random.default_rng(0).permutation(len(stored))[:100])
    wanted = [np.array([5, 0, 99]), np.arange(40), np.array([7])]
    with loader.Inputs(data, CPU, tmp_path) as inputs:
        assert list(tmp_path.glob("inputs-*/*")) == (
            [] if limit else list(tmp_path.glob("inputs-*/inputs.npy"))
        )
        assert inputs.fits == bool(limit)
        found = list(inputs.batches(loader.Positions(at, CPU) for at in wanted))
    assert all(
        np.array_equal(at.at, w) and np.array_equal(x.numpy(), data.inputs(w))
        for (at, x), w in zip(found, wanted, strict=True)
    )
    assert not list(tmp_path.glob("inputs-*"))
    assert not readers()


def trained(data, folder=None, resume=False, tell=lambda *a: None, **more):
    kind = methods()["gaussian_vae"]
    run = Run(device="cpu", folder=folder, resume=resume, report_to=tell, **more)
    return next(
        a
        for a in fit_and_apply(kind, check_params(kind, kind.tiny), data, run)[1]
        if isinstance(a, Embedding)
    ).z


def test_training_from_disk_killed_in_mid_epoch_and_resumed_equals_training_from_memory(
    stored, tmp_path, monkeypatch
):
    straight = trained(stored)
    monkeypatch.setattr(loader, "room", lambda device: 0)

    def kill(step, total, scalars):
        if step == 9:  # of six an epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(stored, tmp_path, tell=kill, checkpoint_every=-1.0)
    (tmp_path / "inputs-left").mkdir()  # as a killed process leaves it
    assert np.array_equal(trained(stored, tmp_path, resume=True), straight)
    assert not list(tmp_path.glob("inputs-*"))
    assert not readers()


def test_what_the_reading_thread_meets_is_raised_in_the_loop_and_the_thread_ends():
    def read(k):
        if k == 3:
            raise OSError("the disk is gone")
        return k

    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(read_ahead(read, range(6)))
    assert seen == [0, 1, 2]
    assert not readers()


def test_it_reads_one_ahead_and_no_more_and_a_loop_that_is_left_ends_the_thread():
    asked, second = [], threading.Event()

    def read(k):
        asked.append(k)
        if k == 1:
            second.set()
        return k

    loop = read_ahead(read, range(9))
    assert next(loop) == 0
    assert second.wait(10), "the second is read while the first is used"
    loop.close()
    assert asked == [0, 1]
    assert not readers()


def test_several_threads_read_in_order_and_a_bounded_way_ahead():
    asked = []
    for k in read_ahead(lambda k: asked.append(k) or k, range(40), most=3):
        assert len(asked) <= k + 4
    assert sorted(asked) == list(range(40))
    assert list(read_ahead(str, range(40), most=3)) == [str(k) for k in range(40)]
    assert not readers()


def test_cancelling_while_the_data_is_laid_out_stops_it_and_leaves_nothing(
    stored, tmp_path, from_disk, monkeypatch
):
    monkeypatch.setattr(loader, "BLOCK", 1000)
    asked = []
    with pytest.raises(Cancelled):
        trained(stored, tmp_path, stop=lambda: len(asked) == 5 or asked.append(1))
    assert not list(tmp_path.glob("inputs-*"))


def test_no_room_on_the_disk_is_said_with_the_room_it_needs(stored, from_disk, monkeypatch):
    def full(*of):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loader, "write_rows", full)
    with pytest.raises(UserError, match=r"need 0\.0 GB of disk space .*No space left"):
        trained(stored)


def test_a_compiled_network_learns_the_same_under_the_same_names(stored, tmp_path, monkeypatch):
    straight = trained(stored)
    # traced as for any backend; nothing has to be built
    monkeypatch.setenv("LIGHTBOX_COMPILE", "eager")

    def kill(step, total, scalars):
        if step == 9:
            raise KeyboardInterrupt

    notes = []
    with pytest.raises(KeyboardInterrupt):
        trained(stored, tmp_path, tell=kill, checkpoint_every=-1.0, note_to=notes.append)
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 0
    assert notes == ["Its network was compiled (eager) where that is possible."]
    monkeypatch.delenv("LIGHTBOX_COMPILE")  # a checkpoint of the one fits the other
    np.testing.assert_allclose(
        trained(stored, tmp_path, resume=True), straight, rtol=1e-4, atol=1e-4
    )


def test_applying_a_model_opens_no_fabric(stored):
    """That reads the metadata of every installed package, which takes as long as 150 pictures."""
    run = Run(device="cpu")
    assert len(run.map(lambda x: x.flatten(1).mean(1), stored)) == len(stored)
    assert "fabric" not in vars(run)
