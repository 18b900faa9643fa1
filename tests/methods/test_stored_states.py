"""What was fitted and stored before states had a version opens, and gives what it gave."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core import fitted
from core.artifacts import Model
from core.io.tensors import add_prefix, load_state, save_state
from core.method import check_params
from core.registry import methods, open_model
from core.training.run import Run
from tests.contract._fits import columns, data_for, earlier
from tests.methods._fit import fit

STATES = Path(__file__).parent / "fixtures" / "states"


def opened(id, state):
    kind = methods()[id]
    method = kind(check_params(kind, kind.tiny))
    method.restore(state)
    method.to("cpu")
    return method


@pytest.mark.parametrize("id", sorted(p.name for p in STATES.iterdir()))
def test_a_state_stored_before_gives_what_it_gave(id, tmp_path):
    before = load_state(STATES / id)
    assert fitted.INDEX not in before
    method = opened(id, before)
    save_state(tmp_path, method.state())
    wanted = np.load(STATES / id / "expected.npz", allow_pickle=False)
    on = {} if methods()[id].tiny_on else earlier(id, data_for(id))
    if methods()[id].tiny_on:
        model = opened("classifier", load_state(STATES / "classifier")).model(data_for(id))
        on = {"model": model}
    for again in (method, opened(id, load_state(tmp_path))):
        run = Run(device="cpu", on=on)
        with run.seeded():
            found = columns(again.apply(data_for(id), run))
        for (slug, name), values in found.items():
            if values.dtype != object:
                some = values[:6].reshape(6, -1)[:, :16] if values.ndim > 1 else values[:6]
                np.testing.assert_allclose(some, wanted[f"{slug}|{name}"], rtol=1e-4, atol=1e-5)


def about(model):
    return {name: getattr(model, name) for name in fitted.ABOUT}


def as_before(state):
    """A state of networks, parts and plain values as it was before it had an index."""
    return {k: v for k, v in state.items() if k != fitted.INDEX}


def untrained_outliner():
    method = methods()["unet_plus_plus"]()
    torch.manual_seed(0)
    method.channels_, method.level_ = 1, 2
    method.net_ = method.make_net().eval()
    fitted.lay_out(method.net_)  # as training does
    method._fitted = True
    state = as_before(method.state())
    made = Model(
        rows=np.zeros(0),
        method=method.id,
        params=method.params.model_dump(mode="json"),
        abilities=method.abilities,
        input_shape=[1, 32, 32],
        classes=method.classes,
        state=state,
    )
    return method, made


def test_a_moved_outliner_stored_before_opens():
    method, model = untrained_outliner()
    shifts = [np.arange(3, dtype="f4"), np.arange(2, dtype="f4")]
    before = {"base": about(model)} | {f"shift.{i}": s for i, s in enumerate(shifts)}
    for name in ("old", "inner", "replaced"):
        before |= add_prefix(name, model.state)
    moved = opened("osuda", before)
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(moved.predict(x), method.predict(x))
    assert moved.classes == ["background", "marked"]
    assert [s.tolist() for s in moved.shifts_] == [s.tolist() for s in shifts]


def test_symbols_of_series_stored_before_open():
    from core.methods.series._factors import Factor
    from core.nets.series import SymbolVAE

    kind = methods()["beta_vae_scan"]
    method = kind(check_params(kind, kind.tiny))
    method.shape_ = (2, 32)
    names, d = ["A", "B"], method.params.latent
    factor = Factor("beat", ("A", "B"), ("A", "B"), None)
    rivals = {"one": (np.ones((3, 2)), np.zeros(2)), "two": (np.ones((1, 2)), np.ones(2))}
    before = {"mean": torch.zeros(2, 32), "sd": torch.ones(2, 32), "turn": torch.ones(d)}
    before |= {"used": np.ones(d, bool), "places": np.zeros((4, d)), "axes": ["axis"] * d}
    before |= {"class_names": names, "left_out": [], "symbols": names, "shape": [2, 32]}
    before |= add_prefix("net", method.make_net().state_dict())
    before |= {"factors": [{**asdict(factor), "values": names, "names": names}]}
    before |= {k: np.ones((2, d)) for k in ("centre", "spread", "nats")}
    before |= {"chance": np.zeros(2), "bearers": np.array([3, 4])}
    before |= add_prefix("scan", SymbolVAE(1, 2, d).state_dict())
    before |= {"temperature": 2.0, "rivals": list(rivals)}
    for i, (weight, bias) in enumerate(rivals.values()):
        before |= {f"rival{i}/weight": weight, f"rival{i}/bias": bias}
    back = opened("beta_vae_scan", before)
    assert back.factors == [factor]
    assert {k: [v.tolist() for v in pair] for k, pair in back.rivals_.items()} == {
        k: [v.tolist() for v in pair] for k, pair in rivals.items()
    }
    assert back.imagine(["A"])[0].shape == (d,)


def test_a_reader_of_texts_stored_before_opens():
    from core.methods.text._reader import Reader

    kind = methods()["sufo"]
    params = check_params(kind, kind.tiny)
    texts = ["a murmur of the heart", "a cough and a wheeze"] * 8
    net = Reader.build(params, texts, 2, 0)
    ones = np.ones((2, 2), np.float32)
    before = add_prefix("net", net.state_dict())
    before |= {"tokenizer": net.tokenizer.backend_tokenizer.to_str(), "class_names": ["a", "b"]}
    before |= {"grid.probing": ones, "steps": ["0"], "paths": [], "shares": [0.5, 0.5]}
    before |= {f"o.{k}": ones for k in ("mean", "v", "middle", "inverse")}
    before |= {"r.mean": ones[0], "r.v": ones}
    back = opened("sufo", before)
    code = net.encode_texts(texts)
    assert np.array_equal(back.net_.features(code), net.features(code))
    assert np.array_equal(back.grids_["probing"], ones)
    assert np.array_equal(back.outliers_.v, ones)
    assert np.array_equal(back.removal_["v"], ones)


class Everything:
    """A stand-in for a method: what an attribute may hold."""

    parts: dict = {}

    def make_net(self):
        return torch.nn.Linear(2, self.width_)


def test_every_kind_of_value_comes_back(tmp_path):
    one = Everything()
    one.net_ = torch.nn.Linear(2, 3)
    one.width_, one.shape_, one.nothing_ = 3, (1, 2), None
    one.words_ = np.array(["a", ""], dtype=object)
    one.rate_ = np.float64(0.5)
    one.deep_ = {"a/b.c": (np.ones(2), torch.zeros(1)), "": [1, "x"]}
    one.unkept = "no"
    save_state(tmp_path, fitted.pack(fitted.attributes(one)))
    two = Everything()
    fitted.unpack(two, load_state(tmp_path))
    assert torch.equal(two.net_.weight, one.net_.weight)
    assert (two.width_, two.shape_, two.nothing_, two.rate_) == (3, (1, 2), None, 0.5)
    assert two.words_.tolist() == ["a", ""]
    assert two.deep_["a/b.c"][0].tolist() == [1.0, 1.0]
    assert isinstance(two.deep_["a/b.c"], tuple)
    assert two.deep_[""] == [1, "x"]
    assert not hasattr(two, "unkept")


def how_it_lies(net):
    """The strides of all kernels of pictures."""
    return {name: p.stride() for name, p in net.named_parameters() if p.ndim == 4}


@pytest.mark.parametrize("id", ["ear", "strega", "mem_mc_mae"])
def test_a_network_lies_in_memory_as_it_was_trained_and_gives_the_same_bits(id, tmp_path):
    data, kind = data_for(id), methods()[id]
    method, given = fit(id, data, **kind.tiny)
    net = method.net_
    save_state(tmp_path, given["model"].state)
    model = replace(given["model"], state=load_state(tmp_path))
    back = open_model(model)
    assert how_it_lies(back.net_) == how_it_lies(net)
    x = torch.from_numpy(data.inputs(np.arange(16)))
    with torch.no_grad():
        assert torch.equal(back.score(x), method.score(x))


def test_only_what_was_laid_out_with_channels_last_is_again():
    for laid_out in (True, False):
        one, two = Layers(), Layers()
        one.net_ = one.make_net()
        if laid_out:
            fitted.lay_out(one.net_)
        state = fitted.pack(fitted.attributes(one))
        fitted.unpack(two, state)
        assert how_it_lies(two.net_) == how_it_lies(one.net_)
        assert (two.net_[0].weight.stride(1) == 1) == laid_out
        del state[fitted.INDEX][fitted.LAST]  # as it was stored before
        fitted.unpack(two, state)
        assert two.net_[0].weight.stride(1) == 1


def test_kernels_of_volumes_stay_as_they_are():
    net = torch.nn.Conv3d(2, 3, 3)
    fitted.lay_out(net)
    assert net.weight.is_contiguous()


class Layers:
    """A stand-in for a method with kernels of pictures."""

    parts: dict = {}

    def make_net(self):
        return torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.Conv2d(8, 1, 1))
