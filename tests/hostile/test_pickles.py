"""Pickles are never opened, whatever they are called and wherever they hide."""

import pickle
import zipfile

import numpy as np
import pytest

from core.data.readers import preview, read
from core.errors import UserError
from tests.hostile._make import npy_header, png, zipped


class Touch:
    """What pickles are feared for: opening it makes the canary file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


def _object_npy(canary):
    return npy_header((1,), "|O") + pickle.dumps(np.array([Touch(canary)], dtype=object))


CASES = {
    "array.npy": _object_npy,
    "arrays.npz": lambda c: zipped({"x.npy": _object_npy(c)}),
    "raw.npy": lambda c: pickle.dumps(Touch(c)),
    "raw.npz": lambda c: pickle.dumps(Touch(c)),
    "member.npz": lambda c: zipped({"x.pkl": pickle.dumps(Touch(c))}),
    "model.pt": lambda c: zipped(
        {"model/data.pkl": pickle.dumps(Touch(c)), "model/data/0": b"\0" * 8, "model/version": b"3"}
    ),
    "old.pt": lambda c: pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(Touch(c)),
    "model.ckpt": lambda c: pickle.dumps(Touch(c), protocol=0),
    "picture.png": lambda c: pickle.dumps(Touch(c)),
    "table.csv": lambda c: pickle.dumps(Touch(c)),
    "table.parquet": lambda c: pickle.dumps(Touch(c)),
    "scan.nii": lambda c: pickle.dumps(Touch(c)),
    "scan.dcm": lambda c: pickle.dumps(Touch(c)),
    "pictures.zip": lambda c: zipped({"a/0.png": png(), "a/1.png": pickle.dumps(Touch(c))}),
}


def test_the_payload_works(tmp_path):
    pickle.loads(pickle.dumps(Touch(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", CASES)
def test_a_pickle_is_refused_and_never_opened(tmp_path, name):
    """Fault 23: a pickle in .npy, .npz, .pt, a renamed .png and elsewhere is refused with the
    file's name; its payload never runs.
    """
    canary = tmp_path / "canary"
    (tmp_path / name).write_bytes(CASES[name](canary))
    with pytest.raises(UserError) as e:
        read(tmp_path / name)
    assert {"model.pt": "data.pkl", "pictures.zip": "a/1.png", "scan.dcm": "The file"}.get(
        name, name
    ) in str(e.value)
    try:
        seen = preview(tmp_path / name)
    except UserError:
        seen = {}
    assert "head" not in seen
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("old.pt", "Python pickle"),
        ("model.ckpt", "Python pickle"),
        ("picture.png", "Python pickle"),
        ("array.npy", "Python objects"),
    ],
)
def test_it_is_called_what_it_is(tmp_path, name, kind):
    """Fault 23: the sentence says that it is a pickle."""
    (tmp_path / name).write_bytes(CASES[name](tmp_path / "canary"))
    with pytest.raises(UserError, match=kind):
        read(tmp_path / name)


def test_a_model_file_is_called_a_pickle(tmp_path):
    """Fault 23: a model file of PyTorch is a zip with a pickle inside."""
    (tmp_path / "model.pt").write_bytes(CASES["model.pt"](tmp_path / "canary"))
    assert zipfile.is_zipfile(tmp_path / "model.pt")
    with pytest.raises(UserError, match="pickle"):
        read(tmp_path / "model.pt")
