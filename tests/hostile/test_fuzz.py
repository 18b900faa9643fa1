"""Mutated copies of small valid files: whatever is in them, a reader reads them or says one
sentence.
"""

import functools
import importlib
import os
import pkgutil

import pytest

from core.data import readers
from core.data.readers import choice
from core.data.readers.files import Asked, collect
from core.data.readers.nifti_file import join_pairs
from tests.hostile import _fuzz
from tests.soak import longer

# of each seed; LIGHTBOX_FUZZ=20000 hunts longer still
COPIES = int(os.environ.get("LIGHTBOX_FUZZ", longer(200, 2000)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", _fuzz.SEEDS)
def test_damaged_copies_are_read_or_refused_in_a_sentence(name):
    """Fault 57: byte flips, cuts, lengths, moved blocks, behind the checksums as well: only success
    or a UserError; none takes more than 2 s of processor time or 500 MB; no reader dies.
    """
    result = _fuzz.hunt(name, COPIES)
    assert result["copies"] == max(1, round(COPIES * _fuzz.SEEDS[name].share)) or result["found"]
    words = [
        f"copy {f['copy']}: {f['found']}"
        for f in {f["found"][-200:]: f for f in result["found"]}.values()
    ]
    assert not words, f"{len(result['found'])} of {result['copies']} copies:\n" + "\n".join(words)
    assert 0 < result["refused"] < result["copies"], (
        "the damage is either too small or too large to try anything"
    )


def test_every_reader_has_a_seed(tmp_path):
    """A new reader needs a seed in `_fuzz.SEEDS`; each seed reaches the reader it is meant for."""
    names = [m.name for m in pkgutil.iter_modules(readers.__path__)]
    there = {
        n
        for n in names
        if callable(getattr(importlib.import_module(f"core.data.readers.{n}"), "read", None))
    }
    assert there | {"contours"} == {s.reader for s in _fuzz.SEEDS.values()}
    for name, seed in _fuzz.SEEDS.items():
        path = _fuzz.laid(seed.outer(seed.inner()), tmp_path / name.replace(" ", "-"))
        reader = choice.choose_reader(join_pairs(collect(path)), path.name, Asked(), "auto")[0]
        drawn = False
        while isinstance(reader, functools.partial):
            drawn = drawn or bool(reader.keywords.get("drawn"))
            reader = next((a for a in reader.args if callable(a)), reader.func)
        assert (
            reader.__module__
            == f"core.data.readers.{'dicom' if seed.reader == 'contours' else seed.reader}"
        )
        assert drawn == (seed.reader == "contours")
        assert len(readers.read(path)) >= 2


def test_a_copy_is_the_same_each_time_and_copies_differ():
    for name in _fuzz.SEEDS:
        assert _fuzz.copy(name, 7) == _fuzz.copy(name, 7)
        assert len({str(_fuzz.copy(name, k)) for k in range(20)}) > 15


def test_the_hunt_sees_bugs_hangs_deaths_and_hunger(monkeypatch, tmp_path):
    """The fuzzer itself is tried: a reader with planted faults is found out."""
    plant = tmp_path / "sitecustomize.py"
    plant.write_text(
        "import os, time\nimport core.data.readers.npz as a\nreal, count = a.load_arrays, [0]\ndef"
        " load(member):\n    count[0] += 1\n    k = count[0]\n    if k == 3: raise"
        " KeyError('planted')\n    if k == 5:\n        end = time.process_time() + 9\n        while"
        " time.process_time() < end: pass\n    if k == 7: os.abort()\n    return"
        " real(member)\na.load_arrays = load\n"
    )
    monkeypatch.setattr(_fuzz.make, "ROOT", f"{tmp_path}{os.pathsep}{_fuzz.make.ROOT}")
    monkeypatch.setattr(_fuzz, "CWD", _fuzz.make.ROOT.split(os.pathsep)[1])
    found = [f["found"] for f in _fuzz.hunt("npy", 12)["found"]]
    assert any("planted" in f for f in found)
    assert any(f.startswith("longer than") for f in found)
    assert any("died with -6" in f for f in found)
